//! Embedding without a thought, over the same cache and its hot instruction trunk.

use super::Reasoner;
use super::think::full;
use crate::device::{Device, Result};
use crate::model::{Activations, Model};
use crate::ops::forest::{Forest, Mask, Segment};

impl<D: Device> Reasoner<'_, D> {
    /// One pass over the tokens of a query below the query trunk, all that its embedding reads; `read` is
    /// given the final hidden states of the `wanted` among them, in this order, or of all.
    ///
    /// # Errors
    /// Where the query does not fit in the cache, or a device call fails.
    pub fn direct<R>(
        &mut self,
        ids: &[u32],
        wanted: Option<&[u32]>,
        read: impl FnOnce(&Model<D>, &mut Activations<D>) -> Result<R>,
    ) -> Result<R> {
        let span = self
            .cache
            .take(ids.len())
            .ok_or_else(|| full(ids.len(), self.cache.available()))?;
        let forest = Forest {
            segments: vec![Segment {
                rows: 0..ids.len(),
                own: span,
                mask: Mask::Causal,
                ancestors: vec![self.trunk],
                parent: None,
            }],
        };
        let passed = self.pass(ids, &forest, wanted);
        self.cache.give(span);
        passed?;
        read(self.model, &mut self.acts)
    }
}
