//! Causal attention over packed sequences with shared trunks, grouped heads.
//!
//! For every query row and head, `out = Σ_j softmax_j(q·k_j / √head_dim) v_j` over the keys that the
//! row may see (see [`Forest`]). Query head `h` reads key/value head `h / (num_heads / num_kv_heads)`.
//! No score matrix in memory: scores are streamed in tiles with a running log-sum-exp
//! (FlashAttention-2, arXiv 2307.08691), backward recomputes them from `lse`.

use super::forest::Forest;
use crate::device::{Memory, Result};

/// Head layout of a packed `qkv` row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    pub num_heads: usize,
    pub num_kv_heads: usize,
    pub head_dim: usize,
}

impl Heads {
    /// Width of the queries of a row.
    pub fn q_dim(&self) -> usize {
        self.num_heads * self.head_dim
    }
    /// Width of the keys (or of the values) of a row.
    pub fn kv_dim(&self) -> usize {
        self.num_kv_heads * self.head_dim
    }
    /// Width of a packed row: queries, keys, values.
    pub fn qkv_dim(&self) -> usize {
        self.q_dim() + 2 * self.kv_dim()
    }
}

/// Where keys and values lie.
pub enum KeysValues<'a, D: Memory + ?Sized> {
    /// In the packed `qkv` rows themselves; spans are rows of the batch.
    Packed,
    /// In a cache, `[capacity, kv_dim]` each; spans are rows of the cache.
    Cache {
        keys: &'a D::Buffer<f32>,
        values: &'a D::Buffer<f32>,
    },
}

/// The attention op. About `4 · head_dim · num_heads · Σ visible keys` flops forward.
pub trait Attention: Memory {
    /// `out[tokens, q_dim]`; with `lse`, also `lse[tokens, num_heads]`: the natural log of the sum of
    /// exponentials of the scaled scores.
    ///
    /// The bits of a row depend on its own query, its spans' lengths and their keys alone.
    fn attention(
        &self,
        heads: &Heads,
        forest: &Forest,
        qkv: &Self::Buffer<f32>,
        kv: KeysValues<'_, Self>,
        out: &mut Self::Buffer<f32>,
        lse: Option<&mut Self::Buffer<f32>>,
    ) -> Result<()>;

    /// Gradient of [`Attention::attention`] with packed keys: writes all of `dqkv[tokens, qkv_dim]`.
    /// Gradients of a trunk's keys and values are summed over everything below it in a fixed order.
    #[allow(clippy::too_many_arguments)]
    fn attention_backward(
        &self,
        heads: &Heads,
        forest: &Forest,
        qkv: &Self::Buffer<f32>,
        out: &Self::Buffer<f32>,
        lse: &Self::Buffer<f32>,
        dout: &Self::Buffer<f32>,
        dqkv: &mut Self::Buffer<f32>,
    ) -> Result<()>;
}
