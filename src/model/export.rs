//! Writing a Hugging Face model folder.

use std::borrow::Cow;
use std::path::Path;

use super::config::ModelConfig;
use super::error::ModelError;
use crate::text::Tokenizer;

/// The type of exported weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    F32,
    /// Rounded to nearest, ties to even.
    Bf16,
}

/// A tensor to be written: its Hugging Face name, shape and row-major values.
pub type NamedTensor<'a> = (String, Vec<usize>, Cow<'a, [f32]>);

/// Writes `config.json`, `generation_config.json`, the tokenizer's files and the weights to the folder
/// `dir`, which `transformers` loads. `config.vocab_size` must be the rows of the embedding tensor and
/// cover the tokenizer's ids. Tensors are taken one at a time and written in order; beyond 5 GB they
/// are split into shards with `model.safetensors.index.json`.
///
/// All is written to a folder beside `dir`, flushed to disk and renamed: `dir` is the old model or the
/// new one, never half of it.
pub fn export<'a>(
    _dir: &Path,
    _config: &ModelConfig,
    _tokenizer: &Tokenizer,
    _tensors: impl IntoIterator<Item = NamedTensor<'a>>,
    _precision: Precision,
) -> Result<(), ModelError> {
    unimplemented!()
}
