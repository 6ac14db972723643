//! The cache write on the CPU.

use super::Cpu;
use crate::device::{Result, at_least};
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
        at_least("kv_store", "qkv", qkv.len(), slots.len() * row)?;
        let end = slots.iter().max().map_or(0, |&slot| slot as usize + 1);
        at_least("kv_store", "keys", keys.len(), end * width)?;
        at_least("kv_store", "values", values.len(), end * width)?;
        for (t, &slot) in slots.iter().enumerate() {
            let (k, v) = qkv[t * row..][..row][heads.q_dim()..].split_at(width);
            keys[slot as usize * width..][..width].copy_from_slice(k);
            values[slot as usize * width..][..width].copy_from_slice(v);
        }
        Ok(())
    }
}
