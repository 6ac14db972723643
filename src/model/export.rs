//! Writing a Hugging Face model folder.

use std::borrow::Cow;
use std::fs::File;
use std::path::Path;

use serde_json::{Value, json};

use super::config::ModelConfig;
use super::error::ModelError;
use super::safetensors_writer::write_weights;
use crate::text::Tokenizer;

/// The type of exported weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    F32,
    /// Rounded to nearest, ties to even.
    Bf16,
}

impl Precision {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// As safetensors and as `config.json` call it.
    pub(crate) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::F32 => ("F32", "float32"),
            Self::Bf16 => ("BF16", "bfloat16"),
        }
    }
}

/// A tensor to be written: its Hugging Face name, shape and row-major values.
pub type NamedTensor<'a> = (String, Vec<usize>, Cow<'a, [f32]>);

/// Weight files are split beyond this, as `transformers` does.
pub const MAX_SHARD_BYTES: u64 = 5_000_000_000;

/// Writes `config.json`, `generation_config.json`, the tokenizer's files and the weights to the folder
/// `dir`, which `transformers` loads. `tensors` must give every tensor of
/// [`ModelConfig::tensor_shapes`] once, in any order; they are taken and written one at a time. Beyond
/// 5 GB they are split into shards with `model.safetensors.index.json`.
///
/// All is written to a folder beside `dir`, flushed to disk and renamed. A model that is already there
/// is replaced only when the new one is whole; a folder with other files in it is refused.
pub fn export<'a>(
    dir: &Path,
    config: &ModelConfig,
    tokenizer: &Tokenizer,
    tensors: impl IntoIterator<Item = NamedTensor<'a>>,
    precision: Precision,
) -> Result<(), ModelError> {
    export_sharded(dir, config, tokenizer, tensors, precision, MAX_SHARD_BYTES)
}

/// [`export`] with another limit for a weight file; a single larger tensor has a file of its own.
pub fn export_sharded<'a>(
    dir: &Path,
    config: &ModelConfig,
    tokenizer: &Tokenizer,
    tensors: impl IntoIterator<Item = NamedTensor<'a>>,
    precision: Precision,
    max_shard_bytes: u64,
) -> Result<(), ModelError> {
    if tokenizer.vocab_size() > config.vocab_size {
        let message = format!(
            "expected at least the tokenizer's {} ids, found {}",
            tokenizer.vocab_size(),
            config.vocab_size
        );
        return Err(ModelError::field(
            &dir.join("config.json"),
            "vocab_size",
            message,
        ));
    }
    refuse_other_files(dir, &[])?;
    let parent = match dir.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(parent).map_err(ModelError::io(parent))?;
    let aside = tempfile::Builder::new()
        .prefix(".export-")
        .tempdir_in(parent)
        .map_err(ModelError::io(parent))?;
    let folder = aside.path().join("model");
    std::fs::create_dir(&folder).map_err(ModelError::io(&folder))?;

    let (_, torch_dtype) = precision.names();
    write_text(&folder.join("config.json"), &config.to_json(torch_dtype))?;
    write_text(&folder.join("generation_config.json"), &generation(config))?;
    tokenizer.save(&folder)?;
    write_weights(&folder, config, tensors, precision, max_shard_bytes)?;
    for entry in std::fs::read_dir(&folder).map_err(ModelError::io(&folder))? {
        sync(&entry.map_err(ModelError::io(&folder))?.path())?;
    }
    sync(&folder)?;

    let old = aside.path().join("old");
    let replaced = dir.exists();
    if replaced {
        std::fs::rename(dir, &old).map_err(ModelError::io(dir))?;
    }
    if let Err(error) = std::fs::rename(&folder, dir) {
        if replaced {
            std::fs::rename(&old, dir).map_err(ModelError::io(dir))?;
        }
        return Err(ModelError::io(dir)(error));
    }
    sync(parent)
}

/// The folder will be replaced as a whole, so it may hold nothing but what an export writes, and
/// what its caller adds.
pub(crate) fn refuse_other_files(dir: &Path, added: &[&str]) -> Result<(), ModelError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ModelError::io(dir)(error)),
    };
    for entry in entries {
        let name = entry.map_err(ModelError::io(dir))?.file_name();
        let name = name.to_string_lossy();
        let ours = [
            "config.json",
            "generation_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "chat_template.jinja",
            "model.safetensors.index.json",
            "lrem.json",
        ];
        let weights = name.starts_with("model") && name.ends_with(".safetensors");
        if !weights && !ours.iter().chain(added).any(|ours| *ours == name) {
            let message =
                format!("the folder holds {name:?}; expected a new, empty or model folder");
            return Err(ModelError::format(dir, message));
        }
    }
    Ok(())
}

fn generation(config: &ModelConfig) -> String {
    let mut generation = config.generation.clone();
    if generation.is_empty() {
        generation.insert("_from_model_config".into(), json!(true));
    }
    let mut set = |field: &str, value: Value| {
        if !value.is_null() {
            generation.insert(field.into(), value);
        }
    };
    set("bos_token_id", json!(config.bos_token_id));
    set("pad_token_id", json!(config.pad_token_id));
    match config.eos_token_ids.as_slice() {
        [] => {}
        [id] => set("eos_token_id", json!(id)),
        ids => set("eos_token_id", json!(ids)),
    }
    format!("{:#}\n", Value::Object(generation))
}

pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), ModelError> {
    std::fs::write(path, text).map_err(ModelError::io(path))
}

fn sync(path: &Path) -> Result<(), ModelError> {
    let file = File::open(path).map_err(ModelError::io(path))?;
    file.sync_all().map_err(ModelError::io(path))
}
