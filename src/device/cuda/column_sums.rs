//! The last step of weight gradients, `kernels/column_sums.cu`.

use super::Cuda;
use super::memory::CudaBuffer;
use crate::device::{Buffer, Real, Result, at_least};

impl<T: Real> Cuda<T> {
    /// `y[columns] += Σ` over the rows of `x[rows, columns]`, in a fixed order.
    pub(super) fn column_sums(
        &self,
        rows: usize,
        columns: usize,
        x: &CudaBuffer<f32>,
        y: &mut CudaBuffer<f32>,
    ) -> Result<()> {
        at_least("column_sums", "x", x.len(), rows * columns)?;
        at_least("column_sums", "y", y.len(), columns)?;
        if rows == 0 {
            return Ok(());
        }
        let kernel = self.context.kernel("column_sums")?.input(x).output(y);
        let kernel = kernel.int(rows)?.int(columns)?;
        // SAFETY: threads stay below `rows` and `columns`, which both buffers hold.
        unsafe { kernel.launch([columns.div_ceil(32), 1, 1], 1024) }
    }
}

/// Rows that a block of a backward kernel sums before it writes a partial sum: a matter of the shape
/// alone, so that bits do not depend on the GPU. Few rows are spread widely; of many, the partial sums
/// stay below a thirtieth of what is read.
pub(super) fn rows_per_block(rows: usize) -> usize {
    (rows / 128).clamp(4, 32)
}
