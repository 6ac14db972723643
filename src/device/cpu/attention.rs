//! attention on the CPU.

use super::{Cpu, gemm};
use crate::device::Result;
use crate::ops::attention::*;
use crate::ops::forest::Forest;

impl Attention for Cpu {
    fn attention(
        &self,
        heads: &Heads,
        forest: &Forest,
        qkv: &Vec<f32>,
        kv: KeysValues<'_, Self>,
        out: &mut Vec<f32>,
        lse: Option<&mut Vec<f32>>,
    ) -> Result<()> {
        todo!()
    }
    #[allow(clippy::too_many_arguments)]
    fn attention_backward(
        &self,
        heads: &Heads,
        forest: &Forest,
        qkv: &Vec<f32>,
        out: &Vec<f32>,
        lse: &Vec<f32>,
        dout: &Vec<f32>,
        dqkv: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
}
