//! linear_cross_entropy on the CPU.

use super::{Cpu, gemm};
use crate::device::Result;
use crate::ops::linear::LinearShape;
use crate::ops::linear_cross_entropy::*;

impl LinearCrossEntropy for Cpu {
    fn linear_cross_entropy(
        &self,
        shape: LinearShape,
        hidden: &Vec<f32>,
        w: &Vec<f32>,
        targets: &[u32],
        nll: &mut Vec<f32>,
        lse: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
    #[allow(clippy::too_many_arguments)]
    fn linear_cross_entropy_backward(
        &self,
        shape: LinearShape,
        hidden: &Vec<f32>,
        w: &Vec<f32>,
        targets: &[u32],
        lse: &Vec<f32>,
        coefficients: &[f32],
        dhidden: &mut Vec<f32>,
        dw: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
}
