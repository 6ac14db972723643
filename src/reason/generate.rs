//! Plain generation of one text, for a local teacher.

use super::pass::slots_of;
use crate::device::{Device, DeviceError, Result};
use crate::model::{Activations, Batch, KvCache, Model};
use crate::ops::forest::{Forest, Mask, Segment, Span};
use crate::ops::sample::Sampling;

/// A model with a cache for one text.
pub struct Generator<'m, D: Device> {
    model: &'m Model<D>,
    cache: KvCache<D>,
    acts: Activations<D>,
    logits: D::Buffer<f32>,
}

impl<'m, D: Device> Generator<'m, D> {
    /// Makes a cache as long as the model's context.
    ///
    /// # Errors
    /// Where a device call fails.
    pub fn new(model: &'m Model<D>) -> Result<Self> {
        let (d, c) = (&*model.device, &model.config);
        Ok(Generator {
            model,
            cache: KvCache::new(d, c, model.context())?,
            acts: Activations::for_inference(d, c)?,
            logits: d.zeros(c.vocab_size)?,
        })
    }

    /// The tokens that follow `prompt`, at most `most`, until one of `ends`, which is left out.
    ///
    /// # Errors
    /// Where the prompt and `most` tokens do not fit in the context, or a device call fails.
    pub fn generate(
        &mut self,
        prompt: &[u32],
        most: usize,
        sampling: &Sampling,
        ends: &[u32],
    ) -> Result<Vec<u32>> {
        let room = self.cache.capacity();
        let needed = prompt.len() + most;
        let span = self
            .cache
            .take(needed)
            .ok_or_else(|| DeviceError::Argument {
                op: "generate",
                message: format!(
                    "the prompt and its answer take {needed} tokens, the context holds {room}"
                ),
            })?;
        let generated = self.follow(span, prompt, most, sampling, ends);
        self.cache.give(span);
        generated
    }

    fn follow(
        &mut self,
        span: Span,
        prompt: &[u32],
        most: usize,
        sampling: &Sampling,
        ends: &[u32],
    ) -> Result<Vec<u32>> {
        let mut generated = Vec::new();
        let (mut next, mut cached) = (prompt.to_vec(), 0);
        while generated.len() < most && !next.is_empty() {
            cached += next.len();
            let token = self.pass(span.start, cached, &next, generated.len(), sampling)?;
            if ends.contains(&token) {
                break;
            }
            generated.push(token);
            next = vec![token];
        }
        Ok(generated)
    }

    /// Feeds the tokens `ids`, the last of `cached` from `start` on, and samples token `position`.
    fn pass(
        &mut self,
        start: usize,
        cached: usize,
        ids: &[u32],
        position: usize,
        sampling: &Sampling,
    ) -> Result<u32> {
        let (d, c) = (&*self.model.device, &self.model.config);
        let forest = Forest {
            segments: vec![Segment {
                rows: 0..ids.len(),
                own: Span { start, len: cached },
                mask: Mask::Causal,
                ancestors: Vec::new(),
                parent: None,
            }],
        };
        let positions = forest.positions();
        let batch = Batch {
            ids,
            forest: &forest,
            positions: &positions,
            wanted: Some(&[ids.len() as u32 - 1]),
        };
        let slots = slots_of(&forest);
        let (cache, acts) = (&mut self.cache, &mut self.acts);
        self.model.forward_cached(&batch, &slots, cache, acts)?;
        self.model.logits(1, &self.acts.hidden, &mut self.logits)?;
        let keys = [(0, position as u32)];
        let sampled = d.sample(c.vocab_size, &self.logits, sampling, &keys, &[])?;
        Ok(sampled[0].token)
    }
}
