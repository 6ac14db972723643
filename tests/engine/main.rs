//! The engine as a whole, on tiny models: against transformers, against itself, and over a run.

#[path = "../common/mod.rs"]
mod common;
mod copies;
mod events;
mod golden;
mod gpu;
mod graphs;
mod killed;
mod plain;
mod poolings;
mod recorded;
mod rl;
mod shop;
mod smollm2;
mod thinking;
mod tiny;
mod training;
mod trunks;

use lrem::device::cpu::Cpu;
use lrem::model::{Activations, Batch, Model};
use lrem::ops::forest::Forest;

/// Final hidden states `[tokens, hidden]` of a packed batch.
pub fn hidden(model: &Model<Cpu>, ids: &[u32], forest: &Forest) -> Vec<f32> {
    wanted(model, ids, forest, None)
}

/// Final hidden states of the `wanted` tokens of a packed batch.
pub fn wanted(
    model: &Model<Cpu>,
    ids: &[u32],
    forest: &Forest,
    wanted: Option<&[u32]>,
) -> Vec<f32> {
    let positions = forest.positions();
    let batch = Batch {
        ids,
        forest,
        positions: &positions,
        wanted,
    };
    let mut acts = Activations::for_inference(&*model.device, &model.config).unwrap();
    model.forward(&batch, &mut acts).unwrap();
    let rows = wanted.map_or(ids.len(), <[u32]>::len);
    acts.hidden[..rows * model.config.hidden_size].to_vec()
}

/// The largest difference of two rows of numbers, relative to the largest of the second.
pub fn relative_error(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    let off = got.iter().zip(want).map(|(g, w)| (g - w).abs());
    off.fold(0.0f32, f32::max) / largest.max(1e-30)
}
