//! A training of a study: a recipe with a seed.

use lrem::recipe::{Recipe, Stage, Study};
use lrem::train::RL;
use std::path::{Path, PathBuf};

/// The recipe, and the folder that it is trained into.
pub struct Unit {
    /// Of the recipe's file and the seed, as it is shown.
    pub name: String,
    pub recipe: Recipe,
    pub folder: PathBuf,
}

impl Unit {
    /// The training of `recipe`, which is at `path`, in the study's folder `out`.
    pub fn new(out: &Path, study: &Study, path: &Path, recipe: &Recipe, seed: u64) -> Unit {
        let mut recipe = recipe.clone();
        recipe.train.seed = seed;
        // Two recipes may have the same file name.
        let mut alike = study
            .models()
            .filter(|(other, _)| *other != path && stem(other) == stem(path));
        let name = match alike.next() {
            None => stem(path),
            Some(_) => path.with_extension("").to_string_lossy().replace('/', "-"),
        };
        Unit {
            name: format!("{} seed {seed}", stem(path)),
            recipe,
            folder: out.join("models").join(format!("{name}-{seed}")),
        }
    }

    /// The model of a stage.
    pub fn model(&self, stage: Stage) -> PathBuf {
        self.of(stage).join("model")
    }

    /// The index of the catalogue by the model of a stage.
    pub fn index(&self, stage: Stage) -> PathBuf {
        self.of(stage).join("index")
    }

    fn of(&self, stage: Stage) -> PathBuf {
        match (stage, &self.recipe.rl) {
            (Stage::Last, Some(_)) => self.folder.join(RL),
            _ => self.folder.clone(),
        }
    }
}

/// The name of a recipe's file.
pub fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str());
    stem.to_string_lossy().into_owned()
}
