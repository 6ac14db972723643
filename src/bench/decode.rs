//! Decoding.

use super::{Work, draw};
use crate::device::{Device, Result};
use crate::model::{Activations, Batch, KvCache, Model};
use crate::ops::forest::{Forest, Mask, Segment, Span};
use crate::ops::philox::PhiloxStream;
use crate::ops::sample::Sampling;

/// How long the sequences of a decoding workload are.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    /// Tokens that are there before.
    pub context: usize,
    /// Tokens that are decoded.
    pub decoded: usize,
}

/// Greedy decoding of sequences that share nothing.
pub struct Decode<'m, D: Device> {
    model: &'m Model<D>,
    lengths: Lengths,
    contexts: Vec<u32>,
    /// The token of each sequence that is fed next.
    next: Vec<u32>,
    spans: Vec<Span>,
    cache: KvCache<D>,
    acts: Activations<D>,
    logits: D::Buffer<f32>,
}

impl<'m, D: Device> Decode<'m, D> {
    /// Of as many sequences.
    pub fn new(model: &'m Model<D>, sequences: usize, lengths: Lengths) -> Result<Self> {
        let (d, c) = (&*model.device, &model.config);
        let each = lengths.context + lengths.decoded;
        let mut cache = KvCache::new(d, c, sequences * each)?;
        let spans: Vec<Span> = (0..sequences).filter_map(|_| cache.take(each)).collect();
        let random = &mut PhiloxStream::new(2, 0);
        Ok(Decode {
            lengths,
            contexts: draw(random, c.vocab_size, sequences * lengths.context),
            next: Vec::new(),
            spans,
            cache,
            acts: Activations::for_inference(d, c)?,
            logits: d.zeros(sequences * c.vocab_size)?,
            model,
        })
    }

    /// Feeds new tokens, the same number to each sequence, up to `len` of them; returns the likeliest
    /// next ones.
    fn pass(&mut self, ids: &[u32], len: usize) -> Result<Vec<u32>> {
        let model = self.model;
        let (d, c) = (&*model.device, &model.config);
        let new = ids.len() / self.spans.len();
        let segment = |(i, span): (usize, &Span)| Segment {
            rows: i * new..(i + 1) * new,
            own: Span {
                start: span.start,
                len,
            },
            mask: Mask::Causal,
            ancestors: Vec::new(),
            parent: None,
        };
        let segments: Vec<Segment> = self.spans.iter().enumerate().map(segment).collect();
        let new_slots = |s: &Segment| s.own.start + len - new..s.own.start + len;
        let slots: Vec<u32> = segments
            .iter()
            .flat_map(new_slots)
            .map(|row| row as u32)
            .collect();
        let last: Vec<u32> = segments.iter().map(|s| s.rows.end as u32 - 1).collect();
        let forest = Forest { segments };
        let positions = forest.positions();
        let batch = Batch {
            ids,
            forest: &forest,
            positions: &positions,
            wanted: Some(&last),
        };
        model.forward_cached(&batch, &slots, &mut self.cache, &mut self.acts)?;
        model.logits(last.len(), &self.acts.hidden, &mut self.logits)?;
        let keys: Vec<(u64, u32)> = (0..last.len()).map(|i| (i as u64, 0)).collect();
        let greedy = Sampling::GREEDY;
        let sampled = d.sample(c.vocab_size, &self.logits, &greedy, &keys, &[])?;
        Ok(sampled.iter().map(|s| s.token).collect())
    }
}

impl<D: Device> Work for Decode<'_, D> {
    /// Reads the contexts.
    fn prepare(&mut self) -> Result<()> {
        let contexts = std::mem::take(&mut self.contexts);
        self.next = self.pass(&contexts, self.lengths.context)?;
        self.contexts = contexts;
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        for done in 0..self.lengths.decoded {
            let fed = std::mem::take(&mut self.next);
            self.next = self.pass(&fed, self.lengths.context + done + 1)?;
        }
        Ok(())
    }
}
