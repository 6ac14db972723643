//! Stage 1: next-token loss on thoughts and InfoNCE between queries and items (eq. 4, 7, 8).
//!
//! A step draws `batch` query-item pairs. For each pair a draw from the mix decides with which
//! thought the query is embedded: the teacher's, one the model sampled itself, none, … The teacher's
//! thought is also learned by next-token loss, in a branch of its own where InfoNCE uses another;
//! both hang from the same query, which is computed once.

use super::batch::{BatchItem, Branch, Sample, TrainBatch};
use super::checkpoint::{self, RunState};
use super::metrics::{MetricsLog, Progress};
use super::objective::{Losses, Objective, Weights};
use super::optimizer::Optimizer;
use super::schedule::Schedule;
use super::training_set::TrainingSet;
use super::{TrainError, thoughts};
use crate::device::Device;
use crate::model::Model;
use crate::ops::linear::WeightFormat;
use crate::ops::philox::PhiloxStream;
use crate::ops::sample::Sampling;
use crate::recipe::{Mix, Recipe};
use crate::text::Prompts;
use serde_json::json;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Stream of the random numbers of a step; those of an epoch's shuffle are in [`TrainingSet`].
const DRAW: u64 = 2 << 32;

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
        let text = toml::to_string(recipe).unwrap_or_default();
        std::fs::create_dir_all(self.folder).map_err(TrainError::io(self.folder))?;
        let mut optimizer = Optimizer::new(self.model, recipe.optimizer)?;
        let resumed = if resume {
            checkpoint::resume(self.folder, &text, self.model, &mut optimizer)?
        } else {
            None
        };
        let mut state = resumed.unwrap_or(RunState {
            step: 0,
            recipe: text,
            thoughts: Vec::new(),
            near_misses: Vec::new(),
        });
        let steps = self.set.steps(recipe);
        let schedule = Schedule {
            peak: recipe.train.learning_rate,
            warmup: recipe.train.warmup,
            floor: recipe.train.floor,
            steps,
        };
        let mut log = MetricsLog::open(&self.folder.join("metrics.jsonl"), state.step)?;
        let mut gradients = self.model.zero_gradients()?;
        let mut objective = Objective::new(self.model, recipe.model.pooling)?;
        let mut progress = Progress::new(self.label, state.step, steps);
        while state.step < steps {
            let started = Instant::now();
            let step = state.step;
            let (loss, mix) = recipe.at(step, steps);
            self.refresh(&mut state, &mix)?;
            let batch = self.batch(&state, &mix, loss.sft > 0.0);
            let weights = Weights {
                sft: loss.sft,
                info_nce: loss.info_nce,
                temperature: loss.temperature,
            };
            let micro = recipe.train.micro_batch;
            let losses = objective.step(
                self.model,
                self.prompts,
                &batch,
                micro,
                &weights,
                &mut gradients,
            )?;
            if !losses.loss.is_finite() {
                let loss = losses.loss;
                return Err(TrainError::Diverged { step, loss });
            }
            let rate = schedule.rate(step);
            let norm = optimizer.update(self.model, &mut gradients, rate)?;
            state.step += 1;
            let seconds = started.elapsed().as_secs_f64();
            log.write(&record(
                state.step,
                batch.samples.len(),
                &losses,
                rate,
                norm,
                seconds,
            ))?;
            progress.update(state.step, &summary(&losses, seconds));
            let every = recipe.train.checkpoint_every;
            let stop = self.stop.load(Ordering::Relaxed);
            if stop || state.step == steps || (every > 0 && state.step.is_multiple_of(every)) {
                checkpoint::save(self.folder, &state, self.model, &optimizer)?;
            }
            if stop && state.step < steps {
                return Err(TrainError::Interrupted { step: state.step });
            }
        }
        progress.finish();
        Ok(())
    }

    /// Samples own thoughts and mines negatives where their time has come.
    fn refresh(&self, state: &mut RunState, mix: &Mix) -> Result<(), TrainError> {
        let (recipe, set) = (self.recipe, self.set);
        let due = |empty: bool, every: usize| empty || state.step.is_multiple_of(every);
        let think = mix.own > 0.0 && due(state.thoughts.is_empty(), recipe.thought.refresh);
        let mine = recipe.negatives.per_pair > 0
            && due(state.near_misses.is_empty(), recipe.negatives.refresh);
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
            let (samples, budget) = (recipe.thought.samples, recipe.thought.budget);
            state.thoughts = thoughts::own_thoughts(
                &model,
                self.prompts,
                &set.queries,
                samples,
                budget,
                sampling,
            )?;
        }
        if mine {
            let branches: Vec<Vec<u32>> = (0..set.queries.len())
                .map(|q| {
                    let mut ids = set.queries[q].clone();
                    ids.extend(self.branch(state, mix, q, 0));
                    ids
                })
                .collect();
            state.near_misses = thoughts::near_misses(
                &model,
                self.prompts,
                recipe.model.pooling,
                &branches,
                &set.items,
                &set.relevant,
                recipe.negatives.depth,
            )?;
        }
        Ok(())
    }

    /// The branch with which a query searches: its own thought where the mix has own thoughts,
    /// otherwise none.
    fn branch(&self, state: &RunState, mix: &Mix, query: usize, sample: usize) -> Vec<u32> {
        if mix.own > 0.0 {
            return self.prompts.branch(&state.thoughts[query][sample]);
        }
        self.direct()
    }

    fn direct(&self) -> Vec<u32> {
        let emb = self.recipe.model.pooling.appends_emb();
        emb.then_some(self.prompts.emb).into_iter().collect()
    }

    /// Samples and items of the state's step.
    fn batch(&self, state: &RunState, mix: &Mix, supervised: bool) -> TrainBatch {
        let (recipe, set) = (self.recipe, self.set);
        let seed = recipe.train.seed;
        let mut random = PhiloxStream::new(seed, DRAW + state.step as u64);
        let pairs = set.draw(seed, state.step, recipe.train.batch);
        let mut batch = TrainBatch::default();
        let mut rows: Vec<u32> = Vec::new();
        let mut place = |row: u32| match rows.iter().position(|&r| r == row) {
            Some(at) => at as u32,
            None => {
                rows.push(row);
                rows.len() as u32 - 1
            }
        };
        for &(query, row) in &pairs {
            let q = query as usize;
            let target = place(row);
            let gold = self.prompts.branch(&set.gold[q]);
            // The teacher's thought is learned once, whether a query embeds with it or not.
            let mut learns = supervised;
            let (shift, draws) = (random.uniform(), recipe.thought.draws);
            let mut branches = Vec::with_capacity(draws + 1);
            for k in 0..draws {
                let ids = match draw(mix, (k as f32 + shift) / draws as f32) {
                    Thought::Gold => gold.clone(),
                    Thought::Own => {
                        let sample = random.below(state.thoughts[q].len());
                        self.branch(state, mix, q, sample)
                    }
                    Thought::Empty => self.prompts.branch(&[]),
                    Thought::Query => self.prompts.branch(&set.repeated[q]),
                    Thought::Direct => self.direct(),
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
            batch.samples.push(Sample {
                query: set.queries[q].clone(),
                branches,
                positives: set.relevant[q].iter().map(|&r| u64::from(r)).collect(),
            });
        }
        for &(query, _) in &pairs {
            let misses = state.near_misses.get(query as usize);
            for _ in 0..recipe.negatives.per_pair {
                if let Some(misses) = misses.filter(|m| !m.is_empty()) {
                    place(misses[random.below(misses.len())]);
                }
            }
        }
        batch.items = rows
            .iter()
            .map(|&row| BatchItem {
                key: u64::from(row),
                ids: set.items[row as usize].clone(),
            })
            .collect();
        batch
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
    rate: f32,
    norm: f64,
    seconds: f64,
) -> serde_json::Value {
    json!({
        "step": step,
        "loss": l.loss,
        "sft": l.nll / samples.max(1) as f64,
        "sft_per_token": per_token(l),
        "info_nce": l.contrast.info_nce,
        "accuracy": l.contrast.accuracy(),
        "learning_rate": rate,
        "gradient_norm": norm,
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
