//! info_nce on the CPU.

use super::{Cpu, gemm};
use crate::device::Result;
use crate::ops::info_nce::*;

impl InfoNce for Cpu {
    fn info_nce(
        &self,
        batch: &InfoNceBatch,
        queries: &Vec<f32>,
        items: &Vec<f32>,
    ) -> Result<InfoNceOutput<Self>> {
        todo!()
    }
    #[allow(clippy::too_many_arguments)]
    fn info_nce_backward(
        &self,
        batch: &InfoNceBatch,
        queries: &Vec<f32>,
        items: &Vec<f32>,
        output: &InfoNceOutput<Self>,
        coefficients: &[f32],
        dqueries: &mut Vec<f32>,
        ditems: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
}
