//! Launches of RMSNorm, `kernels/rms_norm.cu`.

use super::memory::CudaBuffer;
use super::{Cuda, rows_per_block};
use crate::device::{Buffer, Real, Result, at_least};
use crate::ops::rms_norm::*;

impl<T: Real> RmsNorm for Cuda<T> {
    fn rms_norm(
        &self,
        s: NormShape,
        x: &CudaBuffer<T>,
        w: &CudaBuffer<f32>,
        y: &mut CudaBuffer<T>,
    ) -> Result<()> {
        let len = s.check("rms_norm", x.len(), w.len())?;
        at_least("rms_norm", "y", y.len(), len)?;
        let kernel = self.kernel("rms_norm")?.input(x).input(w).output(y);
        let kernel = kernel.int(s.dim)?.value(s.eps);
        // SAFETY: a block reads and writes a row of `dim` elements, and there are `rows` in each buffer.
        unsafe { kernel.launch([s.rows, 1, 1], threads(s.dim, forward::<T>())) }
    }

    fn add_rms_norm(
        &self,
        s: NormShape,
        x: &CudaBuffer<T>,
        delta: &CudaBuffer<T>,
        w: &CudaBuffer<f32>,
        sum: &mut CudaBuffer<T>,
        y: &mut CudaBuffer<T>,
    ) -> Result<()> {
        let len = s.check("add_rms_norm", x.len(), w.len())?;
        at_least("add_rms_norm", "delta", delta.len(), len)?;
        at_least("add_rms_norm", "sum", sum.len(), len)?;
        at_least("add_rms_norm", "y", y.len(), len)?;
        let kernel = self.kernel("add_rms_norm")?.input(x).input(delta).input(w);
        let kernel = kernel.output(sum).output(y).int(s.dim)?.value(s.eps);
        // SAFETY: as in `rms_norm`.
        unsafe { kernel.launch([s.rows, 1, 1], threads(s.dim, forward::<T>())) }
    }

    fn rms_norm_backward(
        &self,
        s: NormShape,
        x: &CudaBuffer<T>,
        w: &CudaBuffer<f32>,
        dy: &CudaBuffer<T>,
        dx: &mut CudaBuffer<T>,
        dw: &mut CudaBuffer<f32>,
    ) -> Result<()> {
        let len = s.check("rms_norm_backward", x.len(), w.len())?;
        at_least("rms_norm_backward", "dy", dy.len(), len)?;
        at_least("rms_norm_backward", "dx", dx.len(), len)?;
        at_least("rms_norm_backward", "dw", dw.len(), s.dim)?;
        let per = rows_per_block(s.rows).max(LEAST_ROWS);
        let blocks = s.rows.div_ceil(per);
        let holds = backward::<T>();
        let lanes = threads(s.dim, holds);
        // A row that does not fit into the threads' packs is gone over by the block.
        let held = s.dim.is_multiple_of(PACK) && s.dim <= holds.packs * PACK * lanes;
        let most = if held { holds.threads / lanes } else { 1 };
        // As many at once in every round.
        let at_once = per.div_ceil(per.div_ceil(most));
        let mut partials = self.scratch::<f32>(if blocks > 1 { blocks * s.dim } else { 1 })?;
        let kernel = self.kernel("rms_norm_backward")?.input(x).input(w);
        let kernel = kernel.input(dy).output(dx).output(dw).output(&mut partials);
        let kernel = kernel.int(s.rows)?.int(per)?.int(lanes)?.int(s.dim)?;
        let kernel = kernel.value(s.eps);
        let kernel = kernel.shared(at_once * s.dim * size_of::<f32>());
        // SAFETY: a block stays in its rows, at most `rows` in each buffer, and in its row of `partials`, which it
        // has where there are several; its sums have their floats of shared memory.
        unsafe { kernel.launch([blocks, 1, 1], at_once * lanes) }
    }
}

/// Rows of a block of the backward pass at least, so that the blocks' sums of the weight's gradient are less than a
/// twentieth of what is moved.
const LEAST_ROWS: usize = 12;

/// Elements of a thread's pack, as in the kernel.
const PACK: usize = 4;

/// What a kernel's threads hold.
#[derive(Clone, Copy)]
struct Holds {
    /// Packs of a row that a thread holds at most.
    packs: usize,
    /// Threads of a block at most.
    threads: usize,
}

/// Packs that are 16 bytes of a row together.
fn forward<T>() -> Holds {
    Holds {
        packs: 16 / size_of::<T>() / PACK,
        threads: 1024,
    }
}

fn backward<T>() -> Holds {
    Holds {
        packs: if size_of::<T>() == 2 { 5 } else { 4 },
        threads: 512,
    }
}

/// Threads for a row, in whole warps.
fn threads(dim: usize, holds: Holds) -> usize {
    let threads = dim.div_ceil(PACK * holds.packs).next_multiple_of(32);
    threads.min(holds.threads)
}
