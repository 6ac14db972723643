//! RMSNorm on the CPU.

use super::Cpu;
use crate::device::Result;
use crate::ops::rms_norm::*;

fn inv(x: &[f32], eps: f32) -> f32 {
    let s: f32 = x.iter().map(|v| v * v).sum();
    1.0 / (s / x.len() as f32 + eps).sqrt()
}
impl RmsNorm for Cpu {
    fn rms_norm(&self, s: NormShape, x: &Vec<f32>, w: &Vec<f32>, y: &mut Vec<f32>) -> Result<()> {
        for r in 0..s.rows {
            let xr = &x[r * s.dim..][..s.dim];
            let i = inv(xr, s.eps);
            for j in 0..s.dim {
                y[r * s.dim + j] = xr[j] * i * w[j];
            }
        }
        Ok(())
    }
    fn add_rms_norm(
        &self,
        s: NormShape,
        x: &Vec<f32>,
        delta: &Vec<f32>,
        w: &Vec<f32>,
        sum: &mut Vec<f32>,
        y: &mut Vec<f32>,
    ) -> Result<()> {
        for j in 0..s.rows * s.dim {
            sum[j] = x[j] + delta[j];
        }
        self.rms_norm(s, sum, w, y)
    }
    fn rms_norm_backward(
        &self,
        s: NormShape,
        x: &Vec<f32>,
        w: &Vec<f32>,
        dy: &Vec<f32>,
        dx: &mut Vec<f32>,
        dw: &mut Vec<f32>,
    ) -> Result<()> {
        for r in 0..s.rows {
            let xr = &x[r * s.dim..][..s.dim];
            let i = inv(xr, s.eps);
            let d = &dy[r * s.dim..][..s.dim];
            let mut dot = 0.0;
            for j in 0..s.dim {
                dot += d[j] * w[j] * xr[j];
                dw[j] += d[j] * xr[j] * i;
            }
            let c = dot * i * i * i / s.dim as f32;
            for j in 0..s.dim {
                dx[r * s.dim + j] += d[j] * w[j] * i - c * xr[j];
            }
        }
        Ok(())
    }
}
