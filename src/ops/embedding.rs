//! Embedding lookup: `out[t] = table[ids[t]]`.

use super::linear::{Linear, Weight, WeightFormat};
use crate::device::{DeviceError, Result, at_least};

/// The embedding op. Moves `tokens · hidden` floats; no flops.
pub trait Embedding: Linear {
    /// As [`Linear::pack`] of a weight whose rows are looked up, and perhaps multiplied as well (a tied head): laid out
    /// for both. Lookups in any other have the same bits, and may take longer.
    ///
    /// # Errors
    /// As [`Linear::pack`].
    fn pack_table(
        &self,
        w: &[f32],
        vocab: usize,
        hidden: usize,
        format: WeightFormat,
    ) -> Result<Self::Packed> {
        self.pack(w, vocab, hidden, format)
    }

    /// Copies row `ids[t]` of `table` `[vocab, hidden]` to `out[t]` `[tokens, hidden]`. A packed table
    /// (a tied head) is read back in f32.
    ///
    /// # Errors
    /// An id outside the vocabulary; a buffer that is too short.
    fn embedding(
        &self,
        vocab: usize,
        hidden: usize,
        table: Weight<'_, Self>,
        ids: &[u32],
        out: &mut Self::Buffer<Self::Real>,
    ) -> Result<()>;

    /// `dtable[ids[t]] += dout[t]`, in the order of `t`.
    fn embedding_backward(
        &self,
        vocab: usize,
        hidden: usize,
        dout: &Self::Buffer<Self::Real>,
        ids: &[u32],
        dtable: &mut Self::Buffer<f32>,
    ) -> Result<()>;
}

/// Checks that all ids are in the vocabulary and that `out` holds their rows.
pub fn check(vocab: usize, hidden: usize, ids: &[u32], out: usize) -> Result<()> {
    check_ids("embedding", vocab, ids)?;
    at_least("embedding", "out", out, ids.len() * hidden)
}

/// Checks the ids and the lengths of the backward's buffers.
pub fn check_backward(
    vocab: usize,
    hidden: usize,
    dout: usize,
    ids: &[u32],
    dtable: usize,
) -> Result<()> {
    const OP: &str = "embedding_backward";
    check_ids(OP, vocab, ids)?;
    at_least(OP, "dout", dout, ids.len() * hidden)?;
    at_least(OP, "dtable", dtable, vocab * hidden)
}

fn check_ids(op: &'static str, vocab: usize, ids: &[u32]) -> Result<()> {
    match ids.iter().find(|id| **id as usize >= vocab) {
        Some(id) => Err(DeviceError::Argument {
            op,
            message: format!("id {id} is outside the vocabulary of {vocab}"),
        }),
        None => Ok(()),
    }
}

/// Plain f64 implementation.
pub mod reference {
    /// `out[ids.len(), hidden]`.
    pub fn embedding(hidden: usize, table: &[f64], ids: &[u32]) -> Vec<f64> {
        let row = |&id: &u32| &table[id as usize * hidden..][..hidden];
        ids.iter().flat_map(row).copied().collect()
    }

    /// `dtable[vocab, hidden]` of `Σ dout · out`.
    pub fn embedding_backward(vocab: usize, hidden: usize, dout: &[f64], ids: &[u32]) -> Vec<f64> {
        let mut dtable = vec![0.0; vocab * hidden];
        for (dout, &id) in dout.chunks_exact(hidden).zip(ids) {
            let row = &mut dtable[id as usize * hidden..][..hidden];
            row.iter_mut().zip(dout).for_each(|(t, d)| *t += d);
        }
        dtable
    }
}
