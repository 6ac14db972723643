//! Decoder language models: configuration, files in and out, forward and backward, cache.

pub mod activations;
pub mod backward;
pub mod config;
pub mod error;
pub mod export;
pub mod gradient;
pub mod initial;
pub mod kv_cache;
pub mod latent;
pub mod load;
pub mod parameter;
pub mod parameters;
pub mod rope_scaling;
pub mod source;
pub mod tensors;
pub mod transformer;

mod config_json;
mod gguf;
mod gguf_config;
mod gguf_cursor;
mod gguf_names;
mod gguf_quant;
mod json_fields;
mod layer;
mod safetensors;
mod safetensors_writer;

pub use activations::Activations;
pub use backward::BackwardScratch;
pub use config::{Architecture, ModelConfig};
pub use error::ModelError;
pub use export::{MAX_SHARD_BYTES, NamedTensor, Precision, export, export_sharded};
pub use gradient::{Gradient, Gradients, Tensors};
pub use initial::Initial;
pub use kv_cache::KvCache;
pub use load::{NewRows, Values, load};
pub use parameter::{Master, Parameter, Update};
pub use parameters::{Latent, Layer, Parameters, Projection};
pub use rope_scaling::RopeScaling;
pub use source::{ModelSource, TensorInfo};
pub use tensors::{Slot, layout};
pub use transformer::{Batch, Model};
