//! The tables of a recipe, each with the paper's values as defaults where the paper states them.

use crate::embed::Pooling;
use crate::model::ModelConfig;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

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
    /// A token sees those behind it too, as in an encoder, which embeds without thoughts. The instructions
    /// before a query or title, shared by all, see themselves alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bidirectional: bool,
    /// Vectors of `pooling = "latent_attention"`; NV-Embed's 512 where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latents: Option<usize>,
    /// Sizes of a model with random weights, of which the base gives the tokenizer alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch: Option<Sizes>,
}

/// Sizes of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    pub layers: usize,
    pub hidden: usize,
    /// Attention heads, of `hidden / heads` elements each.
    pub heads: usize,
    /// Width of the SwiGLU.
    pub intermediate: usize,
}

impl Sizes {
    /// Whether a model can have them.
    pub fn fit(&self) -> bool {
        let all = [self.layers, self.hidden, self.heads, self.intermediate];
        all.iter().all(|&size| size > 0) && self.hidden.is_multiple_of(2 * self.heads)
    }
}

impl ModelOptions {
    /// Whether the model that is trained has other tensors or another attention than its base.
    pub fn changes_base(&self) -> bool {
        self.bidirectional || self.pooling == Pooling::LatentAttention || self.scratch.is_some()
    }

    /// Makes a base's configuration that of the model that is trained.
    pub fn change(&self, config: &mut ModelConfig) {
        if let Some(sizes) = &self.scratch {
            config.num_hidden_layers = sizes.layers;
            config.hidden_size = sizes.hidden;
            config.intermediate_size = sizes.intermediate;
            config.num_attention_heads = sizes.heads;
            config.num_key_value_heads = sizes.heads;
            config.head_dim = sizes.hidden / sizes.heads.max(1);
        }
        config.bidirectional |= self.bidirectional;
        if self.pooling == Pooling::LatentAttention {
            // Where the base has vectors already, they are kept unless another number is asked for.
            let kept = Some(config.latents).filter(|&n| n > 0);
            config.latents = self.latents.or(kept).unwrap_or(LATENTS);
        }
    }
}

/// Vectors of latent attention (NV-Embed, arXiv 2405.17428, section 4.1).
const LATENTS: usize = 512;

impl Default for ModelOptions {
    fn default() -> Self {
        ModelOptions {
            base: PathBuf::new(),
            pooling: Pooling::Emb,
            new_token_like: "<|im_end|>".into(),
            new_token_noise: 0.02,
            context: 1024,
            bidirectional: false,
            latents: None,
            scratch: None,
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

impl Mix {
    /// Whether queries are embedded without a thought.
    pub fn only_direct(&self) -> bool {
        self.gold + self.own + self.empty + self.query == 0.0
    }
}

/// Thoughts in training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThoughtOptions {
    /// l: most tokens of a thought (the paper's production value).
    pub budget: usize,
    pub mix: Mix,
    /// Embeddings of a pair's query in a step, each with a thought drawn from the mix; the draws are
    /// stratified, so that with weights of a third and two thirds three draws are one and two.
    pub draws: usize,
    /// Share of the queries whose thought is withheld: it is never learned, so the model's own thoughts
    /// about them are as good as about new queries, and only these queries are embedded with own
    /// thoughts (others without, where the mix says own). 0: every query is both learned and embedded.
    pub withheld: f32,
    /// Lessons in the catalogue's words added to a step, by next-token loss alone: one part of a title as
    /// the query, the rest of it as the thought. They are no query-item pairs.
    pub lessons: usize,
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
            draws: 1,
            withheld: 0.0,
            lessons: 0,
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
