//! The reinforcement stage's step.

use super::{ITEM, QUERY, draw, prompts};
use crate::device::{Device, DeviceError, Result};
use crate::embed::Pooling;
use crate::model::{Gradients, Model};
use crate::ops::philox::PhiloxStream;
use crate::reason::Thought;
use crate::recipe::RlOptions;
use crate::text::Prompts;
use crate::train::contrast::Contrast;
use crate::train::objective::Objective;
use crate::train::optimizer::{Optimizer, OptimizerOptions};
use crate::train::rl::judge::Judge;
use crate::train::rl::policy::PolicyLoss;
use crate::train::rl::reward::rewards;
use crate::train::rl::rollouts::{Drawing, batch_of, sample};
use crate::train::training_set::TrainingSet;
use std::time::{Duration, Instant};

/// Queries of a step, and thoughts of each.
pub const QUERIES: usize = 4;
pub const ROLLOUTS: usize = 8;
/// Tokens of a thought.
const THOUGHT: usize = 16;

/// Reinforcement steps (eq. 9-16): thoughts drawn in the decode loop, one update on all of them.
pub struct RlStep<D: Device> {
    model: Model<D>,
    /// The packed copy that draws.
    sampler: Model<D>,
    prompts: Prompts,
    set: TrainingSet,
    objective: Objective<D>,
    gradients: Gradients<D>,
    optimizer: Optimizer<D>,
}

impl<D: Device> RlStep<D> {
    /// Takes a trainable model, which the steps change.
    pub fn new(model: Model<D>) -> Result<Self> {
        let vocab = model.config.vocab_size;
        let random = &mut PhiloxStream::new(4, 0);
        let prompts = prompts(random, vocab);
        let queries = (0..QUERIES).map(|_| draw(random, vocab, QUERY.1)).collect();
        let items = (0..QUERIES).map(|_| draw(random, vocab, ITEM.1)).collect();
        Ok(RlStep {
            prompts,
            set: TrainingSet::of_tokens(queries, items),
            objective: Objective::new(&model, Pooling::Emb)?,
            gradients: model.zero_gradients()?,
            optimizer: Optimizer::new(&model, OptimizerOptions::default())?,
            sampler: model.sampler()?,
            model,
        })
    }

    /// One step; returns its time.
    ///
    /// # Errors
    /// A loss that is not finite, or a thought that ended early: a figure of such a step would mean
    /// nothing.
    pub fn run(&mut self) -> Result<Duration> {
        let started = Instant::now();
        let drawing = Drawing {
            rollouts: ROLLOUTS,
            direct: false,
            most: THOUGHT,
            temperature: 1.0,
            seed: 5,
        };
        let pairs: Vec<(u32, u32)> = (0..QUERIES as u32).map(|i| (i, i)).collect();
        self.sampler.follow(&self.model)?;
        let (model, set) = (&mut self.model, &self.set);
        let groups = sample(&self.sampler, &self.prompts, set, &pairs, 0, drawing)?;
        let batch = batch_of(&self.prompts, set, &groups, []);
        let paper = RlOptions::default();
        let (rewards, (baseline, options)) = (rewards(&paper), paper.loss(THOUGHT));
        let judge = Judge {
            set,
            rewards: &rewards,
            baseline,
            budget: THOUGHT,
        };
        let judged = |c: &Contrast| judge.judge(&groups, &c.ranks, c.items, None);
        let mut policy = PolicyLoss::new(options, 1.0, &groups, Vec::new(), judged);
        let losses = self.objective.step_with(
            model,
            &self.prompts,
            &batch,
            QUERIES,
            (0.1, 0.05),
            &mut policy,
            &mut self.gradients,
        )?;
        self.optimizer.update(model, &mut self.gradients, 1e-6)?;
        let time = started.elapsed();
        let whole = |t: &Thought| t.tokens.len() == THOUGHT;
        if !losses.loss.is_finite() || !groups.iter().flat_map(|g| &g.thoughts).all(whole) {
            return Err(DeviceError::Argument {
                op: "RL step",
                message: format!("the loss is {}, or a thought ended early", losses.loss),
            });
        }
        Ok(time)
    }
}
