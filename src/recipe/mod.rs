//! The TOML of an experiment: what is trained, on what, how long.
//!
//! Every key has a default, the paper's where the paper states one; an unknown key is an error.

use crate::embed::Pooling;
use crate::text::PromptText;
use crate::train::optimizer::OptimizerOptions;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

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
    /// Changes of weights during the run, in order; without any, `loss` and `thought.mix` hold
    /// throughout.
    pub phase: Vec<Phase>,
}

/// Where the run starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelOptions {
    /// Hugging Face folder or GGUF file.
    pub base: PathBuf,
    /// Which hidden state is the embedding.
    pub pooling: Pooling,
    /// Token whose embedding row the three new tokens start from (mean rows start 16-18 nats behind
    /// as outputs); absent from the vocabulary: the end-of-sequence token.
    pub new_token_like: String,
    /// Standard deviation of the noise on the new rows.
    pub new_token_noise: f32,
    /// Longest sequence, in tokens.
    pub context: usize,
}

impl Default for ModelOptions {
    fn default() -> Self {
        ModelOptions {
            base: PathBuf::new(),
            pooling: Pooling::Emb,
            new_token_like: "<|im_end|>".into(),
            new_token_noise: 0.02,
            context: 1024,
        }
    }
}

/// The data set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataOptions {
    pub catalogue: PathBuf,
    pub train: PathBuf,
    /// Train on the `cot_long` thoughts.
    pub long_thoughts: bool,
}

/// Precision of products in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    F32,
    /// bf16 factors, f32 sums and masters (the paper trains in bf16).
    #[default]
    Bf16,
}

/// Length and size of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainOptions {
    pub seed: u64,
    /// Query-item pairs per optimizer step (the paper: 128 on each of 128 GPUs).
    pub batch: usize,
    /// Pairs computed at a time; the whole batch stays the pool of negatives.
    pub micro_batch: usize,
    pub epochs: f32,
    /// Stops after this many steps, where it is not 0.
    pub steps: usize,
    pub learning_rate: f32,
    pub warmup: f32,
    /// Last learning rate as a share of the peak.
    pub floor: f32,
    pub precision: Precision,
    /// Steps between checkpoints; 0: only at the end.
    pub checkpoint_every: usize,
}

impl Default for TrainOptions {
    /// The paper's rate, warm-up, batch and epoch; cosine to 0.
    fn default() -> Self {
        TrainOptions {
            seed: 0,
            batch: 128,
            micro_batch: 32,
            epochs: 1.0,
            steps: 0,
            learning_rate: 1e-5,
            warmup: 0.03,
            floor: 0.0,
            precision: Precision::Bf16,
            checkpoint_every: 100,
        }
    }
}

/// Weights of the objective (eq. 8).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossOptions {
    /// λ1.
    pub sft: f32,
    /// λ2.
    pub info_nce: f32,
    /// τ; the paper does not state it: 0.05, as is common for in-batch InfoNCE on cosines.
    pub temperature: f32,
}

impl Default for LossOptions {
    fn default() -> Self {
        LossOptions {
            sft: 0.1,
            info_nce: 1.0,
            temperature: 0.05,
        }
    }
}

/// With which thought a query is embedded in InfoNCE: weights of a draw per pair and step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mix {
    /// The teacher's thought.
    pub gold: f32,
    /// A thought that the model itself sampled.
    pub own: f32,
    /// `<think></think>`.
    pub empty: f32,
    /// The query repeated as its thought.
    pub query: f32,
    /// No thought: `<emb>` right after the prompt (or the pooling's own position).
    pub direct: f32,
}

impl Default for Mix {
    fn default() -> Self {
        Mix {
            gold: 1.0,
            own: 0.0,
            empty: 0.0,
            query: 0.0,
            direct: 0.0,
        }
    }
}

/// Thoughts in training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThoughtOptions {
    /// l: most tokens of a thought (the paper's production value).
    pub budget: usize,
    pub mix: Mix,
    /// Steps between refreshes of the model's own thoughts.
    pub refresh: usize,
    /// Own thoughts kept per query at a refresh.
    pub samples: usize,
    /// Temperature they are sampled at.
    pub temperature: f32,
}

impl Default for ThoughtOptions {
    fn default() -> Self {
        ThoughtOptions {
            budget: 16,
            mix: Mix::default(),
            refresh: 50,
            samples: 2,
            temperature: 1.0,
        }
    }
}

/// Negatives mined from the model's own index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NegativeOptions {
    /// Mined items added to the batch per pair; 0: in-batch negatives only (the paper).
    pub per_pair: usize,
    /// Best-ranked irrelevant items they are drawn from.
    pub depth: usize,
    /// Steps between refreshes of the index.
    pub refresh: usize,
}

impl Default for NegativeOptions {
    fn default() -> Self {
        NegativeOptions {
            per_pair: 0,
            depth: 16,
            refresh: 100,
        }
    }
}

/// From which point of the run other weights hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Share of the run, from 0 to 1, at which the phase begins.
    pub from: f32,
    pub sft: Option<f32>,
    pub info_nce: Option<f32>,
    pub mix: Option<Mix>,
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
        mixes.any(|m| !only_direct(m))
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
            || (self.loss.sft == 0.0 && mixes.clone().all(|m| m.direct > 0.0 && only_direct(m)));
        let positive = |x: f32| x.is_finite() && x > 0.0;
        let rules: [(bool, &'static str, &str); 12] = [
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
                needs_emb,
                "model.pooling",
                "thoughts need pooling = \"emb\"; other poolings train direct models",
            ),
        ];
        match rules.iter().find(|r| !r.0) {
            None => Ok(()),
            Some(&(_, field, message)) => Err(RecipeError::Field {
                path: path.to_path_buf(),
                field,
                message: message.into(),
            }),
        }
    }
}

fn only_direct(m: &Mix) -> bool {
    m.gold + m.own + m.empty + m.query == 0.0
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
