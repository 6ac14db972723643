//! embedding on the CPU.

use super::{Cpu, gemm};
use crate::device::Result;
use crate::ops::embedding::*;
use crate::ops::linear::Weight;

impl Embedding for Cpu {
    fn embedding(
        &self,
        vocab: usize,
        hidden: usize,
        table: Weight<'_, Self>,
        ids: &[u32],
        out: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
    fn embedding_backward(
        &self,
        vocab: usize,
        hidden: usize,
        dout: &Vec<f32>,
        ids: &[u32],
        dtable: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
}
