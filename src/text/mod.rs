//! Text to token ids and back, and the prompts around it.

pub mod prompt;
pub mod tokenizer;

mod gguf_tokenizer;

pub(crate) use gguf_tokenizer::GgufVocabulary;
pub use prompt::{PromptError, PromptText, Prompts};
pub use tokenizer::{Tokenizer, TokenizerError};
