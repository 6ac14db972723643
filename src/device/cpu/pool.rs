//! Pool on the CPU.

use super::Cpu;
use crate::device::Result;
use crate::ops::pool::*;

impl Pool for Cpu {
    fn pool(
        &self,
        p: &PoolPlan,
        h: usize,
        x: &Vec<f32>,
        out: &mut Vec<f32>,
        acc: bool,
    ) -> Result<()> {
        for i in 0..p.len() {
            let o = &mut out[i * h..][..h];
            if !acc {
                o.fill(0.0);
            }
            for j in p.offsets[i] as usize..p.offsets[i + 1] as usize {
                for c in 0..h {
                    o[c] += p.weights[j] * x[p.rows[j] as usize * h + c];
                }
            }
        }
        Ok(())
    }
    fn pool_backward(
        &self,
        p: &PoolPlan,
        h: usize,
        dout: &Vec<f32>,
        dx: &mut Vec<f32>,
    ) -> Result<()> {
        for i in 0..p.len() {
            for j in p.offsets[i] as usize..p.offsets[i + 1] as usize {
                for c in 0..h {
                    dx[p.rows[j] as usize * h + c] += p.weights[j] * dout[i * h + c];
                }
            }
        }
        Ok(())
    }
}
