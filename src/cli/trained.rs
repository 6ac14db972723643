//! Models that a recipe makes, trained once and used again.

use super::Error;
use super::common::{self, DeviceName, Inference, on_device};
use super::searcher::{Searcher, Searching};
use super::{index, train};
use lrem::data::write_atomic;
use lrem::device::Device;
use lrem::recipe::Recipe;
use lrem::retrieve::Index;
use lrem::train::{RL, Training};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file of a finished training that has its recipe.
const STAMP: &str = "recipe.toml";

/// Trains by `recipe` into `folder`, going on where an earlier run was stopped, unless it has been done;
/// returns the folder of its last stage's model. `name` is shown.
pub fn trained(
    folder: &Path,
    name: &str,
    recipe: &Recipe,
    device: DeviceName,
) -> Result<PathBuf, Error> {
    let model = last_stage(folder, recipe).join("model");
    if is_trained(folder, recipe)? {
        println!("{name}: {} is there", model.display());
        return Ok(model);
    }
    let stop = train::interrupts()?;
    let opened = device.for_training(recipe.train.precision)?;
    on_device!(opened, |device| {
        let training = Training {
            device,
            recipe,
            folder,
            resume: true,
            from: None,
            stop: &stop,
            label: name,
        };
        training.run()?
    });
    finish(folder, recipe)?;
    Ok(model)
}

/// Whether `recipe` has been trained by into `folder`.
///
/// # Errors
/// A recipe that cannot be written as TOML.
pub fn is_trained(folder: &Path, recipe: &Recipe) -> Result<bool, Error> {
    let text = toml::to_string(recipe)?;
    Ok(std::fs::read_to_string(folder.join(STAMP)).is_ok_and(|made_by| made_by == text))
}

/// Notes that a training has ended, and removes its checkpoints: it is never resumed, and one takes three
/// times the model's space.
///
/// # Errors
/// Where the folder cannot be written.
pub fn finish(folder: &Path, recipe: &Recipe) -> Result<(), Error> {
    write_recipe(&folder.join(STAMP), recipe)?;
    for stage in [folder, &last_stage(folder, recipe)] {
        lrem::train::checkpoint::remove(stage)?;
    }
    Ok(())
}

/// Writes a recipe as TOML.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_recipe(path: &Path, recipe: &Recipe) -> Result<(), Error> {
    let text = toml::to_string(recipe)?;
    Ok(write_atomic(path, |out| out.write_all(text.as_bytes()))?)
}

/// Where the last stage's model lies.
fn last_stage(folder: &Path, recipe: &Recipe) -> PathBuf {
    match recipe.rl {
        Some(_) => folder.join(RL),
        None => folder.to_path_buf(),
    }
}

/// A model with its index of a catalogue in `folder`, which is made where it is missing or of another
/// model. `name` is shown.
pub fn indexed<D: Device>(
    device: Arc<D>,
    model: &Path,
    folder: &Path,
    catalogue: &Path,
    name: &str,
    searching: &Searching,
    inference: Inference,
) -> Result<Searcher<D>, Error> {
    let origin = common::open(model)?.origin()?;
    let current = Index::open(folder).is_ok_and(|index| index.check_origin(&origin).is_ok());
    if !current {
        eprintln!("{name}: embedding the catalogue");
        index::of_catalogue(model, catalogue, folder, inference)?;
    }
    Searcher::open(device, model, folder, searching)
}
