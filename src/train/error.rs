//! What can go wrong in training.

use crate::device::DeviceError;
use std::path::{Path, PathBuf};

/// Errors of training.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Model(#[from] crate::model::ModelError),
    #[error(transparent)]
    Prompt(#[from] crate::text::PromptError),
    #[error(transparent)]
    Tokenizer(#[from] crate::text::TokenizerError),
    #[error(transparent)]
    Folder(#[from] crate::embed::FolderError),
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A checkpoint that cannot be resumed from.
    #[error("{}: {message}", path.display())]
    Checkpoint { path: PathBuf, message: String },
    /// The training data cannot be used.
    #[error("{0}")]
    Set(String),
    /// A loss that is not a number: nothing was saved after the last good checkpoint.
    #[error("step {step}: the loss is {loss}; the last checkpoint is untouched")]
    Diverged { step: usize, loss: f64 },
    /// SIGINT or SIGTERM; the state was saved.
    #[error("interrupted at step {step}; the state is saved, resume with --resume")]
    Interrupted { step: usize },
}

impl TrainError {
    /// For `map_err` on file operations.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> TrainError + use<> {
        let path = path.to_path_buf();
        move |source| TrainError::Io { path, source }
    }
}
