//! Launches of SwiGLU, `kernels/swiglu.cu`.

use super::memory::CudaBuffer;
use super::{Cuda, Packs};
use crate::device::{Buffer, Real, Result};
use crate::ops::swiglu::*;

impl<T: Real> SwiGlu for Cuda<T> {
    fn swiglu(
        &self,
        rows: usize,
        intermediate: usize,
        gate_up: &CudaBuffer<T>,
        out: &mut CudaBuffer<T>,
    ) -> Result<()> {
        let len = rows * intermediate;
        check(len, gate_up.len(), out.len())?;
        let packs = Packs::of::<T>(&[intermediate]);
        let kernel = self.kernel("swiglu")?.input(gate_up).output(out);
        let kernel = kernel.int(intermediate)?;
        // SAFETY: a block stays in its row of both buffers, and there are `rows`.
        unsafe { kernel.launch([rows, packs.blocks, 1], packs.threads) }
    }

    fn swiglu_backward(
        &self,
        rows: usize,
        intermediate: usize,
        gate_up: &CudaBuffer<T>,
        dout: &CudaBuffer<T>,
        dgate_up: &mut CudaBuffer<T>,
    ) -> Result<()> {
        let len = rows * intermediate;
        check_backward(len, gate_up.len(), dout.len(), dgate_up.len())?;
        let packs = Packs::of::<T>(&[intermediate]);
        let kernel = self.kernel("swiglu_backward")?.input(gate_up).input(dout);
        let kernel = kernel.output(dgate_up).int(intermediate)?;
        // SAFETY: as in `swiglu`.
        unsafe { kernel.launch([rows, packs.blocks, 1], packs.threads) }
    }
}
