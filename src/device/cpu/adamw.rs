//! adamw on the CPU.

use super::{Cpu, gemm};
use crate::device::Result;
use crate::ops::adamw::*;

impl AdamW for Cpu {
    fn adamw(
        &self,
        step: &AdamWStep,
        len: usize,
        parameter: &mut Vec<f32>,
        gradient: &Vec<f32>,
        first_moment: &mut Vec<f32>,
        second_moment: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
    fn sum_of_squares(&self, len: usize, x: &Vec<f32>) -> Result<f64> {
        todo!()
    }
}
