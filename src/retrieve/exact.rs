//! Exact search: the top-k op over all items.

use super::index::unit_queries;
use super::{Result, RetrieveError, Scored};
use crate::ops::linear::WeightFormat;
use crate::ops::top_k::TopK;

/// Item embeddings laid out on a device for exact search.
pub struct ExactIndex<D: TopK> {
    packed: D::Packed,
    items: usize,
    hidden: usize,
}

impl<D: TopK> ExactIndex<D> {
    /// Lays out `rows` `[items, hidden]`, of unit length, in `format` ([`WeightFormat::F32`] for exact
    /// scores).
    ///
    /// # Errors
    /// [`RetrieveError`] where `rows` is not a multiple of `hidden` or the device lacks memory.
    pub fn new(device: &D, hidden: usize, rows: &[f32], format: WeightFormat) -> Result<Self> {
        if hidden == 0 || !rows.len().is_multiple_of(hidden) {
            return Err(RetrieveError::Embedding(format!(
                "items hold {} values; expected a multiple of {hidden}, the embedding size",
                rows.len()
            )));
        }
        let items = rows.len() / hidden;
        Ok(ExactIndex {
            packed: device.pack(rows, items, hidden, format)?,
            items,
            hidden,
        })
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.items
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// The `k` items with the highest cosine for each row of `queries` `[queries, hidden]`, best
    /// first, equal scores in the order of their index. `device` is the one given to
    /// [`ExactIndex::new`].
    ///
    /// # Errors
    /// [`RetrieveError`] where a query is zero, not finite or of another size.
    pub fn search(&self, device: &D, queries: &[f32], k: usize) -> Result<Vec<Vec<Scored>>> {
        let unit = unit_queries(self.hidden, queries)?;
        let count = unit.len() / self.hidden;
        if count == 0 || self.items == 0 || k == 0 {
            return Ok(vec![Vec::new(); count]);
        }
        let rows = device.upload(&unit)?;
        let k = k.min(self.items);
        Ok(device.top_k(count, self.hidden, &rows, self.items, &self.packed, k)?)
    }
}
