//! A tokenizer from the metadata of a GGUF file.

use std::path::Path;

use serde_json::{Map, Value};

use super::tokenizer::TokenizerError;

/// The `tokenizer.*` keys of a GGUF file.
pub(crate) struct GgufVocabulary {
    pub chat_template: Option<String>,
}

impl GgufVocabulary {
    pub(crate) fn settings(&self) -> Map<String, Value> {
        unimplemented!()
    }
    pub(crate) fn build(self, _path: &Path) -> Result<tokenizers::Tokenizer, TokenizerError> {
        unimplemented!()
    }
}
