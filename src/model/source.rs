//! A model opened for reading, whichever format it is in; files are mapped, not read.

use std::path::Path;

use super::config::ModelConfig;
use super::error::ModelError;
use crate::text::Tokenizer;

/// What a file says of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// By Hugging Face's name, such as `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// The stored type, such as `BF16` or `Q4_K`.
    pub dtype: String,
    /// Rows first: a linear layer is `[out_features, in_features]`.
    pub shape: Vec<usize>,
}

/// A Hugging Face folder or a GGUF file. Tensors are asked for by Hugging Face's names and come as f32.
pub struct ModelSource {}

impl ModelSource {
    /// Opens a folder with `config.json` and `model.safetensors` (or its shards and index), or a
    /// `.gguf` file. Headers are read and checked; the tensors stay on disk until asked for.
    pub fn open(_path: &Path) -> Result<Self, ModelError> {
        unimplemented!()
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        unimplemented!()
    }

    /// `tokenizer.json` of the folder, or the tokenizer built from GGUF metadata.
    pub fn tokenizer(&self) -> Result<Tokenizer, ModelError> {
        unimplemented!()
    }

    /// Every tensor of the model, sorted by name.
    pub fn tensors(&self) -> Vec<TensorInfo> {
        unimplemented!()
    }

    /// Whether the tensor is stored. A tied head is not stored: ask the configuration.
    pub fn has(&self, _name: &str) -> bool {
        unimplemented!()
    }

    /// The tensor's values as f32, row-major. An error if it is absent or of another shape.
    pub fn tensor(&self, _name: &str, _shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        unimplemented!()
    }

    /// As [`ModelSource::tensor`], written to `out`, whose length is the product of `shape`.
    pub fn tensor_into(
        &self,
        _name: &str,
        _shape: &[usize],
        _out: &mut [f32],
    ) -> Result<(), ModelError> {
        unimplemented!()
    }
}
