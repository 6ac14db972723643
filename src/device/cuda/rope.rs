//! Launches of RoPE and of the q/k norm, `kernels/rope.cu` and `kernels/qk_norm.cu`.

use super::memory::CudaBuffer;
use super::{Cuda, Packs, rows_per_block};
use crate::device::{Buffer, Real, Result, at_least};
use crate::ops::attention::Heads;
use crate::ops::rope::*;

/// Elements of a thread's pack of RoPE, as in the kernel.
const PACK: usize = 4;
/// Threads of a block of the q/k norm, and its warps, as in the kernel.
const NORM_BLOCK: usize = 128;
const NORM_WARPS: usize = NORM_BLOCK / 32;

impl<T: Real> Rope for Cuda<T> {
    fn rope(
        &self,
        heads: &Heads,
        table: &RopeTable<Self>,
        positions: &[u32],
        qkv: &mut CudaBuffer<T>,
    ) -> Result<()> {
        self.rotate("rope", heads, table, positions, 1.0, qkv)
    }

    fn rope_backward(
        &self,
        heads: &Heads,
        table: &RopeTable<Self>,
        positions: &[u32],
        dqkv: &mut CudaBuffer<T>,
    ) -> Result<()> {
        self.rotate("rope_backward", heads, table, positions, -1.0, dqkv)
    }

    fn qk_norm(
        &self,
        heads: &Heads,
        eps: f32,
        tokens: usize,
        qkv: &CudaBuffer<T>,
        q_weight: &CudaBuffer<f32>,
        k_weight: &CudaBuffer<f32>,
        out: &mut CudaBuffer<T>,
    ) -> Result<()> {
        let weights = [q_weight.len(), k_weight.len()];
        let len = check_qk_norm("qk_norm", heads, tokens, qkv.len(), weights)?;
        at_least("qk_norm", "out", out.len(), len)?;
        let kernel = self.kernel("qk_norm")?.input(qkv).input(q_weight);
        let kernel = kernel.input(k_weight).output(out).int(heads.num_heads)?;
        let kernel = kernel.int(heads.num_kv_heads)?.int(heads.head_dim)?;
        // SAFETY: a block stays in its row of both buffers, and there are `tokens`; the weights have a
        // head's elements.
        unsafe { kernel.value(eps).launch([tokens, 1, 1], NORM_BLOCK) }
    }

    fn qk_norm_backward(
        &self,
        heads: &Heads,
        eps: f32,
        tokens: usize,
        qkv: &CudaBuffer<T>,
        q_weight: &CudaBuffer<f32>,
        k_weight: &CudaBuffer<f32>,
        dqkv: &mut CudaBuffer<T>,
        dq_weight: &mut CudaBuffer<f32>,
        dk_weight: &mut CudaBuffer<f32>,
    ) -> Result<()> {
        let (op, d) = ("qk_norm_backward", heads.head_dim);
        let weights = [q_weight.len(), k_weight.len()];
        let len = check_qk_norm(op, heads, tokens, qkv.len(), weights)?;
        at_least(op, "dqkv", dqkv.len(), len)?;
        at_least(op, "dq_weight", dq_weight.len(), d)?;
        at_least(op, "dk_weight", dk_weight.len(), d)?;
        let per = rows_per_block(tokens);
        let blocks = tokens.div_ceil(per);
        let mut q_partials = self.scratch::<f32>(blocks * d)?;
        let mut k_partials = self.scratch::<f32>(blocks * d)?;
        let kernel = self.kernel(op)?.input(qkv).input(q_weight).input(k_weight);
        let kernel = kernel.output(dqkv).output(&mut q_partials);
        let kernel = kernel.output(&mut k_partials).int(tokens)?.int(per)?;
        let kernel = kernel.int(heads.num_heads)?.int(heads.num_kv_heads)?;
        let kernel = kernel.int(d)?.value(eps);
        let kernel = kernel.shared(2 * NORM_WARPS * d * size_of::<f32>());
        // SAFETY: a block stays in its rows of both buffers, at most `tokens`, and in its row of the
        // partial sums; each warp's sums take two heads of shared memory.
        unsafe { kernel.launch([blocks, 1, 1], NORM_BLOCK) }?;
        self.column_sums(blocks, d, &q_partials, dq_weight)?;
        self.column_sums(blocks, d, &k_partials, dk_weight)
    }
}

impl<T: Real> Cuda<T> {
    fn rotate(
        &self,
        op: &'static str,
        heads: &Heads,
        table: &RopeTable<Self>,
        positions: &[u32],
        sign: f32,
        qkv: &mut CudaBuffer<T>,
    ) -> Result<()> {
        let len = table.check(op, heads, positions, qkv.len())?;
        if len == 0 {
            return Ok(());
        }
        let rotated = heads.num_heads + heads.num_kv_heads;
        let half = heads.head_dim / 2;
        let packs = half / if half.is_multiple_of(PACK) { PACK } else { 1 };
        let units = Packs::split(positions.len() * rotated * packs);
        let tokens = positions.len();
        let positions = self.list(positions)?;
        let kernel = self.kernel("rope")?.output(qkv).input(&table.cos);
        let kernel = kernel.input(&table.sin).input(&positions).int(tokens)?;
        let kernel = kernel.int(heads.qkv_dim())?.int(rotated)?;
        let kernel = kernel.int(heads.head_dim)?.value(sign);
        // SAFETY: a thread stays in its pack of a row of `qkv`, which has `tokens`, and positions are
        // within the table.
        unsafe { kernel.launch([units.blocks, 1, 1], units.threads) }
    }
}
