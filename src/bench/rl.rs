//! The reinforcement stage's step.

use super::{ITEM, QUERY, Work, draw, prompts};
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

/// How much a step draws.
#[derive(Clone, Copy, Debug)]
pub struct Drawn {
    pub queries: usize,
    /// Thoughts of a query.
    pub rollouts: usize,
    /// Tokens of a thought.
    pub thought: usize,
}

/// Reinforcement steps (eq. 9-16): thoughts drawn in the decode loop, one update on all of them.
pub struct RlStep<D: Device> {
    model: Model<D>,
    drawn: Drawn,
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
    pub fn new(model: Model<D>, drawn: Drawn) -> Result<Self> {
        let vocab = model.config.vocab_size;
        let random = &mut PhiloxStream::new(4, 0);
        let prompts = prompts(random, vocab);
        let mut texts = |len| {
            let text = |_| draw(random, vocab, len);
            (0..drawn.queries).map(text).collect()
        };
        let (queries, items) = (texts(QUERY.1), texts(ITEM.1));
        Ok(RlStep {
            prompts,
            set: TrainingSet::of_tokens(queries, items),
            objective: Objective::new(&model, Pooling::Emb)?,
            gradients: model.zero_gradients()?,
            optimizer: Optimizer::new(&model, OptimizerOptions::default())?,
            sampler: model.sampler()?,
            model,
            drawn,
        })
    }
}

impl<D: Device> Work for RlStep<D> {
    /// # Errors
    /// A loss that is not finite, or a thought that ended early: a figure of such a step would mean
    /// nothing.
    fn run(&mut self) -> Result<()> {
        let Drawn {
            queries,
            rollouts,
            thought,
        } = self.drawn;
        let drawing = Drawing {
            rollouts,
            direct: false,
            most: thought,
            temperature: 1.0,
            seed: 5,
        };
        let pairs: Vec<(u32, u32)> = (0..queries as u32).map(|i| (i, i)).collect();
        self.sampler.follow(&self.model)?;
        let (model, set) = (&mut self.model, &self.set);
        let groups = sample(&self.sampler, &self.prompts, set, &pairs, 0, drawing)?;
        let batch = batch_of(&self.prompts, set, &groups, []);
        let paper = RlOptions::default();
        let (rewards, (baseline, options)) = (rewards(&paper), paper.loss(thought));
        let judge = Judge {
            set,
            rewards: &rewards,
            baseline,
            budget: thought,
        };
        let judged = |c: &Contrast| judge.judge(&groups, &c.ranks, c.items, None);
        let mut policy = PolicyLoss::new(options, 1.0, &groups, Vec::new(), judged);
        let losses = self.objective.step_with(
            model,
            &self.prompts,
            &batch,
            queries,
            (0.1, 0.05),
            &mut policy,
            &mut self.gradients,
        )?;
        self.optimizer.update(model, &mut self.gradients, 1e-6)?;
        let whole = |t: &Thought| t.tokens.len() == thought;
        if !losses.loss.is_finite() || !groups.iter().flat_map(|g| &g.thoughts).all(whole) {
            return Err(DeviceError::Argument {
                op: "RL step",
                message: format!("the loss is {}, or a thought ended early", losses.loss),
            });
        }
        Ok(())
    }
}
