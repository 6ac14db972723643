//! Writing new keys and values into a cache.

use super::attention::Heads;
use crate::device::{Memory, Result};

/// The cache write. Moves `2 · tokens · kv_dim` floats; no flops.
pub trait KvStore: Memory {
    /// Copies the keys and values of row `t` of `qkv` to row `slots[t]` of `keys` and `values`
    /// (`[capacity, num_kv_heads · head_dim]` each).
    ///
    /// # Errors
    /// A slot beyond the cache; a buffer that is too short.
    fn kv_store(
        &self,
        heads: &Heads,
        qkv: &Self::Buffer<f32>,
        slots: &[u32],
        keys: &mut Self::Buffer<f32>,
        values: &mut Self::Buffer<f32>,
    ) -> Result<()>;
}

/// Plain f64 implementation.
pub mod reference {
    use super::Heads;

    /// Writes the keys and values of `qkv` to their rows.
    pub fn kv_store(h: &Heads, qkv: &[f64], slots: &[u32], keys: &mut [f64], values: &mut [f64]) {
        let width = h.kv_dim();
        for (row, &slot) in qkv.chunks_exact(h.qkv_dim()).zip(slots) {
            let (k, v) = row[h.q_dim()..].split_at(width);
            keys[slot as usize * width..][..width].copy_from_slice(k);
            values[slot as usize * width..][..width].copy_from_slice(v);
        }
    }
}
