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

/// Trains by `recipe` into `folder`, going on where an earlier run was stopped, unless it has been done;
/// returns the folder of its last stage's model. `name` is shown.
pub fn trained(
    folder: &Path,
    name: &str,
    recipe: &Recipe,
    device: DeviceName,
) -> Result<PathBuf, Error> {
    let last = match recipe.rl {
        Some(_) => folder.join(RL),
        None => folder.to_path_buf(),
    };
    let (model, stamp) = (last.join("model"), folder.join("recipe.toml"));
    let text = toml::to_string(recipe)?;
    if std::fs::read_to_string(&stamp).is_ok_and(|made_by| made_by == text) {
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
    write_atomic(&stamp, |out| out.write_all(text.as_bytes()))?;
    // A finished run is never resumed, and a checkpoint takes three times the model's space.
    for stage in [folder, &last] {
        lrem::train::checkpoint::remove(stage)?;
    }
    Ok(model)
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
