//! The lists that the kernels walk, on the GPU, kept for as long as the forest stays the same: all layers
//! of a model ask for the same.

use super::super::context::Context;
use super::blocks::{Blocks, Item};
use super::keys::{KeyItem, KeyTiles, Visit};
use super::runs::Run;
use super::{Cuda, CudaBuffer, KEYS, group, on_tensor_cores, visit_rows};
use crate::device::{Memory, Real, Result};
use crate::ops::attention::Heads;
use crate::ops::forest::Forest;
use std::sync::{Arc, Mutex, PoisonError};

/// Rows that an item of the kernel by keys is visited by, at most; against reading them, writing its partial
/// gradients is little.
const SHARE: usize = 2048;
/// Visits of an item at least, where items are made smaller for more of them to work at a time.
const FEWEST_VISITS: usize = 2;
/// Items and key heads that suffice for a GPU: more would write more partial gradients. Not a matter of the GPU
/// at hand, so that bits do not depend on it.
const ITEMS: usize = 96;
/// Rows of a block of the plain kernels.
const PLAIN_ROWS: usize = 32;
/// What splitting costs, another launch and the partial results: of the forward pass in tiles of 64 keys, of the
/// backward in visits to one.
const SPLIT_COST: usize = 3;
const SHARE_COST: usize = 5;

/// Lists of the forward pass.
pub struct Forward {
    /// `None`: for the plain kernel.
    pub rows_per_block: Option<usize>,
    pub items: CudaBuffer<Item>,
    pub runs: CudaBuffer<Run>,
    pub partial_rows: usize,
    /// Which partial rows make a row, where the spans are split.
    pub folds: Option<(CudaBuffer<i32>, CudaBuffer<i32>)>,
}

/// Lists of the backward pass.
pub struct Backward {
    pub items: CudaBuffer<Item>,
    pub runs: CudaBuffer<Run>,
    pub key_items: CudaBuffer<KeyItem>,
    pub visits: CudaBuffer<Visit>,
    pub folds: CudaBuffer<KeyItem>,
    pub slots: usize,
}

/// The last plan of either pass.
#[derive(Default)]
pub struct Plans {
    forward: Mutex<Option<Kept<Forward>>>,
    backward: Mutex<Option<Kept<Backward>>>,
}

/// A plan and what it was made for.
struct Kept<P> {
    heads: Heads,
    forest: Forest,
    plan: Arc<P>,
}

impl Plans {
    /// Forgets both, so that the lists of a next forest lie at the same addresses.
    pub fn forget(&self) {
        forget(&self.forward);
        forget(&self.backward);
    }

    pub fn forward<T: Real>(
        &self,
        device: &Cuda<T>,
        heads: &Heads,
        forest: &Forest,
    ) -> Result<Arc<Forward>> {
        kept(&self.forward, heads, forest, || {
            let (rows_per_block, blocks) = if on_tensor_cores::<T>(heads) {
                let (rows, blocks) = choose(heads, forest, &device.context);
                (Some(rows), blocks)
            } else {
                (None, Blocks::whole(forest, group(heads), PLAIN_ROWS))
            };
            let folds = if blocks.firsts.is_empty() {
                None
            } else {
                Some((
                    device.upload(&blocks.firsts)?,
                    device.upload(&blocks.pieces)?,
                ))
            };
            Ok(Forward {
                rows_per_block,
                items: device.upload(&blocks.items)?,
                runs: device.upload(&blocks.runs)?,
                partial_rows: blocks.partial_rows,
                folds,
            })
        })
    }

    pub fn backward<T: Real>(
        &self,
        device: &Cuda<T>,
        heads: &Heads,
        forest: &Forest,
    ) -> Result<Arc<Backward>> {
        kept(&self.backward, heads, forest, || {
            let group = group(heads);
            let (blocks, tiles) = if on_tensor_cores::<T>(heads) {
                let rows = visit_rows(heads.head_dim);
                let tiles = key_tiles(heads, forest, rows);
                (Blocks::whole(forest, group, KEYS), tiles)
            } else {
                let tiles = KeyTiles::new(forest, group, KEYS, usize::MAX);
                (Blocks::whole(forest, group, PLAIN_ROWS), tiles)
            };
            Ok(Backward {
                items: device.upload(&blocks.items)?,
                runs: device.upload(&blocks.runs)?,
                key_items: device.upload(&tiles.items)?,
                visits: device.upload(&tiles.visits)?,
                folds: device.upload(&tiles.folds)?,
                slots: tiles.slots,
            })
        })
    }
}

/// Tiles of keys whose items are visited by `rows` rows at a time, and shared out where they are too few.
fn key_tiles(heads: &Heads, forest: &Forest, rows: usize) -> KeyTiles {
    let tiles = |share| KeyTiles::new(forest, group(heads), rows, share);
    let whole = tiles(SHARE / rows);
    let longest = whole.items.first().map_or(0, |item| item.visits as usize);
    let visits = whole.visits.len() * heads.num_kv_heads;
    let share = visits.div_ceil(ITEMS).max(FEWEST_VISITS);
    if share + SHARE_COST < longest {
        tiles(share)
    } else {
        whole
    }
}

fn forget<P>(slot: &Mutex<Option<Kept<P>>>) {
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

fn kept<P>(
    slot: &Mutex<Option<Kept<P>>>,
    heads: &Heads,
    forest: &Forest,
    make: impl FnOnce() -> Result<P>,
) -> Result<Arc<P>> {
    // What the lock guards is whole also where a holder panicked.
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kept) = slot
        .as_ref()
        .filter(|k| k.heads == *heads && k.forest == *forest)
    {
        return Ok(kept.plan.clone());
    }
    let plan = Arc::new(make()?);
    *slot = Some(Kept {
        heads: *heads,
        forest: forest.clone(),
        plan: plan.clone(),
    });
    Ok(plan)
}

/// Rows that a block's shared memory has room for, and the blocks: what is likely to end first on so many
/// multiprocessors with two blocks each.
fn choose(heads: &Heads, forest: &Forest, gpu: &Context) -> (usize, Blocks) {
    let multiprocessors = gpu.multiprocessors as usize;
    let (group, kv_heads) = (group(heads), heads.num_kv_heads);
    let time = |blocks: &Blocks| {
        let (longest, all) = blocks.work();
        longest.max((all * kv_heads).div_ceil(2 * multiprocessors))
    };
    let mut best = Blocks::whole(forest, group, KEYS);
    let mut best_time = time(&best);
    // Larger heads have registers for 64 rows only, but on Hopper. A tile takes 128 rows longer than 64, but not
    // twice as long: the keys are read once.
    if heads.head_dim == 64 || heads.head_dim == 128 && gpu.is_hopper() {
        let many = Blocks::whole(forest, group, 2 * KEYS);
        if time(&many) * 3 / 2 < best_time {
            return (2 * KEYS, many);
        }
    }
    // Few rows that see much: less of it for each block, then a block for each piece.
    for rows in [KEYS / 2, KEYS / 4] {
        let fewer = Blocks::whole(forest, group, rows);
        let fewer_time = time(&fewer);
        if fewer_time < best_time {
            (best, best_time) = (fewer, fewer_time);
        }
    }
    if SPLIT_COST + 1 < best_time {
        let mut split = Blocks::split(forest, group, KEYS);
        if SPLIT_COST + time(&split) < best_time {
            // Fewer rows a block while there are multiprocessors without any.
            for rows in [KEYS / 2, KEYS / 4] {
                if 2 * split.items.len() * kv_heads <= multiprocessors {
                    split = Blocks::split(forest, group, rows);
                }
            }
            return (KEYS, split);
        }
    }
    (KEYS, best)
}
