//! Text to token ids and back.

pub mod tokenizer;

mod gguf_tokenizer;

pub use tokenizer::{Tokenizer, TokenizerError};
