//! A model folder as LREM uses it: the decoder, its tokenizer with the three special tokens, and
//! `lrem.json` with the prompts it was trained with.

use super::{OwnThoughts, Pooling};
use crate::data::{DataError, replace_folder, write_atomic};
use crate::device::Device;
use crate::model::export::refuse_other_files;
use crate::model::{
    Initial, Model, ModelConfig, ModelError, ModelSource, NewRows, Precision, Values, load,
};
use crate::ops::linear::WeightFormat;
use crate::text::prompt::SPECIAL;
use crate::text::{PromptError, PromptText, Prompts, Tokenizer, TokenizerError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the settings file in a model folder.
pub const SETTINGS_FILE: &str = "lrem.json";

/// What is wrong with a model folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    Prompt(#[from] PromptError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error("{}: {message}", path.display())]
    Settings { path: PathBuf, message: String },
}

/// How a model embeds: what training fixed and inference has to repeat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub prompt: PromptText,
    pub pooling: Pooling,
    /// Most tokens of a thought in training; 0: the model was trained without thoughts.
    pub budget: usize,
    /// How its own thoughts become an embedding, where nothing else is asked for.
    pub thoughts: OwnThoughts,
}

/// Where the rows of new tokens come from.
#[derive(Clone, Debug)]
pub struct NewTokens<'a> {
    /// Token whose row is copied; absent from the vocabulary: the end-of-sequence token.
    pub like: &'a str,
    /// Standard deviation of the noise on the copies.
    pub noise: f32,
    pub seed: u64,
}

impl Default for NewTokens<'_> {
    fn default() -> Self {
        NewTokens {
            like: "<|im_end|>",
            noise: 0.02,
            seed: 0,
        }
    }
}

/// An opened model folder or GGUF file, ready to be put on a device.
pub struct ModelFolder {
    source: ModelSource,
    /// With room for the special tokens.
    pub config: ModelConfig,
    /// With the special tokens.
    pub tokenizer: Tokenizer,
    pub settings: Settings,
    pub(super) new_rows: Option<NewRows>,
    /// Tensors that are drawn.
    initial: Option<Initial>,
}

impl ModelFolder {
    /// Opens a Hugging Face folder or a GGUF file and adds the special tokens that it lacks.
    pub fn open(path: &Path, new_tokens: &NewTokens<'_>) -> Result<ModelFolder, FolderError> {
        let source = ModelSource::open(path)?;
        let mut config = source.config().clone();
        let mut tokenizer = source.tokenizer()?;
        let absent: Vec<&str> = SPECIAL
            .into_iter()
            .filter(|t| tokenizer.token_id(t).is_none())
            .collect();
        let mut new_rows = None;
        if !absent.is_empty() {
            let ids = tokenizer.add_special(&absent)?;
            let last = ids.iter().max().map_or(0, |&i| i as usize + 1);
            let eos = config.eos_token_ids.first().copied();
            let like = tokenizer.token_id(new_tokens.like).or(eos).unwrap_or(0);
            if like as usize >= config.vocab_size {
                return Err(FolderError::Settings {
                    path: path.to_path_buf(),
                    message: format!(
                        "token {like}, which new tokens start from, has no embedding row"
                    ),
                });
            }
            config.vocab_size = config.vocab_size.max(last);
            let (noise, seed) = (new_tokens.noise, new_tokens.seed);
            new_rows = Some(NewRows {
                ids,
                like,
                noise,
                seed,
            });
        }
        let settings = read_settings(path)?;
        Ok(ModelFolder {
            source,
            config,
            tokenizer,
            settings,
            new_rows,
            initial: None,
        })
    }

    /// The same tokenizer and settings with another model of them: `change` the configuration, and draw
    /// the values of tensors that the files do not have, or of all.
    ///
    /// # Errors
    /// Sizes that do not fit each other.
    pub fn changed(
        mut self,
        initial: Initial,
        change: impl FnOnce(&mut ModelConfig),
    ) -> Result<ModelFolder, FolderError> {
        change(&mut self.config);
        self.config.check(self.source.path())?;
        self.initial = Some(initial);
        Ok(self)
    }

    /// The files under the model.
    pub fn source(&self) -> &ModelSource {
        &self.source
    }

    /// Puts the model on a device, in f32 for training or packed for inference.
    pub fn load<D: Device>(
        &self,
        device: Arc<D>,
        format: Option<WeightFormat>,
        context: usize,
    ) -> Result<Model<D>, FolderError> {
        let context = context.min(self.config.max_position_embeddings);
        let values = Values {
            source: &self.source,
            new_rows: self.new_rows.as_ref(),
            initial: self.initial,
        };
        Ok(load(device, values, self.config.clone(), format, context)?)
    }

    /// The prompts of the settings as tokens.
    pub fn prompts(&self) -> Result<Prompts, FolderError> {
        Ok(Prompts::new(&self.settings.prompt, &self.tokenizer)?)
    }
}

/// Writes a model with its tokenizer and settings as a folder, replacing a model that is there.
pub fn save_folder<D: Device>(
    folder: &Path,
    model: &Model<D>,
    tokenizer: &Tokenizer,
    settings: &Settings,
    precision: Precision,
) -> Result<(), FolderError> {
    refuse_other_files(folder, &[SETTINGS_FILE])?;
    let text = serde_json::to_string_pretty(settings).unwrap_or_default();
    replace_folder(folder, |aside| {
        model.save(aside, tokenizer, precision)?;
        let path = aside.join(SETTINGS_FILE);
        write_atomic(&path, |w| w.write_all(text.as_bytes()))?;
        Ok(())
    })
}

fn read_settings(folder: &Path) -> Result<Settings, FolderError> {
    let path = folder.join(SETTINGS_FILE);
    let error = |message: String| FolderError::Settings {
        path: path.clone(),
        message,
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map_err(|e| error(e.to_string())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Settings::default()),
        // A GGUF file is no folder, and has no settings beside it.
        Err(_) if folder.is_file() => Ok(Settings::default()),
        Err(e) => Err(error(e.to_string())),
    }
}
