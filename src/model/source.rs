//! A model opened for reading, whichever format it is in; files are mapped, not read.

use std::path::{Path, PathBuf};

use super::config::{Architecture, ModelConfig};
use super::error::ModelError;
use super::gguf::Gguf;
use super::gguf_names;
use super::safetensors::WeightFiles;
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
pub struct ModelSource {
    path: PathBuf,
    config: ModelConfig,
    weights: Weights,
}

enum Weights {
    Folder(WeightFiles),
    Gguf(Box<Gguf>),
}

impl ModelSource {
    /// Opens a folder with `config.json` and `model.safetensors` (or its shards and index), or a
    /// `.gguf` file. Every tensor that the configuration implies is checked to be there in its shape;
    /// the values stay on disk until asked for.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let metadata = std::fs::metadata(path).map_err(ModelError::io(path))?;
        let source = if metadata.is_dir() {
            Self::open_folder(path)?
        } else {
            let gguf = Gguf::open(path)?;
            Self {
                path: path.to_path_buf(),
                config: ModelConfig::from_gguf(&gguf)?,
                weights: Weights::Gguf(Box::new(gguf)),
            }
        };
        for (name, shape) in source.config.tensor_shapes() {
            source.check(&name, &shape)?;
        }
        Ok(source)
    }

    fn open_folder(path: &Path) -> Result<Self, ModelError> {
        let config_path = path.join("config.json");
        let text = std::fs::read_to_string(&config_path).map_err(ModelError::io(&config_path))?;
        let mut config = ModelConfig::from_json(&config_path, &text)?;
        let generation_path = path.join("generation_config.json");
        if generation_path.exists() {
            let text = std::fs::read_to_string(&generation_path)
                .map_err(ModelError::io(&generation_path))?;
            config = config.with_generation(&generation_path, &text)?;
        }
        Ok(Self {
            path: path.to_path_buf(),
            config,
            weights: Weights::Folder(WeightFiles::open(path)?),
        })
    }

    /// The folder or file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// `tokenizer.json` of the folder, or the tokenizer built from GGUF metadata.
    pub fn tokenizer(&self) -> Result<Tokenizer, ModelError> {
        Ok(match &self.weights {
            Weights::Folder(_) => Tokenizer::from_file(&self.path.join("tokenizer.json"))?,
            Weights::Gguf(gguf) => {
                Tokenizer::from_gguf(&self.path, super::gguf_config::vocabulary(gguf)?)?
            }
        })
    }

    /// Every tensor of the files, sorted by the files' names. A GGUF tensor that Hugging Face has no
    /// name for keeps its own.
    pub fn tensors(&self) -> Vec<TensorInfo> {
        match &self.weights {
            Weights::Folder(files) => files
                .names()
                .filter_map(|name| {
                    let tensor = files.tensor(name)?;
                    Some(TensorInfo {
                        name: name.to_owned(),
                        dtype: format!("{:?}", tensor.dtype),
                        shape: tensor.shape.to_vec(),
                    })
                })
                .collect(),
            Weights::Gguf(gguf) => gguf
                .tensors()
                .map(|(name, tensor)| TensorInfo {
                    name: gguf_names::from_gguf(name).unwrap_or_else(|| name.to_owned()),
                    dtype: format!("{:?}", tensor.stored),
                    shape: tensor.shape.clone(),
                })
                .collect(),
        }
    }

    /// Passes the stored weights to `each`, piece by piece: of a folder the name, type, shape and bytes
    /// of every tensor, however they are spread over shards; of a GGUF file all of it.
    pub fn visit_weights(&self, mut each: impl FnMut(&[u8])) {
        match &self.weights {
            Weights::Folder(files) => {
                for name in files.names() {
                    let Some(tensor) = files.tensor(name) else {
                        continue;
                    };
                    let what = format!("{name} {:?} {:?}", tensor.dtype, tensor.shape);
                    each(what.as_bytes());
                    each(tensor.bytes);
                }
            }
            Weights::Gguf(gguf) => each(gguf.bytes()),
        }
    }

    /// Whether the tensor is stored. A tied head may not be: ask the configuration.
    pub fn has(&self, name: &str) -> bool {
        self.stored_shape(name).is_some()
    }

    /// The tensor's values as f32, row-major. An error if it is absent or of another shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        self.check(name, shape)?;
        // The file has a tensor of this shape, so this many values are backed by its bytes.
        let mut values = vec![0.0; shape.iter().product()];
        self.tensor_into(name, shape, &mut values)?;
        Ok(values)
    }

    /// As [`ModelSource::tensor`], written to `out`, whose length must be the product of `shape`.
    pub fn tensor_into(
        &self,
        name: &str,
        shape: &[usize],
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        self.check(name, shape)?;
        let length: usize = shape.iter().product();
        if out.len() != length {
            let message = format!("expected room for {length} values, found {}", out.len());
            return Err(ModelError::tensor(&self.path, name, message));
        }
        match &self.weights {
            Weights::Folder(files) => match files.tensor(name) {
                Some(tensor) => tensor.decode(name, out)?,
                None => return Err(self.absent(name, shape)),
            },
            Weights::Gguf(gguf) => {
                let stored = gguf_names::to_gguf(name).and_then(|name| gguf.tensor(&name));
                gguf.decode(stored.ok_or_else(|| self.absent(name, shape))?, out);
                self.undo_rotary_order(name, out);
            }
        }
        Ok(())
    }

    /// llama.cpp rotates adjacent pairs in its Llama models and has put the rows of q and k in that
    /// order: row `2j + half` of a head is Hugging Face's row `half · head_dim/2 + j`.
    fn undo_rotary_order(&self, name: &str, values: &mut [f32]) {
        let projection = name.contains(".self_attn.q_proj.") || name.contains(".self_attn.k_proj.");
        if !projection || self.config.architecture != Architecture::Llama {
            return;
        }
        let head_dim = self.config.head_dim;
        let columns = match name.ends_with(".bias") {
            true => 1,
            false => self.config.hidden_size,
        };
        for head in values.chunks_exact_mut(head_dim * columns) {
            let stored = head.to_vec();
            for (row, values) in stored.chunks_exact(columns).enumerate() {
                let row = row % 2 * (head_dim / 2) + row / 2;
                head[row * columns..][..columns].copy_from_slice(values);
            }
        }
    }

    fn stored_shape(&self, name: &str) -> Option<&[usize]> {
        match &self.weights {
            Weights::Folder(files) => Some(files.tensor(name)?.shape),
            Weights::Gguf(gguf) => Some(&gguf.tensor(&gguf_names::to_gguf(name)?)?.shape),
        }
    }

    fn check(&self, name: &str, shape: &[usize]) -> Result<(), ModelError> {
        match self.stored_shape(name) {
            None => Err(self.absent(name, shape)),
            Some(found) if found != shape => Err(ModelError::tensor(
                &self.path,
                name,
                format!("expected shape {shape:?}, found {found:?}"),
            )),
            Some(_) => Ok(()),
        }
    }

    fn absent(&self, name: &str, shape: &[usize]) -> ModelError {
        let message = format!("the tensor is absent; expected shape {shape:?}");
        ModelError::tensor(&self.path, name, message)
    }
}
