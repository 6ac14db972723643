//! Rotary position embedding on the queries and keys of packed `qkv` rows, and the q/k norm of Qwen3.
//!
//! A row of `qkv` is `num_heads` queries, `num_kv_heads` keys, `num_kv_heads` values of `head_dim`
//! each. Rotation is by halves, as in Hugging Face's Llama: element `i` pairs with `i + head_dim/2`.

use super::attention::Heads;
use crate::device::{Buffer, DeviceError, Memory, Result, at_least};

/// Cosines and sines `[positions, head_dim/2]`, frequency scaling (linear, llama3, yarn) and yarn's
/// attention factor already applied.
pub struct RopeTable<D: Memory + ?Sized> {
    pub cos: D::Buffer<f32>,
    pub sin: D::Buffer<f32>,
    /// Number of positions in the table.
    pub positions: usize,
}

impl<D: Memory + ?Sized> RopeTable<D> {
    /// Checks the arguments of a rotation for `op`; returns the number of elements that it covers.
    pub fn check(
        &self,
        op: &'static str,
        heads: &Heads,
        positions: &[u32],
        qkv: usize,
    ) -> Result<usize> {
        let error = |message: String| Err(DeviceError::Argument { op, message });
        if !heads.head_dim.is_multiple_of(2) {
            return error(format!("a head of {} has no halves", heads.head_dim));
        }
        if let Some(p) = positions.iter().find(|p| **p as usize >= self.positions) {
            let message = format!("position {p} is beyond the table of {}", self.positions);
            return error(message);
        }
        let (len, half) = (positions.len() * heads.qkv_dim(), heads.head_dim / 2);
        at_least(op, "qkv", qkv, len)?;
        at_least(op, "cosines", self.cos.len(), self.positions * half)?;
        at_least(op, "sines", self.sin.len(), self.positions * half)?;
        Ok(len)
    }
}

/// Checks what both q/k norms read, given by lengths, for `op`; returns the number of elements.
pub fn check_qk_norm(
    op: &'static str,
    heads: &Heads,
    tokens: usize,
    qkv: usize,
    [q_weight, k_weight]: [usize; 2],
) -> Result<usize> {
    if heads.qkv_dim() == 0 {
        let message = "heads of no elements have no norm".to_owned();
        return Err(DeviceError::Argument { op, message });
    }
    let len = tokens * heads.qkv_dim();
    at_least(op, "qkv", qkv, len)?;
    at_least(op, "query weight", q_weight, heads.head_dim)?;
    at_least(op, "key weight", k_weight, heads.head_dim)?;
    Ok(len)
}

/// The RoPE op and the per-head norm.
pub trait Rope: Memory {
    /// Rotates queries and keys of `qkv[tokens]` in place; `positions[t]` is the row's position.
    ///
    /// # Errors
    /// A position beyond the table, an odd `head_dim`; a buffer that is too short.
    fn rope(
        &self,
        heads: &Heads,
        table: &RopeTable<Self>,
        positions: &[u32],
        qkv: &mut Self::Buffer<Self::Real>,
    ) -> Result<()>;

    /// The transpose of [`Rope::rope`] on gradients, in place.
    fn rope_backward(
        &self,
        heads: &Heads,
        table: &RopeTable<Self>,
        positions: &[u32],
        dqkv: &mut Self::Buffer<Self::Real>,
    ) -> Result<()>;

    /// Qwen3's q/k norm: RMSNorm over `head_dim` of every query head with `q_weight[head_dim]` and of
    /// every key head with `k_weight`, values copied: `out[tokens] = norm(qkv[tokens])`.
    #[allow(clippy::too_many_arguments)]
    fn qk_norm(
        &self,
        heads: &Heads,
        eps: f32,
        tokens: usize,
        qkv: &Self::Buffer<Self::Real>,
        q_weight: &Self::Buffer<f32>,
        k_weight: &Self::Buffer<f32>,
        out: &mut Self::Buffer<Self::Real>,
    ) -> Result<()>;

    /// Backward of [`Rope::qk_norm`] at `qkv`: `dqkv` (in: gradient of `out`, out: gradient of `qkv`)
    /// in place; `dq_weight += …`, `dk_weight += …`.
    #[allow(clippy::too_many_arguments)]
    fn qk_norm_backward(
        &self,
        heads: &Heads,
        eps: f32,
        tokens: usize,
        qkv: &Self::Buffer<Self::Real>,
        q_weight: &Self::Buffer<f32>,
        k_weight: &Self::Buffer<f32>,
        dqkv: &mut Self::Buffer<Self::Real>,
        dq_weight: &mut Self::Buffer<f32>,
        dk_weight: &mut Self::Buffer<f32>,
    ) -> Result<()>;
}

/// Plain f64 implementation.
pub mod reference {
    use crate::ops::attention::Heads;
    use crate::ops::rms_norm::{NormShape, reference as norm};

    /// Rotates queries and keys of `qkv`; `cos` and `sin` are `[positions, head_dim/2]`. `sign` −1
    /// rotates back, which is the transpose.
    pub fn rope(
        h: &Heads,
        cos: &[f64],
        sin: &[f64],
        positions: &[u32],
        sign: f64,
        qkv: &[f64],
    ) -> Vec<f64> {
        let half = h.head_dim / 2;
        let mut out = qkv.to_vec();
        for (t, &p) in positions.iter().enumerate() {
            for head in 0..h.num_heads + h.num_kv_heads {
                let at = t * h.qkv_dim() + head * h.head_dim;
                for i in 0..half {
                    let angle = p as usize * half + i;
                    let (c, s) = (cos[angle], sign * sin[angle]);
                    let (a, b) = (qkv[at + i], qkv[at + half + i]);
                    out[at + i] = a * c - b * s;
                    out[at + half + i] = b * c + a * s;
                }
            }
        }
        out
    }

    /// The norm of every query and key head of `qkv`.
    pub fn qk_norm(h: &Heads, eps: f32, qkv: &[f64], q: &[f64], k: &[f64]) -> Vec<f64> {
        let mut out = qkv.to_vec();
        for row in out.chunks_exact_mut(h.qkv_dim()) {
            let normed = row.chunks_exact_mut(h.head_dim).enumerate();
            for (head, x) in normed.take(h.num_heads + h.num_kv_heads) {
                let w = if head < h.num_heads { q } else { k };
                x.copy_from_slice(&norm::rms_norm(head_shape(h, eps), x, w));
            }
        }
        out
    }

    /// `(dqkv, dq_weight, dk_weight)` of `Σ dout · qk_norm(qkv)`.
    pub fn qk_norm_backward(
        h: &Heads,
        eps: f32,
        qkv: &[f64],
        q: &[f64],
        k: &[f64],
        dout: &[f64],
    ) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let mut dqkv = dout.to_vec();
        let (mut dq, mut dk) = (vec![0.0; h.head_dim], vec![0.0; h.head_dim]);
        let rows = qkv.chunks_exact(h.qkv_dim());
        for (x, d) in rows.zip(dqkv.chunks_exact_mut(h.qkv_dim())) {
            let heads = x
                .chunks_exact(h.head_dim)
                .zip(d.chunks_exact_mut(h.head_dim));
            for (head, (x, d)) in heads.take(h.num_heads + h.num_kv_heads).enumerate() {
                let query = head < h.num_heads;
                let (w, total) = if query { (q, &mut dq) } else { (k, &mut dk) };
                let (dx, dw) = norm::rms_norm_backward(head_shape(h, eps), x, w, d);
                d.copy_from_slice(&dx);
                total.iter_mut().zip(dw).for_each(|(t, w)| *t += w);
            }
        }
        (dqkv, dq, dk)
    }

    fn head_shape(h: &Heads, eps: f32) -> NormShape {
        NormShape {
            rows: 1,
            dim: h.head_dim,
            eps,
        }
    }
}
