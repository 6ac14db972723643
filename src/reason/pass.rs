//! One pass of the decode loop: the model over new tokens, and the tokens drawn from what comes out.

use super::row::Row;
use super::think::Reasoner;
use super::thought::ThinkOptions;
use crate::device::{Device, Result};
use crate::model::Batch;
use crate::ops::forest::{Forest, Segment};
use crate::ops::pool::PoolPlan;
use crate::ops::sample::Sampled;

impl<D: Device> Reasoner<'_, D> {
    /// A token for each of `sampling`, pairs of a live row and the token row that its logits come from.
    pub(super) fn sample(
        &mut self,
        live: &[Row],
        sampling: &[(usize, u32)],
        options: &ThinkOptions,
    ) -> Result<Vec<Sampled>> {
        if sampling.is_empty() {
            return Ok(Vec::new());
        }
        self.reserve(sampling.len())?;
        let d = &*self.model.device;
        let c = &self.model.config;
        let at: Vec<u32> = sampling.iter().map(|s| s.1).collect();
        let plan = PoolPlan::pick(&at, 1.0);
        d.pool(
            &plan,
            c.hidden_size,
            &self.acts.hidden,
            &mut self.rows,
            false,
        )?;
        self.model.logits(at.len(), &self.rows, &mut self.logits)?;
        let key = |&(i, _): &(usize, u32)| (live[i].key, live[i].thought.tokens.len() as u32);
        let keys: Vec<(u64, u32)> = sampling.iter().map(key).collect();
        d.sample(c.vocab_size, &self.logits, &options.sampling, &keys, &[])
    }

    /// Runs the model over new tokens, whose keys and values go to rows `slots` of the cache.
    pub(super) fn pass(&mut self, ids: &[u32], forest: &Forest, slots: &[u32]) -> Result<()> {
        let positions = forest.positions();
        let batch = Batch {
            ids,
            forest,
            positions: &positions,
        };
        self.model
            .forward_cached(&batch, slots, &mut self.cache, &mut self.acts)
    }

    /// Makes room for so many rows of logits and embeddings.
    pub(super) fn reserve(&mut self, rows: usize) -> Result<()> {
        if rows > self.capacity {
            let (d, c) = (&*self.model.device, &self.model.config);
            self.rows = d.zeros(rows * c.hidden_size)?;
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
