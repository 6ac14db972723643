//! Launches of the top-k search, `kernels/top_k.cu`.

use super::Cuda;
use super::memory::CudaBuffer;
use super::weight::{CudaWeight, Rows};
use crate::device::{Buffer, Memory, Real, Result, at_least};
use crate::ops::linear::LinearShape;
use crate::ops::top_k::*;

/// Queries up to which the instances for few run.
const FEW: usize = 16;
/// Hits that a round gives at most, so that a block sorts them in shared memory.
const ROUND: usize = 1024;
/// Queries that are searched for at once, and the room for their hits.
const QUERIES: usize = 1024;
const KEPT_BYTES: usize = 128 << 20;
/// Tiles of a slice at least.
const SLICE_TILES: usize = 4;
const THREADS: usize = 128;
const STAGES: usize = 3;

impl<T: Real> TopK for Cuda<T> {
    fn top_k(
        &self,
        queries: usize,
        hidden: usize,
        query_rows: &CudaBuffer<f32>,
        items: usize,
        item_rows: &CudaWeight,
        k: usize,
    ) -> Result<Vec<Vec<Scored>>> {
        at_least("top_k", "queries", query_rows.len(), queries * hidden)?;
        item_rows.check("top_k", LinearShape::of_weight(items, hidden))?;
        let most = k.min(items);
        if most == 0 {
            return Ok(vec![Vec::new(); queries]);
        }
        let mut all = Vec::with_capacity(queries);
        for first in (0..queries).step_by(QUERIES) {
            let search = Search {
                rows: query_rows.address(first * hidden),
                queries: QUERIES.min(queries - first),
                hidden,
                items,
                most,
            };
            let keys = self.search(&search, item_rows)?;
            all.extend(keys.chunks_exact(most).map(|row| {
                let hits = row.iter().filter(|&&key| key != 0);
                hits.map(|&key| scored(key)).collect()
            }));
        }
        Ok(all)
    }
}

/// The queries of one pass and how many hits each gets.
struct Search {
    rows: u64,
    queries: usize,
    hidden: usize,
    items: usize,
    most: usize,
}

/// The tile of an instance.
struct Tile {
    name: &'static str,
    m: usize,
    n: usize,
    depth: usize,
}

impl<T: Real> Cuda<T> {
    /// The keys of the hits, `[queries, most]`, best first; 0 where there is none.
    fn search(&self, s: &Search, items: &CudaWeight) -> Result<Vec<u64>> {
        let tile = tile(s, &items.data);
        let elements = tile.n * tile.depth;
        let (format, bytes) = match &items.data {
            Rows::F32(_) => ("f32", 4 * elements),
            Rows::Bf16(_) => ("bf16", 2 * elements),
            Rows::Quantised(rows) => (rows.form.name, rows.form.tile_bytes(elements)),
        };
        let stages = STAGES * (tile.depth * tile.m * size_of::<f32>() + bytes);

        let round = s.most.min(ROUND);
        let capacity = (2 * round).max(round + tile.n).next_power_of_two();
        let slice = self.slice(s, &tile, capacity);
        let slices = s.items.div_ceil(slice);
        let mut kept = self.scratch::<u64>(s.queries * slices * capacity)?;
        let mut parts = self.scratch::<u64>(s.queries * slices * round)?;
        let mut hits = self.scratch::<u64>(s.queries * s.most)?;
        let mut below = self.upload(&vec![u64::MAX; s.queries])?;
        let (rows, scale_rows, scale_columns) = match &items.data {
            Rows::F32(rows) => (rows.address(0), 0, 0),
            Rows::Bf16(rows) => (rows.address(0), 0, 0),
            Rows::Quantised(rows) => (
                rows.bytes.address(0),
                rows.scales.address(0),
                rows.scale_columns,
            ),
        };
        for at in (0..s.most).step_by(round) {
            let k = round.min(s.most - at);
            let name = format!("top_k_{format}_{}", tile.name);
            let kernel = self.context.kernel(&name)?.value(s.rows).value(rows);
            let kernel = kernel.value(scale_rows).input(&below).output(&mut kept);
            let kernel = kernel.output(&mut parts).int(s.queries)?.int(s.items)?;
            let kernel = kernel.int(s.hidden)?.int(scale_columns)?;
            let kernel = kernel.int(slice)?.int(k)?.int(capacity)?;
            let kernel = kernel.shared(stages + capacity * size_of::<u64>() + tile.m * 8);
            // SAFETY: reads are guarded by queries, items and hidden, which the buffers were checked to
            // hold; a block writes its queries' keys of one slice, of which it keeps `capacity` at most.
            unsafe { kernel.launch([s.queries.div_ceil(tile.m), slices, 1], THREADS) }?;
            let kernel = self.context.kernel("top_k_merge")?.input(&parts);
            let kernel = kernel.output(&mut hits).output(&mut below);
            let kernel = kernel.int(slices)?.int(k)?.int(capacity)?.int(at)?;
            let kernel = kernel.int(s.most)?.shared(capacity * size_of::<u64>());
            // SAFETY: a block a query; it writes hits `at` to `at + k`, which end within `most`.
            unsafe { kernel.launch([s.queries, 1, 1], THREADS) }?;
        }
        self.download(&hits, s.queries * s.most)
    }

    /// Items of a slice: enough slices to fill the GPU twice, of a few tiles at least, and no more than
    /// there is room for their keys. Hits do not depend on it.
    fn slice(&self, s: &Search, tile: &Tile, capacity: usize) -> usize {
        let wanted = 2 * self.context.multiprocessors as usize / s.queries.div_ceil(tile.m);
        let room = KEPT_BYTES / (s.queries * capacity * size_of::<u64>());
        let tiles = s.items.div_ceil(tile.n);
        let slices = wanted.min(room).min(tiles / SLICE_TILES).max(1);
        tiles.div_ceil(slices) * tile.n
    }
}

/// The instance for such items.
fn tile(s: &Search, items: &Rows) -> Tile {
    let (depth, pack) = match items {
        Rows::F32(_) => (32, 4),
        Rows::Bf16(_) => (32, 8),
        Rows::Quantised(_) => (64, 4),
    };
    let (name, m, n) = if !s.hidden.is_multiple_of(pack) {
        ("any", 64, 64)
    } else if s.queries <= FEW {
        ("few", 8, 128)
    } else {
        ("many", 64, 64)
    };
    Tile { name, m, n, depth }
}

/// The hit of a key: the score's bits, ordered as whole numbers, above the index's complement.
fn scored(key: u64) -> Scored {
    let ordered = (key >> 32) as u32;
    let flipped = if ordered >> 31 == 1 {
        1 << 31
    } else {
        u32::MAX
    };
    Scored {
        index: !(key as u32),
        score: f32::from_bits(ordered ^ flipped),
    }
}
