//! Teachers: language models that are asked in words, to write thoughts and to judge relevance when
//! training data is made (lrem, Data 2 and 3).

mod endpoint;
mod local;
pub mod prompts;

pub use endpoint::{Endpoint, EndpointOptions};
pub use local::Local;

use serde::{Deserialize, Serialize};

/// A turn of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    pub content: String,
}

impl Message {
    /// What the user says.
    pub fn user(content: impl Into<String>) -> Message {
        Message {
            role: "user".into(),
            content: content.into(),
        }
    }

    /// What the model said.
    pub fn assistant(content: impl Into<String>) -> Message {
        Message {
            role: "assistant".into(),
            content: content.into(),
        }
    }
}

/// An answer and what it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    pub text: String,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum TeacherError {
    /// The endpoint refused, or could not be reached, also after retries.
    #[error("{url}: {message}")]
    Endpoint { url: String, message: String },
    /// The local model failed.
    #[error(transparent)]
    Device(#[from] crate::device::DeviceError),
    #[error(transparent)]
    Tokenizer(#[from] crate::text::TokenizerError),
    /// The model's chat template cannot be used.
    #[error("chat template: {0}")]
    Template(String),
}

/// A model that answers chats. Several threads may ask at once where [`Teacher::parallel`] says so.
pub trait Teacher: Sync {
    /// The most likely answer to `messages`, of at most `most` tokens.
    ///
    /// # Errors
    /// [`TeacherError`]; the question may be asked again.
    fn answer(&self, messages: &[Message], most: usize) -> Result<Completion, TeacherError>;

    /// Questions that may be asked at a time.
    fn parallel(&self) -> usize {
        1
    }
}
