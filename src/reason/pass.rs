//! One pass of the decode loop: the model over new tokens, and the tokens drawn from what comes out.

use super::think::Reasoner;
use super::thought::ThinkOptions;
use crate::device::{Device, Result};
use crate::model::Batch;
use crate::ops::forest::{Forest, Segment};
use crate::ops::sample::Sampled;

impl<D: Device> Reasoner<'_, D> {
    /// A token for each of `keys` (a row's key and the position in its thought), whose logits come from the
    /// first rows that the last pass was wanted for.
    pub(super) fn sample(
        &mut self,
        keys: &[(u64, u32)],
        options: &ThinkOptions,
    ) -> Result<Vec<Sampled>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.reserve(keys.len())?;
        let (model, logits) = (self.model, &mut self.logits);
        model.logits(keys.len(), &self.acts.hidden, logits)?;
        let vocab = model.config.vocab_size;
        model
            .device
            .sample(vocab, &self.logits, &options.sampling, keys, &[])
    }

    /// Runs the model over new tokens, whose keys and values go to the cache, for the final hidden states of
    /// the `wanted` among them, or of all.
    pub(super) fn pass(
        &mut self,
        ids: &[u32],
        forest: &Forest,
        wanted: Option<&[u32]>,
    ) -> Result<()> {
        self.passes += 1;
        let slots = slots_of(forest);
        let positions = forest.positions();
        let batch = Batch {
            ids,
            forest,
            positions: &positions,
            wanted,
        };
        self.model
            .forward_cached(&batch, &slots, &mut self.cache, &mut self.acts)
    }

    /// Makes room for so many rows of logits and embeddings.
    pub(super) fn reserve(&mut self, rows: usize) -> Result<()> {
        if rows > self.capacity {
            let (d, c) = (&*self.model.device, &self.model.config);
            self.embeddings = d.zeros(rows * c.hidden_size)?;
            self.logits = d.zeros(rows * c.vocab_size)?;
            self.capacity = rows;
        }
        Ok(())
    }
}

/// Cache row of every new token: the end of its segment's own span.
pub(super) fn slots_of(forest: &Forest) -> Vec<u32> {
    let new = |s: &Segment| {
        let end = s.own.range().end;
        (end - s.rows.len()..end).map(|r| r as u32)
    };
    forest.segments.iter().flat_map(new).collect()
}
