//! Writing new keys and values into a cache.

use super::attention::Heads;
use crate::device::{Memory, Result, at_least};

/// The cache write. Moves `2 · tokens · kv_dim` floats; no flops.
pub trait KvStore: Memory {
    /// Copies the keys and values of row `t` of `qkv` to row `slots[t]` of `keys` and `values`
    /// (`[capacity, num_kv_heads · head_dim]` each). No two slots are the same.
    ///
    /// # Errors
    /// A slot beyond the cache; a buffer that is too short.
    fn kv_store(
        &self,
        heads: &Heads,
        qkv: &Self::Buffer<Self::Real>,
        slots: &[u32],
        keys: &mut Self::Buffer<Self::Real>,
        values: &mut Self::Buffer<Self::Real>,
    ) -> Result<()>;
}

/// Checks the lengths of the buffers against the slots.
pub fn check(heads: &Heads, slots: &[u32], qkv: usize, [keys, values]: [usize; 2]) -> Result<()> {
    at_least("kv_store", "qkv", qkv, slots.len() * heads.qkv_dim())?;
    let end = slots.iter().max().map_or(0, |&slot| slot as usize + 1);
    at_least("kv_store", "keys", keys, end * heads.kv_dim())?;
    at_least("kv_store", "values", values, end * heads.kv_dim())
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
