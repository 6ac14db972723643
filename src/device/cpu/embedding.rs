//! Embedding lookup on the CPU.

use super::Cpu;
use super::linear::check_factor;
use crate::device::Result;
use crate::ops::embedding::*;
use crate::ops::linear::{LinearShape, Weight};

impl Embedding for Cpu {
    fn embedding(
        &self,
        vocab: usize,
        hidden: usize,
        table: Weight<'_, Self>,
        ids: &[u32],
        out: &mut Vec<f32>,
    ) -> Result<()> {
        check(vocab, hidden, ids, out.len())?;
        check_factor("embedding", LinearShape::of_weight(vocab, hidden), table)?;
        for (t, &id) in ids.iter().enumerate() {
            let (id, out) = (id as usize, &mut out[t * hidden..][..hidden]);
            match table {
                Weight::Master(table) => out.copy_from_slice(&table[id * hidden..][..hidden]),
                Weight::Packed(table) => table.row_into(id, out),
            }
        }
        Ok(())
    }

    fn embedding_backward(
        &self,
        vocab: usize,
        hidden: usize,
        dout: &Vec<f32>,
        ids: &[u32],
        dtable: &mut Vec<f32>,
    ) -> Result<()> {
        check_backward(vocab, hidden, dout.len(), ids, dtable.len())?;
        for (t, &id) in ids.iter().enumerate() {
            let row = &mut dtable[id as usize * hidden..][..hidden];
            let dout = &dout[t * hidden..][..hidden];
            row.iter_mut().zip(dout).for_each(|(t, d)| *t += d);
        }
        Ok(())
    }
}
