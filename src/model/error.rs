//! What can be wrong with a model on disk.

use std::path::{Path, PathBuf};

use crate::text::TokenizerError;

/// A model file that cannot be read, does not say what it must, or cannot be written. The message is
/// one line that names the file and the field or tensor.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The file as a whole is not what its name promises.
    #[error("{}: {message}", path.display())]
    Format { path: PathBuf, message: String },
    /// A field of `config.json` or a key of GGUF metadata.
    #[error("{}: {field}: {message}", path.display())]
    Field {
        path: PathBuf,
        field: String,
        message: String,
    },
    /// A tensor is absent, has another shape, or lies about its bytes.
    #[error("{}: tensor {name}: {message}", path.display())]
    Tensor {
        path: PathBuf,
        name: String,
        message: String,
    },
    /// A device call failed while tensors were moved.
    #[error(transparent)]
    Device(#[from] crate::device::DeviceError),
    /// The tokenizer beside the model.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

impl ModelError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn format(path: &Path, message: impl Into<String>) -> Self {
        Self::Format {
            path: path.to_path_buf(),
            message: message.into(),
        }
    }

    pub(crate) fn field(path: &Path, field: &str, message: impl Into<String>) -> Self {
        Self::Field {
            path: path.to_path_buf(),
            field: field.escape_debug().to_string(),
            message: message.into(),
        }
    }

    pub(crate) fn tensor(path: &Path, name: &str, message: impl Into<String>) -> Self {
        Self::Tensor {
            path: path.to_path_buf(),
            name: name.escape_debug().to_string(),
            message: message.into(),
        }
    }
}
