//! Launches of the embedding lookup, `kernels/embedding.cu`; its backward is a pooling.

use super::memory::CudaBuffer;
use super::weight::{CudaWeight, Rows};
use super::{Cuda, Packs};
use crate::device::{Buffer, Memory, Real, Result};
use crate::ops::embedding::*;
use crate::ops::linear::{LinearShape, Weight, WeightFormat};
use crate::ops::pool::PoolPlan;
use half::bf16;

/// Elements of a thread's pack of a quantised row, as in the kernel.
const QUANTISED_PACK: usize = 4;

impl<T: Real> Embedding for Cuda<T> {
    fn pack_table(
        &self,
        w: &[f32],
        vocab: usize,
        hidden: usize,
        format: WeightFormat,
    ) -> Result<CudaWeight> {
        self.packed_weight(w, vocab, hidden, format, true)
    }

    fn embedding(
        &self,
        vocab: usize,
        hidden: usize,
        table: Weight<'_, Self>,
        ids: &[u32],
        out: &mut CudaBuffer<T>,
    ) -> Result<()> {
        check(vocab, hidden, ids, out.len())?;
        self.check_weight("embedding", LinearShape::of_weight(vocab, hidden), table)?;
        match table {
            Weight::Master(table) => self.look_up(table, hidden, ids, out),
            Weight::Packed(table) => match &table.data {
                Rows::F32(rows) => self.look_up(rows, hidden, ids, out),
                Rows::Bf16(rows) => self.look_up::<bf16>(rows, hidden, ids, out),
                Rows::Quantised(rows) => {
                    let whole = hidden.is_multiple_of(QUANTISED_PACK);
                    let packs = Packs::split(hidden / if whole { QUANTISED_PACK } else { 1 });
                    let (tokens, ids) = (ids.len(), self.upload(ids)?);
                    let kernel = self.kernel(&format!("embedding_{}", rows.form.name))?;
                    let (scales, by_group, by_row) = rows.scales_of_rows(hidden);
                    let kernel = kernel.input(&rows.bytes).value(scales);
                    let kernel = kernel.input(&ids).output(out);
                    let kernel = kernel.int(hidden)?.int(by_group)?.int(by_row)?;
                    // SAFETY: a block reads a row of the table, which has `vocab`, and writes its
                    // row of `out`.
                    unsafe { kernel.launch([tokens, packs.blocks, 1], packs.threads) }
                }
            },
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
        check_backward(vocab, hidden, dout.len(), ids, dtable.len())?;
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
