//! Checkpoints: everything a run needs to go on as if it had never stopped.
//!
//! A checkpoint is a folder `checkpoint-STEP` with `state.safetensors` (parameters and both moments)
//! and `state.json`. It is written under another name, synced, and renamed; older ones are removed
//! only then. A run that dies at any moment leaves the last complete checkpoint.

use super::TrainError;
use super::optimizer::Optimizer;
use crate::device::Device;
use crate::model::{Model, Slot, layout};
use safetensors::tensor::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What a run knows beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// Steps done.
    pub step: usize,
    /// Optimizer updates done; a step may make several.
    pub updates: u32,
    /// The recipe, to refuse a resume under another one.
    pub recipe: String,
    /// The model's own thoughts, `[query][sample][token]`; empty before the first refresh.
    pub thoughts: Vec<Vec<Vec<u32>>>,
    /// Mined negatives, `[query][item]`; empty before the first refresh.
    pub near_misses: Vec<Vec<u32>>,
    /// Query-item pairs drawn, where a step may draw more than one batch.
    pub drawn: usize,
    /// Embeddings of the catalogue, `[items, hidden]`; empty where nothing searches it. They lie beside
    /// the other tensors.
    #[serde(skip)]
    pub catalogue: Vec<f32>,
}

impl RunState {
    /// The state before the first step.
    pub fn new(recipe: &str) -> RunState {
        RunState {
            step: 0,
            updates: 0,
            recipe: recipe.to_string(),
            thoughts: Vec::new(),
            near_misses: Vec::new(),
            drawn: 0,
            catalogue: Vec::new(),
        }
    }
}

/// Name of [`RunState::catalogue`] among the tensors.
const CATALOGUE: &str = "catalogue";

/// One tensor, copied from the device only when it is written.
struct Lazy<'a, D: Device> {
    device: &'a D,
    buffer: &'a D::Buffer<f32>,
    shape: [usize; 1],
}

impl<D: Device> View for Lazy<'_, D> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        let values = self.device.download(self.buffer, self.shape[0]);
        // A failed copy shows as a file of the wrong length, which `save` checks.
        let values = values.unwrap_or_default();
        Cow::Owned(bytemuck::cast_slice(&values).to_vec())
    }
    fn data_len(&self) -> usize {
        4 * self.shape[0]
    }
}

/// Writes `folder/checkpoint-STEP` and removes the older ones.
pub fn save<D: Device>(
    folder: &Path,
    state: &RunState,
    model: &Model<D>,
    optimizer: &Optimizer<D>,
) -> Result<(), TrainError> {
    let target = folder.join(format!("checkpoint-{}", state.step));
    let aside = folder.join(format!("checkpoint-{}.partial", state.step));
    let result = write(&aside, state, model, optimizer);
    if let Err(error) = result {
        // What is half-written is of no use to anyone.
        let _ = fs::remove_dir_all(&aside);
        return Err(error);
    }
    if target.exists() {
        fs::remove_dir_all(&target).map_err(TrainError::io(&target))?;
    }
    fs::rename(&aside, &target).map_err(TrainError::io(&target))?;
    sync(folder)?;
    for (step, path) in list(folder)? {
        if step != state.step {
            fs::remove_dir_all(&path).map_err(TrainError::io(&path))?;
        }
    }
    Ok(())
}

fn write<D: Device>(
    aside: &Path,
    state: &RunState,
    model: &Model<D>,
    optimizer: &Optimizer<D>,
) -> Result<(), TrainError> {
    if aside.exists() {
        fs::remove_dir_all(aside).map_err(TrainError::io(aside))?;
    }
    fs::create_dir_all(aside).map_err(TrainError::io(aside))?;
    let slots = layout(&model.config);
    let device = &*model.device;
    let mut tensors: Vec<(String, Lazy<'_, D>)> = Vec::new();
    let mut expected = 0;
    for (i, (slot, parameter)) in slots.iter().zip(model.parameters.iter()).enumerate() {
        let moments = (
            optimizer.first.iter().nth(i),
            optimizer.second.iter().nth(i),
        );
        let (Some(first), Some(second)) = moments else {
            continue;
        };
        let buffers = [
            ("value", parameter.master()?),
            ("first", first),
            ("second", second),
        ];
        for (kind, buffer) in buffers {
            let shape = [slot.len()];
            expected += 4 * slot.len() as u64;
            tensors.push((
                key(slot, kind),
                Lazy {
                    device,
                    buffer,
                    shape,
                },
            ));
        }
    }
    let catalogue = device.upload(&state.catalogue)?;
    if !state.catalogue.is_empty() {
        let lazy = Lazy {
            device,
            buffer: &catalogue,
            shape: [state.catalogue.len()],
        };
        expected += 4 * state.catalogue.len() as u64;
        tensors.push((CATALOGUE.to_string(), lazy));
    }
    let path = aside.join("state.safetensors");
    safetensors::serialize_to_file(tensors, None, &path).map_err(|e| TrainError::Checkpoint {
        path: path.clone(),
        message: format!("cannot be written: {e}"),
    })?;
    let file = File::open(&path).map_err(TrainError::io(&path))?;
    let written = file.metadata().map_err(TrainError::io(&path))?.len();
    if written < expected {
        return Err(TrainError::Checkpoint {
            path,
            message: format!("{written} bytes were written, expected over {expected}"),
        });
    }
    file.sync_all().map_err(TrainError::io(&path))?;
    let path = aside.join("state.json");
    let text = serde_json::to_string(state).map_err(|e| TrainError::Checkpoint {
        path: path.clone(),
        message: e.to_string(),
    })?;
    fs::write(&path, text).map_err(TrainError::io(&path))?;
    sync(&path)?;
    sync(aside)
}

fn key(slot: &Slot, kind: &str) -> String {
    format!("{kind}:{}", slot.parts[0].0)
}

fn sync(path: &Path) -> Result<(), TrainError> {
    let file = File::open(path).map_err(TrainError::io(path))?;
    file.sync_all().map_err(TrainError::io(path))
}

/// Complete checkpoints of a run.
fn list(folder: &Path) -> Result<Vec<(usize, PathBuf)>, TrainError> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(found);
    };
    for entry in entries {
        let path = entry.map_err(TrainError::io(folder))?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
        if let Some(step) = name
            .strip_prefix("checkpoint-")
            .and_then(|s| s.parse().ok())
        {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Removes the checkpoints of a run that will not go on.
pub fn remove(folder: &Path) -> Result<(), TrainError> {
    for (_, path) in list(folder)? {
        fs::remove_dir_all(&path).map_err(TrainError::io(&path))?;
    }
    Ok(())
}

/// Puts the newest checkpoint of `folder` into `model` and `optimizer`; none: nothing to resume.
pub fn resume<D: Device>(
    folder: &Path,
    recipe: &str,
    model: &mut Model<D>,
    optimizer: &mut Optimizer<D>,
) -> Result<Option<RunState>, TrainError> {
    let Some((_, path)) = list(folder)?.pop() else {
        return Ok(None);
    };
    let json = path.join("state.json");
    let bad = |path: &Path, message: String| TrainError::Checkpoint {
        path: path.to_path_buf(),
        message,
    };
    let text = fs::read_to_string(&json).map_err(TrainError::io(&json))?;
    let mut state: RunState = serde_json::from_str(&text).map_err(|e| bad(&json, e.to_string()))?;
    if state.recipe != recipe {
        let message = "was made by another recipe; use its recipe, or another output folder";
        return Err(bad(&json, message.into()));
    }
    let tensors = path.join("state.safetensors");
    let file = File::open(&tensors).map_err(TrainError::io(&tensors))?;
    // SAFETY: the map is read-only and dropped before this function returns; a file that another
    // process truncates meanwhile is outside what a checkpoint promises.
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(TrainError::io(&tensors))?;
    let stored = SafeTensors::deserialize(&map).map_err(|e| bad(&tensors, e.to_string()))?;
    let slots = layout(&model.config);
    let read = |slot: &Slot, kind: &str| -> Result<Vec<f32>, TrainError> {
        let name = key(slot, kind);
        let tensor = stored
            .tensor(&name)
            .map_err(|e| bad(&tensors, format!("tensor {name}: {e}")))?;
        if tensor.dtype() != Dtype::F32 || tensor.data().len() != 4 * slot.len() {
            let expected = slot.len();
            return Err(bad(
                &tensors,
                format!("tensor {name}: expected {expected} f32 values"),
            ));
        }
        Ok(bytemuck::pod_collect_to_vec(tensor.data()))
    };
    let device = model.device.clone();
    for (slot, parameter) in slots.iter().zip(model.parameters.iter_mut()) {
        *parameter.master_mut()? = device.upload(&read(slot, "value")?)?;
    }
    for (slot, moment) in slots.iter().zip(optimizer.first.iter_mut()) {
        *moment = device.upload(&read(slot, "first")?)?;
    }
    for (slot, moment) in slots.iter().zip(optimizer.second.iter_mut()) {
        *moment = device.upload(&read(slot, "second")?)?;
    }
    optimizer.updates = state.updates;
    if let Ok(tensor) = stored.tensor(CATALOGUE) {
        state.catalogue = bytemuck::pod_collect_to_vec(tensor.data());
    }
    Ok(Some(state))
}
