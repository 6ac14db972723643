//! rope on the CPU.

use super::{Cpu, gemm};
use crate::device::Result;
use crate::ops::attention::Heads;
use crate::ops::rope::*;

impl Rope for Cpu {
    fn rope(
        &self,
        heads: &Heads,
        table: &RopeTable<Self>,
        positions: &[u32],
        qkv: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
    fn rope_backward(
        &self,
        heads: &Heads,
        table: &RopeTable<Self>,
        positions: &[u32],
        dqkv: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
    #[allow(clippy::too_many_arguments)]
    fn qk_norm(
        &self,
        heads: &Heads,
        eps: f32,
        tokens: usize,
        qkv: &Vec<f32>,
        q_weight: &Vec<f32>,
        k_weight: &Vec<f32>,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
    #[allow(clippy::too_many_arguments)]
    fn qk_norm_backward(
        &self,
        heads: &Heads,
        eps: f32,
        tokens: usize,
        qkv: &Vec<f32>,
        q_weight: &Vec<f32>,
        k_weight: &Vec<f32>,
        dqkv: &mut Vec<f32>,
        dq_weight: &mut Vec<f32>,
        dk_weight: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
}
