//! Launches of attention, `kernels/attention*.cu`.
//!
//! bf16 with a head size that has instances goes to the tensor cores, all else to the plain kernels. A
//! batch with enough rows is computed in whole blocks; a small one (decoding) is split into pieces of
//! spans, whose partial results are folded by a second kernel. Both give the same bits.

mod blocks;
mod keys;
mod plans;
mod runs;

pub(super) use plans::Plans;

use super::Cuda;
use super::memory::CudaBuffer;
use super::tensor_map::Boxes;
use crate::device::{Buffer, DeviceError, Real, Result};
use crate::ops::attention::*;
use crate::ops::forest::Forest;
use bytemuck::{Pod, Zeroable};
use half::bf16;
use plans::{Backward, Forward};

/// Keys of a tile, as in `kernels/attention.cuh`.
const KEYS: usize = 64;
/// Head sizes that the tensor-core kernels are instantiated for.
const HEAD_SIZES: [usize; 4] = [64, 80, 96, 128];
/// The largest head size of the plain kernels.
const LARGEST: usize = 256;
/// Threads of a block of every kernel but `attention_combine` and Hopper's.
const THREADS: usize = 128;
/// Those of `kernels/attention.sm_90a.cu`: two warpgroups and a warp that fetches.
const GROUPS_THREADS: usize = 2 * 128 + 32;
/// Blocks that share a tile of keys and a head in `attention_backward_keys_fold`.
const FOLD_BLOCKS: usize = 16;

/// `Heads` of `kernels/attention.cuh`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Layout {
    num_heads: i32,
    num_kv_heads: i32,
    head_dim: i32,
    group: i32,
    group_inverse: u32,
    scale: f32,
}

/// `Partial` of `kernels/attention.cuh`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Partial {
    values: u64,
    sums: u64,
    rows: i32,
    _padding: i32,
}

/// The kernels' view of the heads, after checking that rows can be numbered with it.
fn layout(op: &'static str, h: &Heads, forest: &Forest) -> Result<Layout> {
    let error = |message: String| Err(DeviceError::Argument { op, message });
    let (group, rows) = (group(h), forest.tokens().saturating_mul(group(h)));
    if h.head_dim > LARGEST {
        return error(format!(
            "heads of {} elements, at most {LARGEST} are supported",
            h.head_dim
        ));
    }
    let furthest = forest.segments.iter().map(|s| s.own.range().end).max();
    // Rows and tokens are numbered in 31 bits, elements of the batch in 32.
    let most = rows.saturating_mul(group).max(furthest.unwrap_or(0));
    let elements = forest.tokens().saturating_mul(h.qkv_dim());
    if most > i32::MAX as usize || elements > u32::MAX as usize {
        return error(format!(
            "{rows} rows of {} elements are too many",
            h.qkv_dim()
        ));
    }
    Ok(Layout {
        num_heads: h.num_heads as i32,
        num_kv_heads: h.num_kv_heads as i32,
        head_dim: h.head_dim as i32,
        group: group as i32,
        // Exact for all rows, as `rows · group < 2^31`.
        group_inverse: (1u64 << 31).div_ceil(group as u64) as u32,
        scale: 1.0 / (h.head_dim as f32).sqrt(),
    })
}

/// Query heads that share a key head.
fn group(h: &Heads) -> usize {
    h.num_heads / h.num_kv_heads
}

/// Whether the tensor-core kernels do it.
fn on_tensor_cores<T: Real>(h: &Heads) -> bool {
    T::NAME == bf16::NAME && HEAD_SIZES.contains(&h.head_dim)
}

impl<T: Real> Attention for Cuda<T> {
    fn attention(
        &self,
        h: &Heads,
        forest: &Forest,
        qkv: &CudaBuffer<T>,
        kv: KeysValues<'_, Self>,
        out: &mut CudaBuffer<T>,
        lse: Option<&mut CudaBuffer<f32>>,
    ) -> Result<()> {
        let cache = match &kv {
            KeysValues::Packed => None,
            KeysValues::Cache { keys, values } => Some(keys.len().min(values.len())),
        };
        let lse_len = lse.as_ref().map(|lse| lse.len());
        h.check_forward(forest, qkv.len(), cache, out.len(), lse_len)?;
        let layout = layout("attention", h, forest)?;
        let plan = self.plans.forward(self, h, forest)?;
        let plan: &Forward = &plan;
        let (keys, values, stride, kv_rows) = match kv {
            KeysValues::Packed => {
                let keys = h.q_dim();
                (
                    qkv.address(keys),
                    qkv.address(keys + h.kv_dim()),
                    h.qkv_dim(),
                    forest.tokens(),
                )
            }
            KeysValues::Cache { keys, values } => {
                let rows = keys.len().min(values.len()) / h.kv_dim();
                (keys.address(0), values.address(0), h.kv_dim(), rows)
            }
        };
        let lse = lse.map_or(0, |lse| lse.address(0));
        let (d, kv_heads) = (h.head_dim, h.num_kv_heads);
        let grid = [plan.items.len(), kv_heads, 1];

        let by_groups = plan.rows_per_block > Some(KEYS) && self.context.is_hopper();
        let kernel = match plan.rows_per_block {
            None => self.kernel("attention_plain")?,
            Some(rows) if by_groups => {
                let kernel = self.context.kernel(&format!("attention_groups_{d}"))?;
                kernel.shared(groups_shared(rows, d))
            }
            Some(rows) if rows > KEYS => {
                let stages = 4 * KEYS * d * size_of::<bf16>();
                let folded = rows * (d + 8) * size_of::<f32>();
                self.context
                    .kernel(&format!("attention_{d}"))?
                    .shared(stages + folded)
            }
            Some(_) => {
                let kernel = self.context.kernel(&format!("attention_few_{d}"))?;
                kernel.shared(4 * KEYS * d * size_of::<bf16>())
            }
        };
        let kernel = kernel.value(layout).input(&plan.items).input(&plan.runs);
        let kernel = kernel
            .input(qkv)
            .int(h.qkv_dim())?
            .value(keys)
            .value(values);
        let kernel = kernel.int(stride)?.output(out).value(lse);
        if plan.rows_per_block.is_none() {
            // SAFETY: rows and keys of the plan are those of the forest, which `check_forward` found
            // inside the buffers.
            return unsafe { kernel.launch(grid, THREADS) };
        }

        if by_groups {
            let boxes = |data| Boxes {
                data,
                rows: kv_rows,
                columns: h.kv_dim(),
                stride,
                box_rows: KEYS,
            };
            let kernel = kernel.value(boxes(keys).map()?).value(boxes(values).map()?);
            // SAFETY: as above; the maps are of the matrices' own rows.
            return unsafe { kernel.launch(grid, GROUPS_THREADS) };
        }

        let rows = plan.partial_rows;
        let sums = self.scratch::<f32>(2 * kv_heads * rows)?;
        let partial_values = self.scratch::<f32>(kv_heads * rows * d)?;
        let partial = Partial {
            values: partial_values.address(0),
            sums: sums.address(0),
            rows: rows as i32,
            _padding: 0,
        };
        // SAFETY: as above; partial rows are numbered below `rows`.
        unsafe { kernel.value(partial).launch(grid, THREADS) }?;
        let Some((firsts, pieces)) = &plan.folds else {
            return Ok(());
        };
        let kernel = self.context.kernel("attention_combine")?.value(layout);
        let kernel = kernel.input(firsts).input(pieces).value(partial);
        let grid = [forest.tokens() * group(h), kv_heads, 1];
        // SAFETY: `firsts` has one more than the rows, and its pieces are partial rows.
        unsafe { kernel.output(out).value(lse).launch(grid, 32) }
    }

    fn attention_backward(
        &self,
        h: &Heads,
        forest: &Forest,
        qkv: &CudaBuffer<T>,
        out: &CudaBuffer<T>,
        lse: &CudaBuffer<f32>,
        dout: &CudaBuffer<T>,
        dqkv: &mut CudaBuffer<T>,
    ) -> Result<()> {
        let lens = [qkv.len(), out.len(), lse.len(), dout.len(), dqkv.len()];
        h.check_backward(forest, lens)?;
        let layout = layout("attention_backward", h, forest)?;
        let plan = self.plans.backward(self, h, forest)?;
        let plan: &Backward = &plan;
        let (d, kv_heads, rows) = (h.head_dim, h.num_kv_heads, forest.tokens() * group(h));

        let mut stats = self.scratch::<f32>(2 * kv_heads * rows)?;
        let kernel = self.kernel("attention_delta")?.value(layout).input(out);
        let kernel = kernel.input(dout).input(lse).output(&mut stats).int(rows)?;
        let grid = [(32 * rows).div_ceil(THREADS), kv_heads, 1];
        // SAFETY: a warp reads a row of `out` and `dout` and writes its pair of `stats`.
        unsafe { kernel.launch(grid, THREADS) }?;

        let (by_queries, by_keys) = if on_tensor_cores::<T>(h) {
            let rows = visit_rows(d);
            let keys = 2 * KEYS * d * size_of::<bf16>();
            let visits = 2 * rows * (2 * d * size_of::<bf16>() + 2 * size_of::<f32>());
            let by_queries = self.context.kernel(&format!("attention_backward_{d}"))?;
            let by_keys = self
                .context
                .kernel(&format!("attention_backward_keys_{d}"))?;
            (by_queries.shared(2 * keys), by_keys.shared(keys + visits))
        } else {
            let by_queries = self.kernel("attention_plain_backward")?;
            (by_queries, self.kernel("attention_plain_backward_keys")?)
        };
        let kernel = by_queries
            .value(layout)
            .input(&plan.items)
            .input(&plan.runs);
        let kernel = kernel
            .input(qkv)
            .input(dout)
            .input(&stats)
            .int(rows)?
            .output(dqkv);
        // SAFETY: rows and keys of the plan are those of the forest, which `check_backward` found inside
        // the buffers.
        unsafe { kernel.launch([plan.items.len(), kv_heads, 1], THREADS) }?;

        let mut partial = self.scratch::<f32>(plan.slots * kv_heads * 2 * KEYS * d)?;
        let kernel = by_keys
            .value(layout)
            .input(&plan.key_items)
            .input(&plan.visits);
        let kernel = kernel
            .input(qkv)
            .input(dout)
            .input(&stats)
            .int(rows)?
            .output(dqkv);
        let grid = [plan.key_items.len(), kv_heads, 1];
        if !on_tensor_cores::<T>(h) {
            // SAFETY: as above.
            return unsafe { kernel.launch(grid, THREADS) };
        }
        // SAFETY: as above; items store to slots below `slots`.
        unsafe { kernel.output(&mut partial).launch(grid, THREADS) }?;
        let kernel = self
            .context
            .kernel("attention_backward_keys_fold")?
            .value(layout);
        let kernel = kernel.input(&plan.folds).input(&partial).output(dqkv);
        let grid = [plan.folds.len(), kv_heads, FOLD_BLOCKS];
        // SAFETY: as above; every slot of a fold was written.
        unsafe { kernel.launch(grid, THREADS) }
    }
}

/// Bytes of shared memory of a block of `kernels/attention.sm_90a.cu`: queries, stages of keys and values with their
/// barriers, and what is folded of larger heads.
fn groups_shared(rows: usize, d: usize) -> usize {
    let stages = if d == 64 { 4 } else { 3 };
    let folded = if d > 64 {
        rows * 2 * (d / 2 + 4) * 4
    } else {
        0
    };
    rows * d * 2 + stages * (2 * KEYS * d * 2 + 16) + folded
}

/// Query rows of a visit of the kernel by keys.
fn visit_rows(d: usize) -> usize {
    if d <= 80 { 64 } else { 32 }
}
