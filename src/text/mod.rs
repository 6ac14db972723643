//! Text to token ids and back.

pub mod tokenizer;

mod gguf_tokenizer;

pub(crate) use gguf_tokenizer::GgufVocabulary;
pub use tokenizer::{Tokenizer, TokenizerError};
