//! The cold start's optimizer step.

use super::{ITEM, QUERY, Work, draw, prompts};
use crate::device::{Device, DeviceError, Result};
use crate::embed::Pooling;
use crate::model::{Gradients, Model};
use crate::ops::philox::PhiloxStream;
use crate::text::Prompts;
use crate::train::batch::{BatchItem, Branch, Sample, TrainBatch};
use crate::train::objective::{Objective, Weights};
use crate::train::optimizer::{Optimizer, OptimizerOptions};

/// Tokens of a branch from `<think>` to `<emb>`.
const BRANCH: usize = 17;

/// Cold-start steps (eq. 4, 7, 8), the instructions a trunk.
pub struct ColdStartStep<D: Device> {
    model: Model<D>,
    prompts: Prompts,
    batch: TrainBatch,
    objective: Objective<D>,
    gradients: Gradients<D>,
    optimizer: Optimizer<D>,
}

impl<D: Device> ColdStartStep<D> {
    /// Takes a trainable model, which the steps of so many pairs change.
    pub fn new(model: Model<D>, pairs: usize) -> Result<Self> {
        let vocab = model.config.vocab_size;
        let random = &mut PhiloxStream::new(3, 0);
        let prompts = prompts(random, vocab);
        let sample = |i: usize| Sample {
            query: draw(random, vocab, QUERY.1),
            branches: vec![
                Branch::embedding(prompts.branch(&draw(random, vocab, BRANCH - 3)), i as u32)
                    .learned(),
            ],
            positives: vec![i as u64],
        };
        let samples = (0..pairs).map(sample).collect();
        let item = |key: usize| BatchItem {
            key: key as u64,
            ids: draw(random, vocab, ITEM.1),
        };
        let items = (0..pairs).map(item).collect();
        Ok(ColdStartStep {
            batch: TrainBatch { samples, items },
            prompts,
            objective: Objective::new(&model, Pooling::Emb)?,
            gradients: model.zero_gradients()?,
            optimizer: Optimizer::new(&model, OptimizerOptions::default())?,
            model,
        })
    }
}

impl<D: Device> Work for ColdStartStep<D> {
    /// # Errors
    /// A loss that is not finite: a figure of such a step would mean nothing.
    fn run(&mut self) -> Result<()> {
        let weights = Weights {
            sft: 0.1,
            info_nce: 1.0,
            temperature: 0.05,
        };
        let losses = self.objective.step(
            &self.model,
            &self.prompts,
            &self.batch,
            self.batch.samples.len(),
            &weights,
            &mut self.gradients,
        )?;
        let rate = 1e-6;
        self.optimizer
            .update(&mut self.model, &mut self.gradients, rate)?;
        if !losses.loss.is_finite() {
            return Err(DeviceError::Argument {
                op: "cold-start step",
                message: format!("the loss is {}", losses.loss),
            });
        }
        Ok(())
    }
}
