//! KV on the CPU.

use super::Cpu;
use crate::device::Result;
use crate::ops::attention::Heads;
use crate::ops::kv_store::*;
impl KvStore for Cpu {
    fn kv_store(
        &self,
        h: &Heads,
        qkv: &Vec<f32>,
        slots: &[u32],
        keys: &mut Vec<f32>,
        values: &mut Vec<f32>,
    ) -> Result<()> {
        let (q, kv, w) = (h.q_dim(), h.kv_dim(), h.qkv_dim());
        for (t, &s) in slots.iter().enumerate() {
            let s = s as usize;
            keys[s * kv..][..kv].copy_from_slice(&qkv[t * w + q..][..kv]);
            values[s * kv..][..kv].copy_from_slice(&qkv[t * w + q + kv..][..kv]);
        }
        Ok(())
    }
}
