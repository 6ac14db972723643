//! Prefill and embedding.

use super::{Work, draw};
use crate::device::{Device, Result};
use crate::embed::encode::BATCH_TOKENS;
use crate::model::{Activations, Batch, Model};
use crate::ops::forest::Forest;
use crate::ops::philox::PhiloxStream;

/// Sequences of random tokens through the decoder, without a head, packed as titles are when a catalogue is
/// embedded.
pub struct Encode<'m, D: Device> {
    model: &'m Model<D>,
    batches: Vec<(Vec<u32>, Forest)>,
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
            (ids, Forest::packed(&vec![(len, None); count]))
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
        for (ids, forest) in &self.batches {
            let positions = forest.positions();
            let batch = Batch {
                ids,
                forest,
                positions: &positions,
            };
            self.model.forward(&batch, &mut self.acts)?;
        }
        Ok(())
    }
}
