//! Prefill and embedding.

use super::{Work, draw};
use crate::device::{Device, Result};
use crate::embed::encode::BATCH_TOKENS;
use crate::model::{Activations, Batch, Model};
use crate::ops::forest::Forest;
use crate::ops::philox::PhiloxStream;

/// Sequences of random tokens through the decoder, without a head, packed as titles are when a catalogue is
/// embedded: several are embedded at their last tokens, as titles are, one gives all of its hidden states.
pub struct Encode<'m, D: Device> {
    model: &'m Model<D>,
    batches: Vec<(Vec<u32>, Forest, Option<Vec<u32>>)>,
    acts: Activations<D>,
}

impl<'m, D: Device> Encode<'m, D> {
    /// `sequences` of `len` tokens.
    pub fn new(model: &'m Model<D>, sequences: usize, len: usize) -> Result<Self> {
        let mut random = PhiloxStream::new(1, 0);
        let most = (BATCH_TOKENS / len).max(1);
        let batch = |first: usize| {
            let count = most.min(sequences - first);
            let ids = draw(&mut random, model.config.vocab_size, count * len);
            let last = (1..=count).map(|i| (i * len) as u32 - 1).collect();
            let forest = Forest::packed(&vec![(len, None); count]);
            (ids, forest, (sequences > 1).then_some(last))
        };
        Ok(Encode {
            batches: (0..sequences).step_by(most).map(batch).collect(),
            acts: Activations::for_inference(&*model.device, &model.config)?,
            model,
        })
    }
}

impl<D: Device> Work for Encode<'_, D> {
    fn run(&mut self) -> Result<()> {
        for (ids, forest, wanted) in &self.batches {
            let positions = forest.positions();
            let batch = Batch {
                ids,
                forest,
                positions: &positions,
                wanted: wanted.as_deref(),
            };
            let (model, acts) = (self.model, &mut self.acts);
            model.device.recorded(|| model.forward(&batch, acts))?;
        }
        Ok(())
    }
}
