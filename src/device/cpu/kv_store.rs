//! The cache write on the CPU.

use super::Cpu;
use crate::device::Result;
use crate::ops::attention::Heads;
use crate::ops::kv_store::*;

impl KvStore for Cpu {
    fn kv_store(
        &self,
        heads: &Heads,
        qkv: &Vec<f32>,
        slots: &[u32],
        keys: &mut Vec<f32>,
        values: &mut Vec<f32>,
    ) -> Result<()> {
        let (row, width) = (heads.qkv_dim(), heads.kv_dim());
        check(heads, slots, qkv.len(), [keys.len(), values.len()])?;
        for (t, &slot) in slots.iter().enumerate() {
            let (k, v) = qkv[t * row..][..row][heads.q_dim()..].split_at(width);
            keys[slot as usize * width..][..width].copy_from_slice(k);
            values[slot as usize * width..][..width].copy_from_slice(v);
        }
        Ok(())
    }
}
