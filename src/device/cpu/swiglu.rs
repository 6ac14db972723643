//! swiglu on the CPU.

use super::{Cpu, gemm};
use crate::device::Result;
use crate::ops::swiglu::*;

impl SwiGlu for Cpu {
    fn swiglu(
        &self,
        rows: usize,
        intermediate: usize,
        gate_up: &Vec<f32>,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
    fn swiglu_backward(
        &self,
        rows: usize,
        intermediate: usize,
        gate_up: &Vec<f32>,
        dout: &Vec<f32>,
        dgate_up: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
}
