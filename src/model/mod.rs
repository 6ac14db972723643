//! Models: their configuration, the files they are read from and written to.

pub mod config;
pub mod error;
pub mod export;
pub mod rope_scaling;
pub mod source;

mod gguf;
mod gguf_config;
mod gguf_cursor;
mod gguf_names;
mod gguf_quant;
mod json_fields;
mod safetensors;
mod safetensors_writer;
mod tensors;

pub use config::{Architecture, ModelConfig};
pub use error::ModelError;
pub use export::{MAX_SHARD_BYTES, NamedTensor, Precision, export, export_sharded};
pub use rope_scaling::RopeScaling;
pub use source::{ModelSource, TensorInfo};
