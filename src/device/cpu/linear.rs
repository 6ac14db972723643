//! linear on the CPU.

use super::{Cpu, gemm};
use crate::device::Result;
use crate::ops::linear::*;

impl Linear for Cpu {
    type Packed = gemm::PackedMatrix;
    fn pack(&self, w: &[f32], n: usize, k: usize, format: WeightFormat) -> Result<Self::Packed> {
        let _ = format;
        Ok(gemm::PackedMatrix {
            data: w[..n * k].to_vec(),
            k,
        })
    }
    #[allow(clippy::too_many_arguments)]
    fn linear(
        &self,
        shape: LinearShape,
        x: &Vec<f32>,
        w: Weight<'_, Self>,
        bias: Option<&Vec<f32>>,
        y: &mut Vec<f32>,
        accumulate: bool,
    ) -> Result<()> {
        todo!()
    }
    fn linear_backward_input(
        &self,
        shape: LinearShape,
        dy: &Vec<f32>,
        w: &Vec<f32>,
        dx: &mut Vec<f32>,
        accumulate: bool,
    ) -> Result<()> {
        todo!()
    }
    fn linear_backward_weight(
        &self,
        shape: LinearShape,
        dy: &Vec<f32>,
        x: &Vec<f32>,
        dw: &mut Vec<f32>,
        dbias: Option<&mut Vec<f32>>,
    ) -> Result<()> {
        todo!()
    }
}
