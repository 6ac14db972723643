//! Launches of InfoNCE, `kernels/info_nce.cu`. All of it is f32, whatever activations are.

use super::Cuda;
use super::launch::Launch;
use super::memory::CudaBuffer;
use super::product::Product;
use super::tiling::Tiling;
use crate::device::{Buffer, Memory, Real, Result};
use crate::ops::info_nce::*;
use std::marker::PhantomData;

const OP: &str = "info_nce";
/// Items that a block of the forward walks through at most: a multiple of every tile.
const SLICE: usize = 256;
/// Blocks of the forward beyond which they walk through more than a tile: two for each multiprocessor of any GPU
/// so far. Not those of the GPU at hand, so that bits do not depend on it.
const BLOCKS: usize = 256;
/// Elements of a strip's gradient at most, which then stays in the L2 cache.
const STRIP: usize = 1 << 20;
const FINISH_THREADS: usize = 256;
const ROW_THREADS: usize = 256;
/// Bytes of shared memory for the masked pairs of a tile.
const MASK_BYTES: usize = 512;

/// Queries of a strip of the gradient by so many items: whole tiles, which are as high for rows of any length.
pub(crate) fn strip_rows(items: usize) -> usize {
    let tile = Tiling::largest(size_of::<f32>(), true).m;
    (STRIP / items.max(1) / tile).max(1) * tile
}

impl<T: Real> InfoNce for Cuda<T> {
    fn info_nce(
        &self,
        batch: &InfoNceBatch,
        queries: &CudaBuffer<f32>,
        items: &CudaBuffer<f32>,
    ) -> Result<InfoNceOutput<Self>> {
        batch.check(queries.len(), items.len())?;
        let count = batch.queries;
        let on_gpu = self.on_gpu(batch)?;
        let [q, d] = self.unit_rows(batch, queries, items)?;
        let [mut loss, mut lse, mut target_score] = [
            self.scratch(count)?,
            self.scratch(count)?,
            self.scratch::<f32>(count)?,
        ];
        let mut rank = self.scratch::<u32>(count)?;
        let (width, tiling) = instance(batch);
        let slice = slice(batch, &tiling);
        let slices = batch.items.div_ceil(slice);
        let mut partial = self.scratch::<[f32; 3]>(slices * count)?;

        let diagonal = Tiling::few_cosines();
        let name = if wide(batch) { "wide" } else { "any" };
        let kernel = self.context.kernel(&format!("info_nce_target_{name}"))?;
        let kernel = kernel.input(&q.rows).input(&d.rows).input(&on_gpu.targets);
        let kernel = kernel.output(&mut target_score).int(count)?;
        let kernel = kernel.int(batch.items)?.int(batch.hidden)?;
        let kernel = kernel.shared(shared(&diagonal));
        // SAFETY: a block writes the scores of its queries; targets are items.
        unsafe { kernel.launch([count.div_ceil(diagonal.m), 1, 1], diagonal.threads) }?;

        let kernel = self.context.kernel(&format!("{OP}_{width}"))?;
        let kernel = kernel.input(&q.rows).input(&d.rows);
        let kernel = on_gpu.masks(kernel.input(&target_score));
        let kernel = kernel.output(&mut partial).int(count)?.int(batch.items)?;
        let kernel = kernel.int(batch.hidden)?.int(slice)?;
        let kernel = kernel.value(batch.temperature.recip());
        let kernel = kernel.shared(shared(&tiling));
        // SAFETY: reads are guarded by the sizes, which were checked; masks by their offsets. A block
        // writes its queries of one slice of `partial`.
        unsafe { kernel.launch([count.div_ceil(tiling.m), slices, 1], tiling.threads) }?;

        let kernel = self.context.kernel("info_nce_finish")?.input(&partial);
        let kernel = kernel.input(&target_score).input(&q.rows).input(&d.rows);
        let kernel = kernel.output(&mut loss).output(&mut lse).output(&mut rank);
        let kernel = kernel.int(count)?.int(batch.items)?.int(batch.hidden)?;
        let kernel = kernel.int(slices)?.value(batch.temperature.recip());
        // SAFETY: a lane a query; unit rows, which nobody reads any more, are dropped.
        unsafe { kernel.launch([count.div_ceil(32), 1, 1], FINISH_THREADS) }?;
        Ok(InfoNceOutput {
            loss,
            lse,
            rank,
            inverse_query_norm: q.inverse,
            inverse_item_norm: d.inverse,
        })
    }

    fn info_nce_backward(
        &self,
        batch: &InfoNceBatch,
        queries: &CudaBuffer<f32>,
        items: &CudaBuffer<f32>,
        output: &InfoNceOutput<Self>,
        coefficients: &[f32],
        dqueries: &mut CudaBuffer<f32>,
        ditems: &mut CudaBuffer<f32>,
    ) -> Result<()> {
        let InfoNceBatch {
            queries: count,
            items: item_count,
            hidden,
            ..
        } = *batch;
        batch.check(queries.len(), items.len())?;
        GradientLengths {
            lse: output.lse.len(),
            coefficients: coefficients.len(),
            dqueries: dqueries.len(),
            ditems: ditems.len(),
        }
        .check(batch)?;
        let on_gpu = self.on_gpu(batch)?;
        let coefficients = self.upload(&coefficients[..count])?;
        let [q, d] = self.unit_rows(batch, queries, items)?;
        self.clear(ditems, item_count * hidden)?;

        let products = self.in_f32();
        let (width, tiling) = instance(batch);
        let name = format!("info_nce_gradient_{width}");
        let strip = strip_rows(item_count);
        let strip_rows = strip.min(count);
        let mut g = self.scratch::<f32>(strip_rows * item_count)?;
        for first in (0..count).step_by(strip) {
            let rows = strip.min(count - first);
            let kernel = self.context.kernel(&name)?.input(&q.rows).input(&d.rows);
            let kernel = on_gpu.masks(kernel.input(&on_gpu.targets));
            let kernel = kernel.input(&output.lse).input(&coefficients);
            let kernel = kernel.output(&mut g).int(first)?.int(rows)?;
            let kernel = kernel.int(item_count)?.int(hidden)?;
            let kernel = kernel.value(batch.temperature.recip());
            let kernel = kernel.shared(shared(&tiling));
            let blocks = tiling.blocks(rows, item_count);
            // SAFETY: as in the forward; `g` holds the strip's rows.
            unsafe { kernel.launch([blocks, 1, 1], tiling.threads) }?;
            products.multiply_nn(&Product {
                a: g.address(0),
                b: d.rows.address(0),
                c: dqueries.address(first * hidden),
                m: rows,
                n: hidden,
                k: item_count,
                accumulate: false,
            })?;
            products.multiply_tn(&Product {
                a: g.address(0),
                b: q.rows.address(first * hidden),
                c: ditems.address(0),
                m: item_count,
                n: hidden,
                k: rows,
                accumulate: true,
            })?;
        }
        let kernel = self.context.kernel("through_norm")?.input(&q.rows);
        let kernel = kernel.input(&d.rows).input(&q.inverse).input(&d.inverse);
        let kernel = kernel.input(&g).output(dqueries).output(ditems);
        let kernel = kernel.int(count)?.int(item_count)?.int(hidden)?;
        let kernel = kernel.int(strip_rows)?;
        // SAFETY: as in `unit_rows`; these and `g`, which nobody reads any more, are dropped.
        unsafe { kernel.launch([row_blocks(batch), 1, 1], ROW_THREADS) }
    }
}

/// The indices of a batch on the GPU.
struct OnGpu {
    targets: CudaBuffer<u32>,
    /// Offsets and masked items, where there are masks.
    masks: Option<[CudaBuffer<u32>; 2]>,
}

impl OnGpu {
    fn masks<'c>(&self, kernel: Launch<'c>) -> Launch<'c> {
        match &self.masks {
            Some([offsets, masked]) => kernel.input(offsets).input(masked),
            None => kernel.value(0u64).value(0u64),
        }
    }
}

/// Rows of length 1, and the reciprocals of what their lengths were.
struct Unit {
    rows: CudaBuffer<f32>,
    inverse: CudaBuffer<f32>,
}

impl<T: Real> Cuda<T> {
    /// The same GPU with activations in f32.
    fn in_f32(&self) -> Cuda<f32> {
        Cuda {
            context: self.context.clone(),
            plans: Default::default(),
            lists: Default::default(),
            real: PhantomData,
        }
    }

    fn on_gpu(&self, batch: &InfoNceBatch) -> Result<OnGpu> {
        let masks = match &batch.mask_offsets[..] {
            [] => None,
            offsets => Some([self.upload(offsets)?, self.upload(&batch.masked)?]),
        };
        Ok(OnGpu {
            targets: self.upload(&batch.targets[..batch.queries])?,
            masks,
        })
    }

    /// Of the queries and of the items.
    fn unit_rows(
        &self,
        batch: &InfoNceBatch,
        queries: &CudaBuffer<f32>,
        items: &CudaBuffer<f32>,
    ) -> Result<[Unit; 2]> {
        let unit = |rows: usize| -> Result<Unit> {
            Ok(Unit {
                rows: self.scratch(rows * batch.hidden)?,
                inverse: self.scratch(rows)?,
            })
        };
        let [mut q, mut d] = [unit(batch.queries)?, unit(batch.items)?];
        let kernel = self.context.kernel("unit_rows")?.input(queries);
        let kernel = kernel.input(items).output(&mut q.rows).output(&mut d.rows);
        let kernel = kernel.output(&mut q.inverse).output(&mut d.inverse);
        let kernel = kernel.int(batch.queries)?.int(batch.items)?;
        let kernel = kernel.int(batch.hidden)?;
        // SAFETY: a warp a row of `hidden` elements, of queries and then of items, which the buffers hold.
        unsafe { kernel.launch([row_blocks(batch), 1, 1], ROW_THREADS) }?;
        Ok([q, d])
    }
}

/// Blocks of a warp for each query and each item.
fn row_blocks(batch: &InfoNceBatch) -> usize {
    (batch.queries + batch.items).div_ceil(ROW_THREADS / 32)
}

/// Whether rows start at multiples of 16 bytes.
fn wide(batch: &InfoNceBatch) -> bool {
    Cuda::<f32>::wide(&[batch.hidden])
}

/// The instance for a batch, and its tile.
fn instance(batch: &InfoNceBatch) -> (&'static str, Tiling) {
    let tiling = Tiling::largest(size_of::<f32>(), wide(batch));
    match wide(batch) {
        true if !tiling.fills(batch.queries, batch.items) => ("few", Tiling::few_cosines()),
        true => ("wide", tiling),
        false => ("any", tiling),
    }
}

/// Items of a slice.
fn slice(batch: &InfoNceBatch, tiling: &Tiling) -> usize {
    let blocks = tiling.blocks(batch.queries, batch.items);
    (blocks / BLOCKS).clamp(1, SLICE / tiling.n) * tiling.n
}

fn shared(tiling: &Tiling) -> usize {
    tiling.shared(size_of::<f32>(), size_of::<f32>()) + MASK_BYTES
}
