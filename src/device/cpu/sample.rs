//! sample on the CPU.

use super::{Cpu, gemm};
use crate::device::Result;
use crate::ops::sample::*;

impl Sample for Cpu {
    fn sample(
        &self,
        vocab: usize,
        logits: &Vec<f32>,
        sampling: &Sampling,
        keys: &[(u64, u32)],
        banned: &[u32],
    ) -> Result<Vec<Sampled>> {
        todo!()
    }
}
