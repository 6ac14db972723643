//! The sizes and switches of a decoder model.

use std::path::Path;

use serde_json::{Map, Value};

use super::error::ModelError;
use super::rope_scaling::RopeScaling;

/// The decoder families: pre-norm blocks of RoPE attention and SwiGLU, differing in biases and norms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Llama and its relatives (SmolLM2); biases by configuration.
    Llama,
    /// Qwen2 and Qwen2.5: biases on q, k and v.
    Qwen2,
    /// Qwen3: RMSNorm on every query and key head, no biases by default.
    Qwen3,
}

impl Architecture {
    /// `model_type` of `config.json`, which is also `general.architecture` of GGUF.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    pub(crate) fn from_model_type(name: &str) -> Option<Self> {
        [Self::Llama, Self::Qwen2, Self::Qwen3]
            .into_iter()
            .find(|architecture| architecture.model_type() == name)
    }

    pub(super) fn class_name(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
        }
    }
}

/// A decoder's configuration; sizes are in elements, and checked against each other when read.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    pub architecture: Architecture,
    /// Rows of the embedding table; may exceed the tokenizer's ids (padding).
    pub vocab_size: usize,
    pub hidden_size: usize,
    /// Width of the SwiGLU gate and up projections.
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    /// Divides `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Even; not always `hidden_size / num_attention_heads`.
    pub head_dim: usize,
    pub rms_norm_eps: f32,
    pub rope_theta: f64,
    pub rope_scaling: RopeScaling,
    /// The longest sequence the model was made for, in tokens.
    pub max_position_embeddings: usize,
    /// The output head is the embedding table; there is no `lm_head.weight`.
    pub tie_word_embeddings: bool,
    /// `q_proj`, `k_proj` and `v_proj` have a bias.
    pub attention_bias: bool,
    /// `o_proj` has a bias.
    pub attention_output_bias: bool,
    /// `gate_proj`, `up_proj` and `down_proj` have a bias.
    pub mlp_bias: bool,
    /// `q_norm` and `k_norm` over `head_dim` before RoPE.
    pub qk_norm: bool,
    /// A token sees those behind it too: an encoder, which cannot generate.
    pub bidirectional: bool,
    /// Vectors of latent-attention pooling; 0: the model has none.
    pub latents: usize,
    pub bos_token_id: Option<u32>,
    /// Every token that ends a generation: those of `config.json`, then further ones of
    /// `generation_config.json`.
    pub eos_token_ids: Vec<u32>,
    pub pad_token_id: Option<u32>,
    /// `generation_config.json` as it was read, written back on export; empty when there was none.
    pub generation: Map<String, Value>,
}

/// No dimension of a model is larger; what a file claims beyond is a lie or a mistake.
const LARGEST_DIMENSION: usize = 1 << 28;

impl ModelConfig {
    /// The configuration of latent attention's layer: one of the model's, without biases and norms of heads.
    pub(super) fn latent_layer(&self) -> ModelConfig {
        ModelConfig {
            num_hidden_layers: 1,
            attention_bias: false,
            attention_output_bias: false,
            mlp_bias: false,
            qk_norm: false,
            latents: 0,
            ..self.clone()
        }
    }

    /// What every reader ends with: sizes that fit each other. `path` is named in errors.
    pub(crate) fn check(&self, path: &Path) -> Result<(), ModelError> {
        let error = |field: &str, message: String| Err(ModelError::field(path, field, message));
        for (field, size) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ] {
            if size == 0 || size > LARGEST_DIMENSION {
                return error(
                    field,
                    format!("expected 1 to {LARGEST_DIMENSION}, found {size}"),
                );
            }
        }
        if self.latents > LARGEST_DIMENSION {
            let found = self.latents;
            return error(
                "latents",
                format!("expected at most {LARGEST_DIMENSION}, found {found}"),
            );
        }
        if !self
            .num_attention_heads
            .is_multiple_of(self.num_key_value_heads)
        {
            return error(
                "num_key_value_heads",
                format!(
                    "expected a divisor of num_attention_heads ({}), found {}",
                    self.num_attention_heads, self.num_key_value_heads
                ),
            );
        }
        if !self.head_dim.is_multiple_of(2) {
            return error(
                "head_dim",
                format!("expected an even number, found {}", self.head_dim),
            );
        }
        if !(self.rms_norm_eps >= 0.0 && self.rms_norm_eps < 1.0) {
            return error(
                "rms_norm_eps",
                format!(
                    "expected a small positive number, found {}",
                    self.rms_norm_eps
                ),
            );
        }
        if !(self.rope_theta > 1.0 && self.rope_theta.is_finite()) {
            return error(
                "rope_theta",
                format!("expected a number above 1, found {}", self.rope_theta),
            );
        }
        let eos = self.eos_token_ids.iter().map(|id| ("eos_token_id", *id));
        let bos = self.bos_token_id.iter().map(|id| ("bos_token_id", *id));
        for (field, id) in eos.chain(bos) {
            if id as usize >= self.vocab_size {
                let size = self.vocab_size;
                return error(
                    field,
                    format!("expected an id below vocab_size ({size}), found {id}"),
                );
            }
        }
        Ok(())
    }

    /// Cosines and sines of positions `0..positions`, each `[positions, head_dim/2]`, computed in f64
    /// with frequency scaling and YaRN's attention factor applied, then rounded once.
    pub fn rope_table(&self, positions: usize) -> (Vec<f32>, Vec<f32>) {
        let frequencies = self
            .rope_scaling
            .frequencies(self.head_dim, self.rope_theta);
        let scale = self.rope_scaling.attention_factor();
        let angles = (0..positions)
            .flat_map(|position| frequencies.iter().map(move |f| position as f64 * f));
        angles
            .map(|angle| {
                let (sin, cos) = angle.sin_cos();
                ((cos * scale) as f32, (sin * scale) as f32)
            })
            .unzip()
    }
}
