//! SwiGLU on the CPU.

use super::Cpu;
use crate::device::Result;
use crate::ops::swiglu::*;

impl SwiGlu for Cpu {
    fn swiglu(&self, rows: usize, n: usize, gu: &Vec<f32>, out: &mut Vec<f32>) -> Result<()> {
        for r in 0..rows {
            for j in 0..n {
                let g = gu[r * 2 * n + j];
                out[r * n + j] = g / (1.0 + (-g).exp()) * gu[r * 2 * n + n + j];
            }
        }
        Ok(())
    }
    fn swiglu_backward(
        &self,
        rows: usize,
        n: usize,
        gu: &Vec<f32>,
        dout: &Vec<f32>,
        d: &mut Vec<f32>,
    ) -> Result<()> {
        for r in 0..rows {
            for j in 0..n {
                let g = gu[r * 2 * n + j];
                let u = gu[r * 2 * n + n + j];
                let s = 1.0 / (1.0 + (-g).exp());
                let o = dout[r * n + j];
                d[r * 2 * n + j] = o * u * s * (1.0 + g * (1.0 - s));
                d[r * 2 * n + n + j] = o * g * s;
            }
        }
        Ok(())
    }
}
