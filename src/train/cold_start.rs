//! Stage 1: next-token loss on thoughts and InfoNCE between queries and items (eq. 4, 7, 8).
//!
//! A step draws `batch` query-item pairs. For each pair a draw from the mix decides with which
//! thought the query is embedded: the teacher's, one the model sampled itself, none, … The teacher's
//! thought is also learned by next-token loss, in a branch of its own where InfoNCE uses another;
//! both hang from the same query, which is computed once.

use super::batch::{Branch, Sample, TrainBatch};
use super::checkpoint::RunState;
use super::objective::{Losses, Weights};
use super::schedule::Schedule;
use super::stage::{Plan, Stage, Update};
use super::training_set::{ItemRows, TrainingSet};
use super::{TrainError, thoughts};
use crate::device::Device;
use crate::model::Model;
use crate::ops::linear::WeightFormat;
use crate::ops::philox::PhiloxStream;
use crate::ops::sample::Sampling;
use crate::recipe::{Mix, Recipe};
use crate::text::Prompts;
use serde_json::json;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Streams of random numbers: a step's draws, which queries' thoughts are withheld, and a step's lessons;
/// those of an epoch's shuffle are in [`TrainingSet`].
const DRAW: u64 = 2 << 32;
const WITHHELD: u64 = 4 << 32;
const LESSONS: u64 = 8 << 32;

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

    /// The pairs that steps draw.
    fn pairs(&self, steps: Range<usize>) -> Vec<(u32, u32)> {
        let o = &self.recipe.train;
        self.set
            .draw(o.seed, steps.start * o.batch..steps.end * o.batch)
    }

    /// The queries drawn from `step` on until the next multiple of `every`, each once, in order.
    fn queries(&self, step: usize, every: usize) -> Vec<usize> {
        let end = ((step / every + 1) * every).min(self.set.steps(self.recipe));
        let pairs = self.pairs(step..end);
        let mut queries: Vec<usize> = pairs.iter().map(|p| p.0 as usize).collect();
        queries.sort_unstable();
        queries.dedup();
        queries
    }

    /// Whether the query's thought is never learned.
    fn withheld(&self, query: usize) -> bool {
        let share = self.recipe.thought.withheld;
        let mut random = PhiloxStream::new(self.recipe.train.seed, WITHHELD + query as u64);
        share > 0.0 && random.uniform() < share
    }

    /// Whether the query is embedded with own thoughts where the mix says so.
    fn uses_own(&self, query: usize) -> bool {
        self.recipe.thought.withheld == 0.0 || self.withheld(query)
    }

    fn direct(&self) -> Vec<u32> {
        let emb = self.recipe.model.pooling.appends_emb();
        emb.then_some(self.prompts.emb).into_iter().collect()
    }

    /// The step's lessons in the catalogue's words.
    fn lessons(&self, step: usize) -> Vec<Sample> {
        let (recipe, lessons) = (self.recipe, &self.set.lessons);
        if lessons.is_empty() {
            return Vec::new();
        }
        let mut random = PhiloxStream::new(recipe.train.seed, LESSONS + step as u64);
        let mut lesson = |_| {
            let (query, thought) = &lessons[random.below(lessons.len())];
            let branch = Branch {
                ids: self.prompts.branch(thought),
                ..Branch::default()
            };
            Sample {
                query: query.clone(),
                branches: vec![branch.learned()],
                positives: Vec::new(),
            }
        };
        (0..recipe.thought.lessons).map(&mut lesson).collect()
    }

    /// Samples and items of the state's step, which draws `pairs`.
    fn batch(
        &self,
        state: &RunState,
        pairs: &[(u32, u32)],
        mix: &Mix,
        supervised: bool,
    ) -> TrainBatch {
        let (recipe, set) = (self.recipe, self.set);
        let mut random = PhiloxStream::new(recipe.train.seed, DRAW + state.step as u64);
        let (mut samples, mut rows) = (Vec::with_capacity(pairs.len()), ItemRows::default());
        for &(query, row) in pairs {
            let q = query as usize;
            let target = rows.place(row);
            let gold = self.prompts.branch(&set.gold[q]);
            // The teacher's thought is learned once, whether a query embeds with it or not.
            let mut learns = supervised && !self.withheld(q);
            let (shift, draws) = (random.uniform(), recipe.thought.draws);
            let mut branches = Vec::with_capacity(draws + 1);
            for k in 0..draws {
                let ids = match draw(mix, (k as f32 + shift) / draws as f32) {
                    Thought::Gold => gold.clone(),
                    Thought::Own if self.uses_own(q) => {
                        let own = &state.thoughts[q];
                        self.prompts.branch(&own[random.below(own.len())])
                    }
                    Thought::Empty => self.prompts.branch(&[]),
                    Thought::Query => self.prompts.branch(&set.repeated[q]),
                    Thought::Own | Thought::Direct => self.direct(),
                };
                let teacher = learns && ids == gold;
                learns &= !teacher;
                let branch = Branch::embedding(ids, target);
                branches.push(if teacher { branch.learned() } else { branch });
            }
            if learns {
                let branch = Branch {
                    ids: gold,
                    ..Branch::default()
                };
                branches.push(branch.learned());
            }
            samples.push(set.sample(q, branches));
        }
        if supervised {
            samples.extend(self.lessons(state.step));
        }
        for &(query, _) in pairs {
            let misses = state.near_misses.get(query as usize);
            for _ in 0..recipe.negatives.per_pair {
                if let Some(misses) = misses.filter(|m| !m.is_empty()) {
                    rows.place(misses[random.below(misses.len())]);
                }
            }
        }
        TrainBatch {
            samples,
            items: set.batch_items(&rows),
        }
    }
}

enum Thought {
    Gold,
    Own,
    Empty,
    Query,
    Direct,
}

/// The kind of thought at `u` in [0, 1) of the mix's weights.
fn draw(mix: &Mix, u: f32) -> Thought {
    let kinds = [
        (mix.gold, Thought::Gold),
        (mix.own, Thought::Own),
        (mix.empty, Thought::Empty),
        (mix.query, Thought::Query),
    ];
    let mut left = u * (kinds.iter().map(|k| k.0).sum::<f32>() + mix.direct);
    for (weight, kind) in kinds {
        if left < weight {
            return kind;
        }
        left -= weight;
    }
    if mix.direct > 0.0 {
        Thought::Direct
    } else {
        Thought::Gold
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
