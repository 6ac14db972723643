//! Prompts and the three special tokens of LREM (Table 9 of the paper).

use super::{Tokenizer, TokenizerError};
use serde::{Deserialize, Serialize};

/// Opens a thought.
pub const THINK: &str = "<think>";
/// Closes a thought.
pub const END_THINK: &str = "</think>";
/// The token whose hidden state is the embedding.
pub const EMB: &str = "<emb>";
/// The tokens that LREM adds to a vocabulary, in the order of their ids.
pub const SPECIAL: [&str; 3] = [THINK, END_THINK, EMB];

/// What can be wrong with prompts.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The vocabulary lacks a special token.
    #[error(
        "the vocabulary has no token {0}; import the model with `lrem model convert` to add it"
    )]
    MissingToken(String),
    /// A prefix without tokens cannot be a trunk.
    #[error("prompt {0} is empty; expected some instruction text")]
    EmptyPrompt(&'static str),
}

/// The text around a query and around an item. The prefixes are the shared trunks of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptText {
    pub query_prefix: String,
    pub query_suffix: String,
    pub item_prefix: String,
    pub item_suffix: String,
}

impl Default for PromptText {
    /// Table 9's prompts in the ChatML form of SmolLM2 and Qwen.
    fn default() -> Self {
        PromptText {
            query_prefix: "<|im_start|>system\nYou are a query assistant for an e-commerce search \
                platform, adept at understanding various user queries.<|im_end|>\n<|im_start|>user\n\
                Think and reason about the given query to understand its product search intent. From \
                multiple angles, give potential related phrases, without the query itself. Output \
                format: <think> phrases </think><emb>\nQuery: "
                .into(),
            query_suffix: "<|im_end|>\n<|im_start|>assistant\n".into(),
            item_prefix: "<|im_start|>system\nYou are a query assistant for an e-commerce search \
                platform, adept at understanding various products.<|im_end|>\n<|im_start|>user\nItem: "
                .into(),
            item_suffix: "<|im_end|>\n<|im_start|>assistant\n".into(),
        }
    }
}

/// [`PromptText`] as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompts {
    pub query_prefix: Vec<u32>,
    pub query_suffix: Vec<u32>,
    pub item_prefix: Vec<u32>,
    pub item_suffix: Vec<u32>,
    /// Ids of [`THINK`], [`END_THINK`] and [`EMB`].
    pub think: u32,
    pub end_think: u32,
    pub emb: u32,
}

impl Prompts {
    /// Tokenizes the prompts.
    ///
    /// # Errors
    /// Where the vocabulary lacks one of the special tokens, or a prefix is empty.
    pub fn new(text: &PromptText, tokenizer: &Tokenizer) -> Result<Prompts, PromptError> {
        let special = |token: &str| {
            tokenizer
                .token_id(token)
                .ok_or_else(|| PromptError::MissingToken(token.to_string()))
        };
        let prefix = |field: &'static str, text: &str| {
            let ids = tokenizer.encode(text)?;
            if ids.is_empty() {
                return Err(PromptError::EmptyPrompt(field));
            }
            Ok(ids)
        };
        Ok(Prompts {
            query_prefix: prefix("query_prefix", &text.query_prefix)?,
            query_suffix: tokenizer.encode(&text.query_suffix)?,
            item_prefix: prefix("item_prefix", &text.item_prefix)?,
            item_suffix: tokenizer.encode(&text.item_suffix)?,
            think: special(THINK)?,
            end_think: special(END_THINK)?,
            emb: special(EMB)?,
        })
    }

    /// The segment of a query below the query trunk: query and suffix.
    pub fn query(&self, tokenizer: &Tokenizer, query: &str) -> Result<Vec<u32>, PromptError> {
        let mut ids = tokenizer.encode(query)?;
        ids.extend(&self.query_suffix);
        Ok(ids)
    }

    /// The segment of an item below the item trunk: title, suffix, without `<emb>`.
    pub fn item(&self, tokenizer: &Tokenizer, title: &str) -> Result<Vec<u32>, PromptError> {
        let mut ids = tokenizer.encode(title)?;
        ids.extend(&self.item_suffix);
        Ok(ids)
    }

    /// Tokens of a thought's text, as they stand between `<think>` and `</think>`, at most `budget`.
    pub fn thought(
        &self,
        tokenizer: &Tokenizer,
        text: &str,
        budget: usize,
    ) -> Result<Vec<u32>, PromptError> {
        let mut ids = tokenizer.encode(&format!(" {text}"))?;
        ids.truncate(budget);
        Ok(ids)
    }

    /// The branch of a thought below its query: `<think> thought </think><emb>`.
    pub fn branch(&self, thought: &[u32]) -> Vec<u32> {
        let mut ids = vec![self.think];
        ids.extend(thought);
        ids.extend([self.end_think, self.emb]);
        ids
    }
}
