//! Launches of the embedding lookup, `kernels/embedding.cu`; its backward is a pooling.

use super::memory::CudaBuffer;
use super::weight::{CudaWeight, Rows};
use super::{Cuda, Packs};
use crate::device::{Buffer, DeviceError, Memory, Real, Result, at_least};
use crate::ops::embedding::*;
use crate::ops::linear::Weight;
use crate::ops::pool::PoolPlan;
use half::bf16;

/// Elements of a thread's pack of an int8 row, as in the kernel.
const INT8_PACK: usize = 4;

impl<T: Real> Embedding for Cuda<T> {
    fn embedding(
        &self,
        vocab: usize,
        hidden: usize,
        table: Weight<'_, Self>,
        ids: &[u32],
        out: &mut CudaBuffer<T>,
    ) -> Result<()> {
        check("embedding", vocab, ids)?;
        at_least("embedding", "out", out.len(), ids.len() * hidden)?;
        match table {
            Weight::Master(table) => {
                at_least("embedding", "table", table.len(), vocab * hidden)?;
                self.look_up(table, hidden, ids, out)
            }
            Weight::Packed(table) => {
                check_table(table, vocab, hidden)?;
                match &table.data {
                    Rows::F32(rows) => self.look_up(rows, hidden, ids, out),
                    Rows::Bf16(rows) => self.look_up::<bf16>(rows, hidden, ids, out),
                    Rows::Int8(rows) => {
                        let whole = hidden.is_multiple_of(INT8_PACK);
                        let packs = Packs::split(hidden / if whole { INT8_PACK } else { 1 });
                        let (tokens, ids) = (ids.len(), self.upload(ids)?);
                        let kernel = self.kernel("embedding_int8")?.input(&rows.bytes);
                        let kernel = kernel.input(&rows.scales).input(&ids).output(out);
                        let kernel = kernel.int(hidden)?.int(rows.scale_columns)?;
                        // SAFETY: a block reads a row of the table, which has `vocab`, and writes its
                        // row of `out`.
                        unsafe { kernel.launch([tokens, packs.blocks, 1], packs.threads) }
                    }
                }
            }
        }
    }

    fn embedding_backward(
        &self,
        vocab: usize,
        hidden: usize,
        dout: &CudaBuffer<T>,
        ids: &[u32],
        dtable: &mut CudaBuffer<f32>,
    ) -> Result<()> {
        check("embedding_backward", vocab, ids)?;
        at_least("embedding_backward", "dout", dout.len(), ids.len() * hidden)?;
        at_least("embedding_backward", "dtable", dtable.len(), vocab * hidden)?;
        self.add_rows(&PoolPlan::pick(ids, 1.0), hidden, dout, dtable)
    }
}

impl<T: Real> Cuda<T> {
    /// Rows of a table that was checked to have them.
    fn look_up<S: Real>(
        &self,
        table: &CudaBuffer<S>,
        hidden: usize,
        ids: &[u32],
        out: &mut CudaBuffer<T>,
    ) -> Result<()> {
        let packs = match size_of::<S>() > size_of::<T>() {
            true => Packs::of::<S>(&[hidden]),
            false => Packs::of::<T>(&[hidden]),
        };
        let (tokens, ids) = (ids.len(), self.upload(ids)?);
        let kernel = self.kernel(&format!("embedding_{}", S::NAME))?;
        let kernel = kernel.input(table).input(&ids).output(out).int(hidden)?;
        // SAFETY: a block reads a row of the table, which has all ids', and writes its row of `out`.
        unsafe { kernel.launch([tokens, packs.blocks, 1], packs.threads) }
    }
}

fn check_table(table: &CudaWeight, vocab: usize, hidden: usize) -> Result<()> {
    if (table.n(), table.k()) == (vocab, hidden) {
        return Ok(());
    }
    let (n, k) = (table.n(), table.k());
    Err(DeviceError::Argument {
        op: "embedding",
        message: format!("a table of {n} × {k}, expected {vocab} × {hidden}"),
    })
}
