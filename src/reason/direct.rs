//! Embedding without a thought, over the same cache and its hot instruction trunk.

use super::Reasoner;
use super::think::full;
use crate::device::{Device, Result};
use crate::ops::forest::{Forest, Mask, Segment};

impl<D: Device> Reasoner<'_, D> {
    /// The last hidden state at `<emb>` right after the query `ids` (its tokens below the query
    /// trunk), `[hidden]`, not normalised: one pass over the query's own tokens.
    ///
    /// # Errors
    /// Where the query does not fit in the cache, or a device call fails.
    pub fn direct(&mut self, ids: &[u32]) -> Result<Vec<f32>> {
        let mut ids = ids.to_vec();
        ids.push(self.prompts.emb);
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
        let passed = self.pass(&ids, &forest, &[ids.len() as u32 - 1]);
        self.cache.give(span);
        passed?;
        self.states(0..1)
    }
}
