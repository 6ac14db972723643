//! Models on disk: what transformers wrote is read, what we write reads back, lies are found.

mod export;
mod folders;
mod gguf;
mod gguf_tokenizers;
mod gguf_writer;
mod lies;
mod smollm2;

use std::path::{Path, PathBuf};

/// The folders of tiny models with expected values.
pub const GOLDEN: [&str; 5] = [
    "llama-tied",
    "llama3-untied",
    "llama-biases",
    "qwen2-yarn",
    "qwen3-linear",
];

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// The f32 tensors of a safetensors file, read without this crate.
pub fn raw_tensors(path: &Path) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    file.iter()
        .filter(|(_, view)| view.dtype() == safetensors::Dtype::F32)
        .map(|(name, view)| {
            let values = view.data().chunks_exact(4);
            let values = values.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            (name.to_owned(), view.shape().to_vec(), values.collect())
        })
        .collect()
}
