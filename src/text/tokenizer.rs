//! A model's tokenizer: Hugging Face's `tokenizers` with the settings kept beside it.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tokenizers::AddedToken;

use super::gguf_tokenizer::GgufVocabulary;

/// A tokenizer that cannot be read, written or applied; one line naming the file.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The file does not describe a tokenizer.
    #[error("{}: {message}", path.display())]
    Format { path: PathBuf, message: String },
    /// The text or the ids cannot be converted.
    #[error("tokenizer: {0}")]
    Apply(String),
}

impl TokenizerError {
    pub(crate) fn format(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::Format {
            path: path.to_path_buf(),
            message: one_line(message),
        }
    }

    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }
}

/// Errors of other libraries may span lines; ours do not.
fn one_line(message: impl std::fmt::Display) -> String {
    let message = message.to_string();
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text to ids and back, with the entries of `tokenizer_config.json` kept for export.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// `tokenizer_config.json`: names of the bos, eos, unk and pad tokens and whatever else was there.
    settings: Map<String, Value>,
    /// The Jinja text of `chat_template.jinja` or of `tokenizer_config.json`.
    chat_template: Option<String>,
}

impl Tokenizer {
    /// Reads `tokenizer.json` and, where they lie beside it, `tokenizer_config.json` and
    /// `chat_template.jinja`.
    pub fn from_file(path: &Path) -> Result<Self, TokenizerError> {
        let bytes = std::fs::read(path).map_err(TokenizerError::io(path))?;
        let inner = tokenizers::Tokenizer::from_bytes(&bytes)
            .map_err(|error| TokenizerError::format(path, error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let settings_path = folder.join("tokenizer_config.json");
        let mut settings = match read_optional(&settings_path)? {
            None => Map::new(),
            Some(text) => serde_json::from_str(&text)
                .map_err(|error| TokenizerError::format(&settings_path, error))?,
        };
        let chat_template = match read_optional(&folder.join("chat_template.jinja"))? {
            Some(template) => Some(template),
            None => settings
                .get("chat_template")
                .and_then(Value::as_str)
                .map(str::to_owned),
        };
        settings.shift_remove("chat_template");
        Ok(Self::new(inner, settings, chat_template))
    }

    /// Builds the tokenizer that a GGUF file's metadata describes; `path` is named in errors.
    pub(crate) fn from_gguf(
        path: &Path,
        vocabulary: GgufVocabulary,
    ) -> Result<Self, TokenizerError> {
        let settings = vocabulary.settings();
        let chat_template = vocabulary.chat_template.clone();
        let inner = vocabulary.build(path)?;
        Ok(Self::new(inner, settings, chat_template))
    }

    fn new(
        mut inner: tokenizers::Tokenizer,
        settings: Map<String, Value>,
        chat_template: Option<String>,
    ) -> Self {
        // A file may ask for padding or truncation; a packed batch wants neither.
        inner.with_padding(None);
        // Removing truncation cannot fail: only setting it checks its stride.
        let _ = inner.with_truncation(None);
        Self {
            inner,
            settings,
            chat_template,
        }
    }

    /// Ids of `text`. No token is added around it; special tokens written in it are recognised.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|error| TokenizerError::Apply(one_line(error)))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of `ids`, special tokens included; bytes that are not UTF-8 become `\u{fffd}`.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TokenizerError> {
        self.inner
            .decode(ids, false)
            .map_err(|error| TokenizerError::Apply(one_line(error)))
    }

    /// The id of exactly this token.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of this id, as the vocabulary spells it.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Makes every one of `tokens` a special token and returns their ids in order. A token that the
    /// vocabulary already has keeps its id; the others get `vocab_size()`, `vocab_size() + 1`, ….
    pub fn add_special(&mut self, tokens: &[&str]) -> Result<Vec<u32>, TokenizerError> {
        let added: Vec<AddedToken> = tokens
            .iter()
            .map(|token| AddedToken::from(*token, true))
            .collect();
        self.inner.add_special_tokens(&added);
        let id = |token: &&str| {
            self.token_id(token)
                .ok_or_else(|| TokenizerError::Apply(format!("cannot add the token {token:?}")))
        };
        tokens.iter().map(id).collect()
    }

    /// One more than the largest id. A model's embedding table has at least as many rows.
    pub fn vocab_size(&self) -> usize {
        let vocabulary = self.inner.get_vocab(true);
        vocabulary
            .into_values()
            .max()
            .map_or(0, |id| id as usize + 1)
    }

    /// The token that ends a turn, by `tokenizer_config.json`.
    pub fn eos_token(&self) -> Option<&str> {
        self.named("eos_token")
    }

    /// The token that begins a text, by `tokenizer_config.json`.
    pub fn bos_token(&self) -> Option<&str> {
        self.named("bos_token")
    }

    /// The Jinja chat template that came with the model.
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }

    /// A token's name in the settings, which is a string or an object with `content`.
    fn named(&self, field: &str) -> Option<&str> {
        let value = self.settings.get(field)?;
        value.as_str().or_else(|| value.get("content")?.as_str())
    }

    /// The text of `tokenizer.json`: everything that decides on ids.
    pub fn to_json(&self) -> Result<String, TokenizerError> {
        let json = self.inner.to_string(false);
        json.map_err(|error| TokenizerError::Apply(one_line(error)))
    }

    /// Writes `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json` and, if there is a
    /// template, `chat_template.jinja` into the existing folder `dir`, for `transformers` to load.
    pub fn save(&self, dir: &Path) -> Result<(), TokenizerError> {
        let write = |name: &str, text: String| {
            let path = dir.join(name);
            std::fs::write(&path, text).map_err(TokenizerError::io(&path))
        };
        let json = self
            .inner
            .to_string(true)
            .map_err(|error| TokenizerError::format(&dir.join("tokenizer.json"), error))?;
        write("tokenizer.json", json)?;

        let mut names = Map::new();
        for field in ["bos_token", "eos_token", "unk_token", "pad_token"] {
            if let Some(token) = self.named(field) {
                names.insert(field.to_owned(), json!(token));
            }
        }
        let mut settings = self.settings.clone();
        settings.extend(names.clone());
        // The generic class reads everything from tokenizer.json, and every version has it.
        settings.insert("tokenizer_class".into(), json!("PreTrainedTokenizerFast"));
        // A list of added tokens here would override the one in tokenizer.json.
        settings.shift_remove("added_tokens_decoder");
        settings
            .entry("clean_up_tokenization_spaces")
            .or_insert(json!(false));
        write(
            "tokenizer_config.json",
            format!("{:#}\n", Value::Object(settings)),
        )?;

        let mut special: Vec<(u32, String)> = self
            .inner
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| token.special)
            .map(|(id, token)| (id, token.content))
            .collect();
        special.sort();
        let special: Vec<String> = special.into_iter().map(|(_, token)| token).collect();
        names.insert("additional_special_tokens".into(), json!(special));
        write(
            "special_tokens_map.json",
            format!("{:#}\n", Value::Object(names)),
        )?;

        match &self.chat_template {
            Some(template) => write("chat_template.jinja", template.clone()),
            None => Ok(()),
        }
    }
}

fn read_optional(path: &Path) -> Result<Option<String>, TokenizerError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TokenizerError::io(path)(error)),
    }
}
