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
        unsafe { kernel.launch([s.rows, 1, 1], threads::<T>(s.dim)) }
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
        unsafe { kernel.launch([s.rows, 1, 1], threads::<T>(s.dim)) }
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
        let per = rows_per_block(s.rows);
        let blocks = s.rows.div_ceil(per);
        let mut partials = self.scratch::<f32>(blocks * s.dim)?;
        let kernel = self.kernel("rms_norm_backward")?.input(x).input(w);
        let kernel = kernel.input(dy).output(dx).output(&mut partials);
        let kernel = kernel.int(s.rows)?.int(per)?.int(s.dim)?.value(s.eps);
        // A row that does not fit into the threads' packs keeps its sums in shared memory.
        let pack = 16 / size_of::<T>();
        let fits = s.dim.is_multiple_of(pack) && s.dim <= pack * threads::<T>(s.dim);
        let kernel = kernel.shared(if fits { 0 } else { s.dim * size_of::<f32>() });
        // SAFETY: a block stays in its rows, at most `rows` in each buffer, and in its row of
        // `partials`; where its sums are in shared memory, that has `dim` floats.
        unsafe { kernel.launch([blocks, 1, 1], threads::<T>(s.dim)) }?;
        self.column_sums(blocks, s.dim, &partials, dw)
    }
}

/// A thread for each 16 bytes of a row, in whole warps.
fn threads<T>(dim: usize) -> usize {
    let packs = dim.div_ceil(16 / size_of::<T>());
    packs.next_multiple_of(32).min(1024)
}
