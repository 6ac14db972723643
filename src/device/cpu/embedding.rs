//! Embedding lookup on the CPU.

use super::Cpu;
use crate::device::{DeviceError, Result, at_least};
use crate::ops::embedding::*;
use crate::ops::linear::Weight;

impl Embedding for Cpu {
    fn embedding(
        &self,
        vocab: usize,
        hidden: usize,
        table: Weight<'_, Self>,
        ids: &[u32],
        out: &mut Vec<f32>,
    ) -> Result<()> {
        check("embedding", vocab, ids)?;
        at_least("embedding", "out", out.len(), ids.len() * hidden)?;
        match table {
            Weight::Master(table) => {
                at_least("embedding", "table", table.len(), vocab * hidden)?;
            }
            Weight::Packed(table) if (table.n(), table.k()) != (vocab, hidden) => {
                let (n, k) = (table.n(), table.k());
                return Err(DeviceError::Argument {
                    op: "embedding",
                    message: format!("a table of {n} × {k}, expected {vocab} × {hidden}"),
                });
            }
            Weight::Packed(_) => {}
        }
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
        check("embedding_backward", vocab, ids)?;
        at_least("embedding_backward", "dout", dout.len(), ids.len() * hidden)?;
        at_least("embedding_backward", "dtable", dtable.len(), vocab * hidden)?;
        for (t, &id) in ids.iter().enumerate() {
            let row = &mut dtable[id as usize * hidden..][..hidden];
            let dout = &dout[t * hidden..][..hidden];
            row.iter_mut().zip(dout).for_each(|(t, d)| *t += d);
        }
        Ok(())
    }
}
