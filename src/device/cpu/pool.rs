//! pool on the CPU.

use super::{Cpu, gemm};
use crate::device::Result;
use crate::ops::pool::*;

impl Pool for Cpu {
    fn pool(
        &self,
        plan: &PoolPlan,
        hidden: usize,
        x: &Vec<f32>,
        out: &mut Vec<f32>,
        accumulate: bool,
    ) -> Result<()> {
        todo!()
    }
    fn pool_backward(
        &self,
        plan: &PoolPlan,
        hidden: usize,
        dout: &Vec<f32>,
        dx: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
}
