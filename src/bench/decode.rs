//! Decoding.

use super::draw;
use crate::device::{Activation, Device, Result};
use crate::model::{Activations, Batch, KvCache, Model};
use crate::ops::forest::{Forest, Segment, Span};
use crate::ops::philox::PhiloxStream;
use crate::ops::pool::PoolPlan;
use crate::ops::sample::Sampling;
use std::time::{Duration, Instant};

/// Tokens that a decoding workload generates a sequence, and the context before them.
pub const DECODED: usize = 16;
const CONTEXT: usize = 64;

/// Greedy decoding of `sequences` sequences that share nothing.
pub struct Decode<D: Device> {
    contexts: Vec<u32>,
    spans: Vec<Span>,
    cache: KvCache<D>,
    acts: Activations<D>,
    rows: Activation<D>,
    logits: D::Buffer<f32>,
}

impl<D: Device> Decode<D> {
    pub fn new(model: &Model<D>, sequences: usize) -> Result<Self> {
        let (d, c) = (&*model.device, &model.config);
        let each = CONTEXT + DECODED;
        let mut cache = KvCache::new(d, c, sequences * each)?;
        let spans: Vec<Span> = (0..sequences).filter_map(|_| cache.take(each)).collect();
        Ok(Decode {
            contexts: draw(
                &mut PhiloxStream::new(2, 0),
                c.vocab_size,
                sequences * CONTEXT,
            ),
            spans,
            cache,
            acts: Activations::for_inference(d, c)?,
            rows: d.zeros(sequences * c.hidden_size)?,
            logits: d.zeros(sequences * c.vocab_size)?,
        })
    }

    /// Reads the contexts, then decodes; returns the time of the decoding alone.
    pub fn run(&mut self, model: &Model<D>) -> Result<Duration> {
        let contexts = std::mem::take(&mut self.contexts);
        let mut next = self.pass(model, &contexts, CONTEXT)?;
        self.contexts = contexts;
        let started = Instant::now();
        for done in 0..DECODED {
            next = self.pass(model, &next, CONTEXT + done + 1)?;
        }
        Ok(started.elapsed())
    }

    /// Feeds new tokens, the same number to each sequence, up to `len` of them; returns the likeliest
    /// next ones.
    fn pass(&mut self, model: &Model<D>, ids: &[u32], len: usize) -> Result<Vec<u32>> {
        let (d, c) = (&*model.device, &model.config);
        let new = ids.len() / self.spans.len();
        let segment = |(i, span): (usize, &Span)| Segment {
            rows: i * new..(i + 1) * new,
            own: Span {
                start: span.start,
                len,
            },
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
        };
        model.forward_cached(&batch, &slots, &mut self.cache, &mut self.acts)?;
        let (plan, rows) = (PoolPlan::pick(&last, 1.0), &mut self.rows);
        d.pool(&plan, c.hidden_size, &self.acts.hidden, rows, false)?;
        model.logits(last.len(), &self.rows, &mut self.logits)?;
        let keys: Vec<(u64, u32)> = (0..last.len()).map(|i| (i as u64, 0)).collect();
        let greedy = Sampling::GREEDY;
        let sampled = d.sample(c.vocab_size, &self.logits, &greedy, &keys, &[])?;
        Ok(sampled.iter().map(|s| s.token).collect())
    }
}
