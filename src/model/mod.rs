//! Models: their configuration, the files they are read from and written to.

pub mod config;
pub mod error;
pub mod export;
pub mod rope_scaling;
pub mod source;

pub use config::{Architecture, ModelConfig};
pub use error::ModelError;
pub use export::{NamedTensor, Precision, export};
pub use rope_scaling::RopeScaling;
pub use source::{ModelSource, TensorInfo};
