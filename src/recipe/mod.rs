//! The TOML of an experiment: what is trained, on what, how long.
//!
//! Every key has a default, the paper's where the paper states one; an unknown key is an error.

mod options;
mod rewriter;
mod rl;
mod study;

use crate::embed::{OwnThoughts, Pooling};
use crate::text::PromptText;
use crate::train::optimizer::OptimizerOptions;
pub use options::{
    DataOptions, LossOptions, Mix, ModelOptions, NegativeOptions, Phase, Precision, Sizes,
    ThoughtOptions, TrainOptions,
};
pub use rewriter::Rewriter;
pub use rl::{Baseline, RewardKind, RewardOptions, RlOptions, Variant};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
pub use study::{Contents, Method, Stage, Study};

/// A recipe that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: {message}", path.display())]
    Format { path: PathBuf, message: String },
    #[error("{}: {field}: {message}", path.display())]
    Field {
        path: PathBuf,
        field: &'static str,
        message: String,
    },
}

/// An experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    pub model: ModelOptions,
    pub data: DataOptions,
    pub prompt: PromptText,
    pub train: TrainOptions,
    pub loss: LossOptions,
    pub thought: ThoughtOptions,
    pub negatives: NegativeOptions,
    pub optimizer: OptimizerOptions,
    /// How the trained model embeds queries by its own thoughts; training does not depend on it.
    pub query: OwnThoughts,
    /// Changes of weights during the run, in order; without any, `loss` and `thought.mix` hold
    /// throughout.
    pub phase: Vec<Phase>,
    /// The second stage; absent: the cold start alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rl: Option<RlOptions>,
}

impl Recipe {
    /// Reads and checks a recipe. Relative paths in it are taken from the working directory.
    pub fn read(path: &Path) -> Result<Recipe, RecipeError> {
        let text = std::fs::read_to_string(path).map_err(|source| RecipeError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        Recipe::parse(path, &text)
    }

    /// Parses and checks the text of a recipe; `path` is named in errors.
    pub fn parse(path: &Path, text: &str) -> Result<Recipe, RecipeError> {
        let recipe: Recipe = toml::from_str(text).map_err(|e| RecipeError::Format {
            path: path.to_path_buf(),
            message: at_line(text, &e),
        })?;
        recipe.check(path)?;
        Ok(recipe)
    }

    /// Weights and mix that hold at `step` of `steps`.
    pub fn at(&self, step: usize, steps: usize) -> (LossOptions, Mix) {
        let done = step as f32 / steps.max(1) as f32;
        let (mut loss, mut mix) = (self.loss, self.thought.mix);
        for phase in self.phase.iter().filter(|p| p.from <= done) {
            loss.sft = phase.sft.unwrap_or(loss.sft);
            loss.info_nce = phase.info_nce.unwrap_or(loss.info_nce);
            mix = phase.mix.unwrap_or(mix);
        }
        (loss, mix)
    }

    /// Whether any part of the run embeds queries with a thought.
    pub fn thinks(&self) -> bool {
        let mixes = std::iter::once(&self.thought.mix);
        let mut mixes = mixes.chain(self.phase.iter().filter_map(|p| p.mix.as_ref()));
        mixes.any(|m| !m.only_direct()) || self.rl.is_some()
    }

    /// Whether any part of the run learns to write thoughts.
    fn writes(&self) -> bool {
        let phases = self.phase.iter().filter_map(|phase| phase.sft);
        std::iter::once(self.loss.sft)
            .chain(phases)
            .any(|sft| sft > 0.0)
    }

    /// The recipe of the first stage alone.
    pub fn cold_start(&self) -> Recipe {
        Recipe {
            rl: None,
            ..self.clone()
        }
    }

    fn check(&self, path: &Path) -> Result<(), RecipeError> {
        let t = &self.train;
        let mixes = std::iter::once(&self.thought.mix);
        let mixes = mixes.chain(self.phase.iter().filter_map(|p| p.mix.as_ref()));
        let mix_ok = |m: &Mix| {
            let all = [m.gold, m.own, m.empty, m.query, m.direct];
            all.iter().all(|w| w.is_finite() && *w >= 0.0) && all.iter().sum::<f32>() > 0.0
        };
        let rising = self.phase.windows(2).all(|w| w[0].from < w[1].from);
        let needs_emb = self.model.pooling == Pooling::Emb
            || (self.loss.sft == 0.0 && mixes.clone().all(|m| m.direct > 0.0 && m.only_direct()));
        let positive = |x: f32| x.is_finite() && x > 0.0;
        let model = &self.model;
        let pools = model.pooling == Pooling::LatentAttention;
        let rules: [(bool, &'static str, &str); 18] = [
            (t.batch > 0, "train.batch", "expected at least 1"),
            (
                t.micro_batch > 0,
                "train.micro_batch",
                "expected at least 1",
            ),
            (
                positive(t.epochs),
                "train.epochs",
                "expected a number above 0",
            ),
            (
                positive(t.learning_rate),
                "train.learning_rate",
                "expected a number above 0",
            ),
            (
                (0.0..=1.0).contains(&t.warmup),
                "train.warmup",
                "expected a share from 0 to 1",
            ),
            (
                (0.0..=1.0).contains(&t.floor),
                "train.floor",
                "expected a share from 0 to 1",
            ),
            (
                positive(self.loss.temperature),
                "loss.temperature",
                "expected a number above 0",
            ),
            (
                self.thought.refresh > 0 && self.negatives.refresh > 0,
                "refresh",
                "expected at least 1",
            ),
            (
                self.thought.draws > 0,
                "thought.draws",
                "expected at least 1",
            ),
            (
                (0.0..1.0).contains(&self.thought.withheld),
                "thought.withheld",
                "expected a share from 0 to less than 1",
            ),
            (
                self.thought.samples > 0,
                "thought.samples",
                "expected at least 1",
            ),
            (
                mixes.clone().all(mix_ok),
                "thought.mix",
                "expected weights of at least 0, not all 0",
            ),
            (rising, "phase.from", "expected phases in rising order"),
            (
                self.rl.is_none()
                    || (self.thought.budget > 0 && self.model.pooling == Pooling::Emb),
                "rl",
                "expected thought.budget above 0 and pooling = \"emb\"",
            ),
            (
                !model.bidirectional || !(self.thinks() || self.writes()),
                "model.bidirectional",
                "an encoder writes no thoughts; expected loss.sft = 0 and a thought.mix of direct alone",
            ),
            (
                model.latents.is_none_or(|n| pools && n > 0),
                "model.latents",
                "expected at least 1, with pooling = \"latent_attention\"",
            ),
            (
                model.scratch.as_ref().is_none_or(Sizes::fit),
                "model.scratch",
                "expected sizes of at least 1, and an even number of elements in each of the heads",
            ),
            (
                needs_emb,
                "model.pooling",
                "thoughts need pooling = \"emb\"; other poolings train direct models",
            ),
        ];
        let broken = rules.iter().find(|r| !r.0);
        let broken = broken.map(|&(_, field, message)| (field, message));
        let broken = broken.or_else(|| self.query.problem());
        let rl = self.rl.as_ref();
        match broken.or_else(|| rl.and_then(RlOptions::problem)) {
            None => Ok(()),
            Some((field, message)) => Err(RecipeError::Field {
                path: path.to_path_buf(),
                field,
                message: message.into(),
            }),
        }
    }
}

/// A TOML error in one line, with its line number.
fn at_line(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', " ");
    match error.span() {
        Some(span) => {
            let line = text[..span.start.min(text.len())].matches('\n').count() + 1;
            format!("line {line}: {message}")
        }
        None => message,
    }
}
