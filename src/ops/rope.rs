//! Rotary position embedding on the queries and keys of packed `qkv` rows, and the q/k norm of Qwen3.
//!
//! A row of `qkv` is `num_heads` queries, `num_kv_heads` keys, `num_kv_heads` values of `head_dim`
//! each. Rotation is by halves, as in Hugging Face's Llama: element `i` pairs with `i + head_dim/2`.

use super::attention::Heads;
use crate::device::{Memory, Result};

/// Cosines and sines `[positions, head_dim/2]`, frequency scaling (linear, llama3, yarn) and yarn's
/// attention factor already applied.
pub struct RopeTable<D: Memory + ?Sized> {
    pub cos: D::Buffer<f32>,
    pub sin: D::Buffer<f32>,
    /// Number of positions in the table.
    pub positions: usize,
}

/// The RoPE op and the per-head norm.
pub trait Rope: Memory {
    /// Rotates queries and keys of `qkv[tokens]` in place; `positions[t]` is the row's position.
    fn rope(
        &self,
        heads: &Heads,
        table: &RopeTable<Self>,
        positions: &[u32],
        qkv: &mut Self::Buffer<f32>,
    ) -> Result<()>;

    /// The transpose of [`Rope::rope`] on gradients, in place.
    fn rope_backward(
        &self,
        heads: &Heads,
        table: &RopeTable<Self>,
        positions: &[u32],
        dqkv: &mut Self::Buffer<f32>,
    ) -> Result<()>;

    /// Qwen3's q/k norm: RMSNorm over `head_dim` of every query head with `q_weight[head_dim]` and of
    /// every key head with `k_weight`, values copied: `out[tokens] = norm(qkv[tokens])`.
    #[allow(clippy::too_many_arguments)]
    fn qk_norm(
        &self,
        heads: &Heads,
        eps: f32,
        tokens: usize,
        qkv: &Self::Buffer<f32>,
        q_weight: &Self::Buffer<f32>,
        k_weight: &Self::Buffer<f32>,
        out: &mut Self::Buffer<f32>,
    ) -> Result<()>;

    /// Backward of [`Rope::qk_norm`] at `qkv`: `dqkv` (in: gradient of `out`, out: gradient of `qkv`)
    /// in place; `dq_weight += …`, `dk_weight += …`.
    #[allow(clippy::too_many_arguments)]
    fn qk_norm_backward(
        &self,
        heads: &Heads,
        eps: f32,
        tokens: usize,
        qkv: &Self::Buffer<f32>,
        q_weight: &Self::Buffer<f32>,
        k_weight: &Self::Buffer<f32>,
        dqkv: &mut Self::Buffer<f32>,
        dq_weight: &mut Self::Buffer<f32>,
        dk_weight: &mut Self::Buffer<f32>,
    ) -> Result<()>;
}
