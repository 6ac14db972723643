//! Embedding on the CPU.

use super::Cpu;
use crate::device::Result;
use crate::ops::embedding::*;
use crate::ops::linear::Weight;
impl Embedding for Cpu {
    fn embedding(
        &self,
        _v: usize,
        h: usize,
        table: Weight<'_, Self>,
        ids: &[u32],
        out: &mut Vec<f32>,
    ) -> Result<()> {
        for (t, &i) in ids.iter().enumerate() {
            match table {
                Weight::Master(b) => out[t * h..][..h].copy_from_slice(&b[i as usize * h..][..h]),
                Weight::Packed(p) => p.row_into(i as usize, &mut out[t * h..][..h]),
            }
        }
        Ok(())
    }
    fn embedding_backward(
        &self,
        _v: usize,
        h: usize,
        dout: &Vec<f32>,
        ids: &[u32],
        dt: &mut Vec<f32>,
    ) -> Result<()> {
        for (t, &i) in ids.iter().enumerate() {
            for c in 0..h {
                dt[i as usize * h + c] += dout[t * h + c];
            }
        }
        Ok(())
    }
}
