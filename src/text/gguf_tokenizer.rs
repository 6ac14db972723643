//! A tokenizer from the metadata of a GGUF file, put together as the `tokenizer.json` that the
//! original model had.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::tokenizer::TokenizerError;

/// The `tokenizer.*` keys of a GGUF file.
pub(crate) struct GgufVocabulary {
    /// `gpt2` (byte-level BPE) or `llama` (SentencePiece BPE).
    pub model: String,
    /// How text is cut before BPE: `smollm`, `qwen2`, ….
    pub pre: Option<String>,
    pub tokens: Vec<String>,
    /// One of [`token_type`] for every token.
    pub token_types: Vec<i64>,
    pub scores: Vec<f64>,
    /// Pairs separated by a space, best first.
    pub merges: Vec<String>,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub unknown: Option<u32>,
    pub padding: Option<u32>,
    pub add_bos: Option<bool>,
    pub add_space_prefix: Option<bool>,
    pub chat_template: Option<String>,
}

/// llama.cpp's `llama_token_type`.
mod token_type {
    pub const UNKNOWN: i64 = 2;
    pub const CONTROL: i64 = 3;
    pub const USER_DEFINED: i64 = 4;
}

/// Llama 3's cut; Qwen2's differs in taking digits one at a time.
const LLAMA3_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl GgufVocabulary {
    /// The entries of `tokenizer_config.json`.
    pub(crate) fn settings(&self) -> Map<String, Value> {
        let named = [
            ("bos_token", self.bos),
            ("eos_token", self.eos),
            ("unk_token", self.unknown),
            ("pad_token", self.padding),
        ];
        named
            .into_iter()
            .filter_map(|(name, id)| Some((name.to_owned(), json!(self.token(id?)?))))
            .collect()
    }

    fn token(&self, id: u32) -> Option<&String> {
        self.tokens.get(id as usize)
    }

    /// Builds the tokenizer; `path` is named in errors.
    pub(crate) fn build(&self, path: &Path) -> Result<tokenizers::Tokenizer, TokenizerError> {
        let error = |message: String| TokenizerError::format(path, message);
        let mut vocabulary = Map::new();
        for (id, token) in self.tokens.iter().enumerate() {
            if vocabulary.insert(token.clone(), json!(id)).is_some() {
                return Err(error(format!("the token {token:?} is there twice")));
            }
        }
        let mut description = match self.model.as_str() {
            "gpt2" => self.byte_level(path)?,
            "llama" => self.sentence_piece(path)?,
            other => {
                return Err(error(format!(
                    "tokenizer.ggml.model: expected gpt2 or llama, found {other:?}"
                )));
            }
        };
        description["version"] = json!("1.0");
        description["model"]["type"] = json!("BPE");
        description["model"]["vocab"] = Value::Object(vocabulary);
        description["added_tokens"] = self.added_tokens();
        description["post_processor"] = self.begin_of_text();
        serde_json::from_value(description).map_err(|problem| error(problem.to_string()))
    }

    fn byte_level(&self, path: &Path) -> Result<Value, TokenizerError> {
        let split = |pattern: &str| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
        let bytes = |use_regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex });
        let mut normalizer = Value::Null;
        let mut ignore_merges = false;
        let cuts = match self.pre.as_deref().unwrap_or("default") {
            "smollm" => vec![
                json!({ "type": "Digits", "individual_digits": true }),
                bytes(true),
            ],
            "gpt-2" | "default" => vec![bytes(true)],
            "qwen2" => {
                normalizer = json!({ "type": "NFC" });
                vec![split(QWEN2_PATTERN), bytes(false)]
            }
            "llama-bpe" | "llama3" | "llama-v3" => {
                ignore_merges = true;
                vec![split(LLAMA3_PATTERN), bytes(false)]
            }
            other => {
                return Err(TokenizerError::format(
                    path,
                    format!(
                        "tokenizer.ggml.pre: expected smollm, qwen2, llama-bpe, gpt-2 or default, found {other:?}"
                    ),
                ));
            }
        };
        let mut merges = Vec::with_capacity(self.merges.len());
        for (rank, merge) in self.merges.iter().enumerate() {
            let pair = merge.split_once(' ').ok_or_else(|| {
                let message =
                    format!("tokenizer.ggml.merges: {rank}: expected a pair, found {merge:?}");
                TokenizerError::format(path, message)
            })?;
            merges.push(pair);
        }
        Ok(json!({
            "normalizer": normalizer,
            "pre_tokenizer": { "type": "Sequence", "pretokenizers": cuts },
            "decoder": bytes(true),
            "model": { "merges": merges, "ignore_merges": ignore_merges },
        }))
    }

    /// SentencePiece's BPE: spaces are `▁`, unknown characters fall back to bytes, and a pair merges in
    /// the order of its result's score.
    fn sentence_piece(&self, path: &Path) -> Result<Value, TokenizerError> {
        if self.scores.len() != self.tokens.len() {
            let message = format!(
                "tokenizer.ggml.scores: expected {} scores, found {}",
                self.tokens.len(),
                self.scores.len()
            );
            return Err(TokenizerError::format(path, message));
        }
        let ids: HashMap<&str, usize> = (self.tokens.iter().enumerate())
            .map(|(id, token)| (token.as_str(), id))
            .collect();
        let mut merges = Vec::new();
        for (id, token) in self.tokens.iter().enumerate() {
            for (cut, _) in token.char_indices().skip(1) {
                let (left, right) = token.split_at(cut);
                if let (Some(&l), Some(&r)) = (ids.get(left), ids.get(right)) {
                    merges.push((self.scores[id], l, r, (left, right)));
                }
            }
        }
        merges.sort_by(|a, b| {
            let by_score = b.0.total_cmp(&a.0);
            by_score.then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2))
        });
        let merges: Vec<(&str, &str)> = merges.into_iter().map(|(.., pair)| pair).collect();
        let replace = |from: &str, to: &str| json!({ "type": "Replace", "pattern": { "String": from }, "content": to });
        let mut normalizers = Vec::new();
        let mut decoders = vec![
            replace("▁", " "),
            json!({ "type": "ByteFallback" }),
            json!({ "type": "Fuse" }),
        ];
        if self.add_space_prefix.unwrap_or(true) {
            normalizers.push(json!({ "type": "Prepend", "prepend": "▁" }));
            decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
        }
        normalizers.push(replace(" ", "▁"));
        let unknown = self.unknown.and_then(|id| self.token(id));
        Ok(json!({
            "normalizer": { "type": "Sequence", "normalizers": normalizers },
            "pre_tokenizer": null,
            "decoder": { "type": "Sequence", "decoders": decoders },
            "model": { "merges": merges, "unk_token": unknown, "fuse_unk": true, "byte_fallback": true },
        }))
    }

    /// Control tokens are special; tokens a user added are whole but ordinary.
    fn added_tokens(&self) -> Value {
        let unknown_is_special = self.model == "llama";
        let added = self.tokens.iter().zip(&self.token_types).enumerate();
        added
            .filter_map(|(id, (token, kind))| {
                let special = match *kind {
                    token_type::CONTROL => true,
                    token_type::UNKNOWN if unknown_is_special => true,
                    token_type::USER_DEFINED => false,
                    _ => return None,
                };
                Some(json!({
                    "id": id,
                    "content": token,
                    "single_word": false,
                    "lstrip": false,
                    "rstrip": false,
                    "normalized": false,
                    "special": special,
                }))
            })
            .collect()
    }

    /// What `transformers` puts before a text when it is asked to add special tokens.
    fn begin_of_text(&self) -> Value {
        let add = self.add_bos.unwrap_or(self.model == "llama");
        match self
            .bos
            .filter(|_| add)
            .and_then(|id| Some((id, self.token(id)?)))
        {
            None => Value::Null,
            Some((id, token)) => json!({
                "type": "TemplateProcessing",
                "single": [
                    { "SpecialToken": { "id": token, "type_id": 0 } },
                    { "Sequence": { "id": "A", "type_id": 0 } },
                ],
                "pair": [
                    { "SpecialToken": { "id": token, "type_id": 0 } },
                    { "Sequence": { "id": "A", "type_id": 0 } },
                    { "SpecialToken": { "id": token, "type_id": 1 } },
                    { "Sequence": { "id": "B", "type_id": 1 } },
                ],
                "special_tokens": {
                    token: { "id": token, "ids": [id], "tokens": [token] },
                },
            }),
        }
    }
}
