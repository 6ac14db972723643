//! What a step of the reinforcement stage leaves for the reader: a line of metrics, sampled thoughts.

use super::judge::Judgement;
use super::policy::Seen;
use super::rollouts::Group;
use crate::reason::{Ending, Thought};
use crate::text::{Prompts, Tokenizer};
use crate::train::TrainError;
use crate::train::metrics::MetricsLog;
use crate::train::objective::Losses;
use crate::train::stage::Update;
use crate::train::training_set::TrainingSet;
use serde_json::{Value, json};
use std::path::Path;

/// A step's figures, gathered while it runs.
pub struct Step {
    thoughts: usize,
    /// Means over thoughts.
    length: f64,
    closed: f64,
    entropy: f64,
    /// Tokens decoded, and seconds that it took.
    decoded: usize,
    drawing: f64,
    updates: Vec<(Losses, Update, Seen)>,
}

impl Step {
    /// Figures of the groups, which took `drawing` seconds to sample.
    pub fn new(groups: &[Group], drawing: f64) -> Step {
        let all: Vec<&Thought> = groups.iter().flat_map(|g| &g.thoughts).collect();
        let mean = |f: &dyn Fn(&Thought) -> f64| {
            all.iter().map(|t| f(t)).sum::<f64>() / all.len().max(1) as f64
        };
        Step {
            thoughts: all.len(),
            length: mean(&|t| t.tokens.len() as f64),
            closed: mean(&|t| f64::from(u8::from(t.ending == Ending::Closed))),
            entropy: mean(&|t| f64::from(t.entropy)),
            decoded: all.iter().map(|t| t.drawn.len()).sum(),
            drawing,
            updates: Vec::new(),
        }
    }

    /// Adds an update.
    pub fn updated(&mut self, losses: Losses, update: Update, seen: Seen) {
        self.updates.push((losses, update, seen));
    }

    /// The line of `metrics.jsonl`. Loss, InfoNCE and accuracy are the first update's, which are those
    /// of the policy that drew; `policy_gap` is how far its log-probabilities are from the decode
    /// loop's, a token; `clip_fraction` and `kl` are the last update's.
    pub fn record(&self, step: usize, judgement: &Judgement, seconds: f64) -> Value {
        let (Some((losses, update, first)), Some((_, _, last))) =
            (self.updates.first(), self.updates.last())
        else {
            return Value::Null;
        };
        let trained: usize = self.updates.iter().map(|u| u.0.tokens).sum();
        json!({
            "step": step,
            "loss": losses.loss,
            "policy_loss": first.loss,
            "info_nce": losses.contrast.info_nce,
            "accuracy": losses.contrast.accuracy(),
            "reward": judgement.mean(),
            "rewards": judgement.parts_json(),
            "advantage_spread": judgement.spread,
            "flat_groups": judgement.flat,
            "thought_length": self.length,
            "format_rate": self.closed,
            "entropy": self.entropy,
            "clip_fraction": last.clipped as f64 / last.ratios.max(1) as f64,
            "kl": last.kl,
            "policy_gap": first.moved / first.tokens.max(1) as f64,
            "learning_rate": update.learning_rate,
            "gradient_norm": update.gradient_norm,
            "tokens": trained,
            "decoded": self.decoded,
            "rollouts_per_second": self.thoughts as f64 / seconds,
            "tokens_per_second": (trained + self.decoded) as f64 / seconds,
            "drawing_seconds": self.drawing,
            "seconds": seconds,
        })
    }

    /// The line of the progress bar.
    pub fn summary(&self, judgement: &Judgement, seconds: f64) -> String {
        let losses = self.updates.first().map(|u| &u.0.contrast);
        format!(
            "reward {:.3} InfoNCE {:.3} accuracy {:.2} length {:.1} {:.1} rollouts/s",
            judgement.mean(),
            losses.map_or(0.0, |c| c.info_nce),
            losses.map_or(0.0, |c| c.accuracy()),
            self.length,
            self.thoughts as f64 / seconds
        )
    }
}

/// `thoughts.jsonl`: of every step, one query with all of its thoughts and their rewards.
pub struct ThoughtsLog(MetricsLog);

impl ThoughtsLog {
    /// Opens the log, keeping the lines of the first `steps` steps.
    pub fn open(folder: &Path, steps: usize) -> Result<ThoughtsLog, TrainError> {
        Ok(ThoughtsLog(MetricsLog::open(
            &folder.join("thoughts.jsonl"),
            steps,
        )?))
    }

    /// Writes the first group of the step after `step` steps.
    pub fn write(
        &mut self,
        step: usize,
        tokenizer: &Tokenizer,
        set: &TrainingSet,
        prompts: &Prompts,
        groups: &[Group],
        judgement: &Judgement,
    ) -> Result<(), TrainError> {
        let Some(group) = groups.first() else {
            return Ok(());
        };
        let query = &set.queries[group.query as usize];
        let query = &query[..query.len() - prompts.query_suffix.len()];
        let thoughts = group.thoughts.iter().zip(&judgement.rewards);
        let thoughts = thoughts.map(|(thought, reward)| {
            let text = tokenizer.decode(&thought.tokens)?;
            Ok(json!({"thought": text.trim(), "reward": reward}))
        });
        let thoughts: Result<Vec<Value>, TrainError> = thoughts.collect();
        let query = tokenizer.decode(query)?;
        self.0
            .write(&json!({"step": step + 1, "query": query, "thoughts": thoughts?}))
    }
}
