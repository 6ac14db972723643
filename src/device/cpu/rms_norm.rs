//! rms_norm on the CPU.

use super::{Cpu, gemm};
use crate::device::Result;
use crate::ops::rms_norm::*;

impl RmsNorm for Cpu {
    fn rms_norm(
        &self,
        shape: NormShape,
        x: &Vec<f32>,
        w: &Vec<f32>,
        y: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
    fn add_rms_norm(
        &self,
        shape: NormShape,
        x: &Vec<f32>,
        delta: &Vec<f32>,
        w: &Vec<f32>,
        sum: &mut Vec<f32>,
        y: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
    fn rms_norm_backward(
        &self,
        shape: NormShape,
        x: &Vec<f32>,
        w: &Vec<f32>,
        dy: &Vec<f32>,
        dx: &mut Vec<f32>,
        dw: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
}
