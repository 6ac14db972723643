//! Writing new keys and values into a cache.

use super::attention::Heads;
use crate::device::{Memory, Result};

/// The cache write. Moves `2 · tokens · kv_dim` floats; no flops.
pub trait KvStore: Memory {
    /// Copies the keys and values of row `t` of `qkv` to row `slots[t]` of `keys` and `values`
    /// (`[capacity, num_kv_heads · head_dim]` each).
    fn kv_store(
        &self,
        heads: &Heads,
        qkv: &Self::Buffer<f32>,
        slots: &[u32],
        keys: &mut Self::Buffer<f32>,
        values: &mut Self::Buffer<f32>,
    ) -> Result<()>;
}
