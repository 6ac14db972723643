//! Launches of the kernels that do as much as a GPU can, `kernels/peaks.cu`.

use super::Cuda;
use super::memory::CudaBuffer;
use crate::device::{Buffer, Real, Result, at_least};

/// Threads of a block.
const THREADS: usize = 256;
/// Floats of 16 bytes.
const PACK: usize = 4;
/// Sums of a thread that do not wait for each other.
const CHAINS: usize = 8;
/// Flops of a tensor-core product, `mma.m16n8k16`.
const MMA: usize = 2 * 16 * 8 * 16;
/// Lanes of a warp.
const WARP: usize = 32;

/// Units that multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multiplier {
    F32,
    /// Tensor cores in bf16, as warps use them (`mma.sync`).
    Bf16,
}

impl<T: Real> Cuda<T> {
    /// `a = b + s · c`, STREAM's triad: reads two arrays and writes one.
    ///
    /// # Errors
    /// Where `b` or `c` is shorter than `a`, and where the launch fails. What `a` has beyond a multiple of 4 stays.
    pub fn triad(
        &self,
        a: &mut CudaBuffer<f32>,
        b: &CudaBuffer<f32>,
        c: &CudaBuffer<f32>,
        s: f32,
    ) -> Result<()> {
        let packs = a.len() / PACK;
        at_least("triad", "b", b.len(), packs * PACK)?;
        at_least("triad", "c", c.len(), packs * PACK)?;
        let kernel = self.context.kernel("triad")?;
        let kernel = kernel.output(a).input(b).input(c).value(s).int(packs)?;
        // SAFETY: threads beyond the packs do nothing, and all arrays have as many.
        unsafe { kernel.launch([packs.div_ceil(THREADS), 1, 1], THREADS) }
    }

    /// So many turns of products in chains, on every thread that has a number in `sums`, which receive the
    /// chains' sums; `factor` is what is multiplied. Gives the flops that were done: multiplications and
    /// additions.
    ///
    /// # Errors
    /// Where the launch fails.
    pub fn products(
        &self,
        multiplier: Multiplier,
        factor: f32,
        turns: usize,
        sums: &mut CudaBuffer<f32>,
    ) -> Result<f64> {
        let (name, flops) = match multiplier {
            Multiplier::F32 => ("products_f32", 2 * WARP),
            Multiplier::Bf16 => ("products_bf16", MMA),
        };
        let blocks = sums.len() / THREADS;
        let kernel = self.context.kernel(name)?;
        let kernel = kernel.output(sums).value(factor).int(turns)?;
        // SAFETY: each thread writes one number, and `sums` has as many.
        unsafe { kernel.launch([blocks, 1, 1], THREADS) }?;
        let warps = blocks * THREADS / WARP;
        Ok((flops * CHAINS * turns * warps) as f64)
    }
}
