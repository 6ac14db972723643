//! kv_store on the CPU.

use super::{Cpu, gemm};
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
        todo!()
    }
}
