//! Stage 1: next-token loss on thoughts and InfoNCE between queries and items (eq. 4, 7, 8).
//!
//! A step draws `batch` query-item pairs. For each pair a draw from the mix decides with which
//! thought the query is embedded: the teacher's, one the model sampled itself, none, … The teacher's
//! thought is also learned by next-token loss, in a branch of its own where InfoNCE uses another;
//! both hang from the same query, which is computed once.

use super::checkpoint::RunState;
use super::objective::{Losses, Weights};
use super::schedule::Schedule;
use super::stage::{Plan, Stage, Update};
use super::training_set::TrainingSet;
use super::{TrainError, thoughts};
use crate::device::Device;
use crate::model::Model;
use crate::ops::linear::WeightFormat;
use crate::ops::sample::Sampling;
use crate::recipe::{Mix, Recipe};
use crate::text::Prompts;
use serde_json::json;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A cold-start run.
pub struct ColdStart<'a, D: Device> {
    pub recipe: &'a Recipe,
    pub model: &'a mut Model<D>,
    pub prompts: &'a Prompts,
    pub set: &'a TrainingSet,
    /// Where checkpoints and metrics go.
    pub folder: &'a Path,
    /// Set by a signal handler: save and stop.
    pub stop: &'a AtomicBool,
    /// Name on the progress bar.
    pub label: &'a str,
}

impl<D: Device> ColdStart<'_, D> {
    /// Trains to the end, from the newest checkpoint of the folder where `resume` is set.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] after a signal, with the state saved.
    pub fn run(&mut self, resume: bool) -> Result<(), TrainError> {
        let recipe = self.recipe;
        let steps = self.set.steps(recipe);
        let plan = Plan {
            folder: self.folder,
            recipe: toml::to_string(&recipe.cold_start()).unwrap_or_default(),
            schedule: Schedule {
                peak: recipe.train.learning_rate,
                warmup: recipe.train.warmup,
                floor: recipe.train.floor,
                steps,
            },
            checkpoint_every: recipe.train.checkpoint_every,
            optimizer: recipe.optimizer,
            pooling: recipe.model.pooling,
            label: self.label,
            stop: self.stop,
        };
        let mut stage = Stage::start(plan, self.model, resume)?;
        while stage.begin_step() {
            let (loss, mix) = recipe.at(stage.state.step, steps);
            let at = stage.state.step;
            let pairs = self.pairs(at..at + 1);
            self.refresh(&mut stage.state, &pairs, &mix)?;
            let batch = self.batch(&stage.state, &pairs, &mix, loss.sft > 0.0);
            let weights = Weights {
                sft: loss.sft,
                info_nce: loss.info_nce,
                temperature: loss.temperature,
            };
            let losses = stage.objective.step(
                self.model,
                self.prompts,
                &batch,
                recipe.train.micro_batch,
                &weights,
                &mut stage.gradients,
            )?;
            let update = stage.update(self.model, &losses)?;
            let (step, seconds) = (stage.state.step + 1, stage.seconds());
            let record = record(step, batch.samples.len(), &losses, &update, seconds);
            stage.end_step(self.model, &record, &summary(&losses, seconds))?;
        }
        stage.finish();
        Ok(())
    }

    /// Samples own thoughts and mines negatives where their time has come, for the queries that are
    /// drawn until it comes again; the step draws `pairs`.
    fn refresh(
        &self,
        state: &mut RunState,
        pairs: &[(u32, u32)],
        mix: &Mix,
    ) -> Result<(), TrainError> {
        let (recipe, set) = (self.recipe, self.set);
        let starts = |every: usize| state.step.is_multiple_of(every);
        let lacks = |&(query, _): &(u32, u32)| {
            let q = query as usize;
            self.uses_own(q) && state.thoughts.get(q).is_none_or(Vec::is_empty)
        };
        let think = mix.own > 0.0 && (starts(recipe.thought.refresh) || pairs.iter().any(lacks));
        let mine = recipe.negatives.per_pair > 0
            && (starts(recipe.negatives.refresh) || state.near_misses.is_empty());
        if !think && !mine {
            return Ok(());
        }
        let model = self.model.packed(WeightFormat::Bf16)?;
        if think {
            let sampling = Sampling {
                temperature: recipe.thought.temperature,
                seed: recipe.train.seed ^ ((state.step as u64) << 32),
                ..Sampling::GREEDY
            };
            let mut wanted = self.queries(state.step, recipe.thought.refresh);
            wanted.retain(|&q| self.uses_own(q));
            state.thoughts = thoughts::own_thoughts(
                &model,
                self.prompts,
                &set.queries,
                &wanted,
                recipe.thought.samples,
                recipe.thought.budget,
                sampling,
            )?;
        }
        if mine {
            let wanted = self.queries(state.step, recipe.negatives.refresh);
            let branch = |&q: &usize| {
                let own = state.thoughts.get(q).and_then(|own| own.first());
                let own = own.filter(|_| mix.own > 0.0);
                let branch = own.map_or_else(|| self.direct(), |own| self.prompts.branch(own));
                [set.queries[q].as_slice(), &branch].concat()
            };
            let branches: Vec<Vec<u32>> = wanted.iter().map(branch).collect();
            state.near_misses = thoughts::near_misses(
                &model,
                self.prompts,
                recipe.model.pooling,
                &branches,
                &wanted,
                set,
                recipe.negatives.depth,
            )?;
        }
        Ok(())
    }
}

fn record(
    step: usize,
    samples: usize,
    l: &Losses,
    update: &Update,
    seconds: f64,
) -> serde_json::Value {
    json!({
        "step": step,
        "loss": l.loss,
        "sft": l.nll / samples.max(1) as f64,
        "sft_per_token": per_token(l),
        "info_nce": l.contrast.info_nce,
        "accuracy": l.contrast.accuracy(),
        "learning_rate": update.learning_rate,
        "gradient_norm": update.gradient_norm,
        "tokens": l.tokens,
        "seconds": seconds,
    })
}

fn per_token(l: &Losses) -> f64 {
    l.nll / l.predicted.max(1) as f64
}

fn summary(l: &Losses, seconds: f64) -> String {
    format!(
        "loss {:.3} sft/token {:.2} InfoNCE {:.3} accuracy {:.2} {:.0} tokens/s",
        l.loss,
        per_token(l),
        l.contrast.info_nce,
        l.contrast.accuracy(),
        l.tokens as f64 / seconds.max(1e-9)
    )
}
