//! A whole run: from a recipe to a trained model folder.

use super::TrainError;
use super::cold_start::ColdStart;
use super::training_set::TrainingSet;
use crate::data::{read_catalogue, read_triplets};
use crate::device::Device;
use crate::embed::{ModelFolder, NewTokens, Settings, save_folder};
use crate::model::Precision;
use crate::recipe::Recipe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Trains by `recipe` into `folder`: `metrics.jsonl`, `checkpoint-STEP` and, at the end, `model`.
/// Returns the model's folder.
///
/// # Errors
/// Whatever is wrong with the recipe's files; [`TrainError::Interrupted`] after `stop` was set.
pub fn train<D: Device>(
    device: Arc<D>,
    recipe: &Recipe,
    folder: &Path,
    resume: bool,
    stop: &AtomicBool,
    label: &str,
) -> Result<PathBuf, TrainError> {
    let out = folder.join("model");
    let new_tokens = NewTokens {
        like: &recipe.model.new_token_like,
        noise: recipe.model.new_token_noise,
        seed: recipe.train.seed,
    };
    let base = ModelFolder::open(&recipe.model.base, &new_tokens)?;
    let settings = Settings {
        prompt: recipe.prompt.clone(),
        pooling: recipe.model.pooling,
        budget: if recipe.thinks() {
            recipe.thought.budget
        } else {
            0
        },
    };
    let prompts = crate::text::Prompts::new(&settings.prompt, &base.tokenizer)?;
    let catalogue = read_catalogue(&recipe.data.catalogue)?;
    let triplets = read_triplets(&recipe.data.train, Some(&catalogue))?;
    let set = TrainingSet::new(recipe, &base.tokenizer, &prompts, &catalogue, &triplets)?;
    let mut model = base.load(device, None, recipe.model.context)?;
    let mut run = ColdStart {
        recipe,
        model: &mut model,
        prompts: &prompts,
        set: &set,
        folder,
        stop,
        label,
    };
    run.run(resume)?;
    save_folder(&out, &model, &base.tokenizer, &settings, Precision::F32)?;
    Ok(out)
}
