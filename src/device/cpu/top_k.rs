//! top_k on the CPU.

use super::{Cpu, gemm};
use crate::device::Result;
use crate::ops::top_k::*;

impl TopK for Cpu {
    fn top_k(
        &self,
        queries: usize,
        hidden: usize,
        query_rows: &Vec<f32>,
        items: usize,
        item_rows: &Self::Packed,
        k: usize,
    ) -> Result<Vec<Vec<Scored>>> {
        todo!()
    }
}
