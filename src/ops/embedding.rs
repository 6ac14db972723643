//! Embedding lookup: `out[t] = table[ids[t]]`.

use super::linear::{Linear, Weight};
use crate::device::Result;

/// The embedding op. Moves `tokens · hidden` floats; no flops.
pub trait Embedding: Linear {
    /// Copies row `ids[t]` of `table` `[vocab, hidden]` to `out[t]` `[tokens, hidden]`. A packed table
    /// (a tied head) is read back in f32.
    fn embedding(
        &self,
        vocab: usize,
        hidden: usize,
        table: Weight<'_, Self>,
        ids: &[u32],
        out: &mut Self::Buffer<f32>,
    ) -> Result<()>;

    /// `dtable[ids[t]] += dout[t]`, in the order of `t`.
    fn embedding_backward(
        &self,
        vocab: usize,
        hidden: usize,
        dout: &Self::Buffer<f32>,
        ids: &[u32],
        dtable: &mut Self::Buffer<f32>,
    ) -> Result<()>;
}
