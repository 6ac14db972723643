//! A whole run: from a recipe to trained model folders.

use super::TrainError;
use super::cold_start::ColdStart;
use super::rl::{Reinforce, reward};
use super::training_set::TrainingSet;
use crate::data::{Catalogue, Triplet, read_catalogue, read_triplets};
use crate::device::Device;
use crate::embed::{ModelFolder, NewTokens, Settings, save_folder};
use crate::model::{Initial, Precision};
use crate::ops::philox::PhiloxStream;
use crate::recipe::{Recipe, RlOptions};
use crate::text::Prompts;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Name of the second stage's folder in a run's.
pub const RL: &str = "rl";

/// Stream of the random numbers that part the training data.
const PARTS: u64 = 5 << 32;

/// A run to be made.
pub struct Training<'a, D: Device> {
    pub device: Arc<D>,
    pub recipe: &'a Recipe,
    /// `metrics.jsonl`, the same for TensorBoard, `checkpoint-STEP` and, at the end, `model` of the cold start;
    /// the same of the reinforcement stage, where the recipe has one, in `rl`.
    pub folder: &'a Path,
    /// Goes on from the newest checkpoint.
    pub resume: bool,
    /// A model of an earlier cold start, in place of the first stage.
    pub from: Option<&'a Path>,
    /// Set by a signal handler: save and stop.
    pub stop: &'a AtomicBool,
    /// Name on the progress bar.
    pub label: &'a str,
}

impl<D: Device> Training<'_, D> {
    /// Runs the recipe's stages; returns the folder of the last one's model.
    ///
    /// # Errors
    /// Whatever is wrong with the recipe's files; [`TrainError::Interrupted`] after `stop` was set.
    pub fn run(&self) -> Result<PathBuf, TrainError> {
        let recipe = self.recipe;
        let catalogue = read_catalogue(&recipe.data.catalogue)?;
        let cold = match self.from {
            Some(model) => model.to_path_buf(),
            None => self.cold_start(&catalogue)?,
        };
        match &recipe.rl {
            Some(options) => self.reinforce(options, &catalogue, &cold),
            None => Ok(cold),
        }
    }

    fn cold_start(&self, catalogue: &Catalogue) -> Result<PathBuf, TrainError> {
        let recipe = self.recipe;
        let base = self.base()?;
        let (settings, prompts) = self.prompts(&base)?;
        let triplets = read_triplets(&recipe.data.train, Some(catalogue))?;
        let triplets = self.part(triplets, false);
        let set = TrainingSet::new(
            recipe,
            true,
            &base.tokenizer,
            &prompts,
            catalogue,
            &triplets,
        )?;
        let mut model = base.load(self.device.clone(), None, recipe.model.context)?;
        let mut run = ColdStart {
            recipe,
            model: &mut model,
            prompts: &prompts,
            set: &set,
            folder: self.folder,
            stop: self.stop,
            label: self.label,
        };
        run.run(self.resume)?;
        let out = self.folder.join("model");
        save_folder(&out, &model, &base.tokenizer, &settings, Precision::F32)?;
        Ok(out)
    }

    fn reinforce(
        &self,
        options: &RlOptions,
        catalogue: &Catalogue,
        cold: &Path,
    ) -> Result<PathBuf, TrainError> {
        let recipe = self.recipe;
        let base = self.open(cold)?;
        let (settings, prompts) = self.prompts(&base)?;
        let pairs = options.train.as_ref().unwrap_or(&recipe.data.train);
        let pairs = self.part(read_triplets(pairs, Some(catalogue))?, true);
        let set = TrainingSet::new(recipe, false, &base.tokenizer, &prompts, catalogue, &pairs)?;
        let load = || base.load(self.device.clone(), None, recipe.model.context);
        let mut model = load()?;
        let reference = (options.kl > 0.0).then(load).transpose()?;
        let rewards = reward::rewards(options);
        let folder = self.folder.join(RL);
        let mut run = Reinforce {
            recipe,
            options,
            model: &mut model,
            reference: reference.as_ref(),
            prompts: &prompts,
            tokenizer: &base.tokenizer,
            set: &set,
            rewards: &rewards,
            folder: &folder,
            stop: self.stop,
            label: RL,
        };
        run.run(self.resume)?;
        let out = folder.join("model");
        save_folder(&out, &model, &base.tokenizer, &settings, Precision::F32)?;
        Ok(out)
    }

    /// A stage's part of the training data: all of it, where the reinforcement stage keeps nothing to itself.
    fn part(&self, triplets: Vec<Triplet>, reinforced: bool) -> Vec<Triplet> {
        let share = self.recipe.rl.as_ref().map_or(0.0, |rl| rl.share);
        match share > 0.0 {
            true => part(triplets, share, self.recipe.train.seed, reinforced),
            false => triplets,
        }
    }

    /// The base model, changed as the recipe says.
    fn base(&self) -> Result<ModelFolder, TrainError> {
        let model = &self.recipe.model;
        let base = self.open(&model.base)?;
        if !model.changes_base() {
            return Ok(base);
        }
        let initial = Initial {
            all: model.scratch.is_some(),
            seed: self.recipe.train.seed,
        };
        Ok(base.changed(initial, |config| model.change(config))?)
    }

    fn open(&self, path: &Path) -> Result<ModelFolder, TrainError> {
        let model = &self.recipe.model;
        let new_tokens = NewTokens {
            like: &model.new_token_like,
            noise: model.new_token_noise,
            seed: self.recipe.train.seed,
        };
        Ok(ModelFolder::open(path, &new_tokens)?)
    }

    fn prompts(&self, base: &ModelFolder) -> Result<(Settings, Prompts), TrainError> {
        let recipe = self.recipe;
        let thinks = recipe.thinks();
        let settings = Settings {
            prompt: recipe.prompt.clone(),
            pooling: recipe.model.pooling,
            budget: if thinks { recipe.thought.budget } else { 0 },
            thoughts: recipe.query,
        };
        let prompts = Prompts::new(&settings.prompt, &base.tokenizer)?;
        Ok((settings, prompts))
    }
}

/// Those of `all` that are in a random `share`, or those that are not.
fn part<T>(all: Vec<T>, share: f32, seed: u64, inside: bool) -> Vec<T> {
    let mut random = PhiloxStream::new(seed, PARTS);
    let mut chosen = |_: &T| (random.uniform() < share) == inside;
    all.into_iter().filter(|x| chosen(x)).collect()
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn every_query_is_in_one_part() {
        let all: Vec<u32> = (0..900).collect();
        let [kept, rest] = [true, false].map(|inside| part(all.clone(), 0.33, 7, inside));
        assert!((250..350).contains(&kept.len()), "{}", kept.len());
        let mut both = [kept.clone(), rest].concat();
        both.sort_unstable();
        assert_eq!(both, all);
        assert_ne!(part(all, 0.33, 8, true), kept);
    }
}
