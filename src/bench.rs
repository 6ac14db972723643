//! The engine's workloads, defined once for `lrem bench engine`, the criterion suite and the
//! comparison with other engines.
//!
//! | name | work | unit |
//! |---|---|---|
//! | `prefill 512` | one sequence of 512 tokens, hidden states only | tok/s |
//! | `embed 64x24` | 64 sequences of 24 tokens, hidden states only | items/s |
//! | `decode batch B` | 16 greedy tokens a sequence after a context of 64, without its prefill | tok/s |
//! | `cold-start step 16 pairs` | forward, backward and AdamW of 16 pairs: a query of 12 tokens below instructions of 64 with a thought of 16, an item of 24 below 16 | pairs/s |

use crate::device::{Device, DeviceError, Result};
use crate::embed::Pooling;
use crate::embed::encode::BATCH_TOKENS;
use crate::model::{Activations, Batch, Gradients, KvCache, Model};
use crate::ops::forest::{Forest, Segment, Span};
use crate::ops::philox::PhiloxStream;
use crate::ops::pool::PoolPlan;
use crate::ops::sample::Sampling;
use crate::text::Prompts;
use crate::train::batch::{BatchItem, Branch, Sample, TrainBatch};
use crate::train::objective::{Objective, Weights};
use crate::train::optimizer::{Optimizer, OptimizerOptions};
use std::time::{Duration, Instant};

/// Tokens that a decoding workload generates a sequence, and the context before them.
pub const DECODED: usize = 16;
const CONTEXT: usize = 64;
/// Pairs of the training workload.
pub const PAIRS: usize = 16;
/// Tokens of the training workload: instructions before and text of a query, its branch from
/// `<think>` to `<emb>`, instructions before and text of an item.
const QUERY: (usize, usize) = (64, 12);
const BRANCH: usize = 17;
const ITEM: (usize, usize) = (16, 24);

fn draw(random: &mut PhiloxStream, vocab: usize, len: usize) -> Vec<u32> {
    (0..len).map(|_| random.below(vocab) as u32).collect()
}

/// `sequences` sequences of `len` random tokens through the decoder, without a head, packed as titles
/// are when a catalogue is embedded.
pub struct Encode<D: Device> {
    batches: Vec<(Vec<u32>, Forest)>,
    acts: Activations<D>,
}

impl<D: Device> Encode<D> {
    pub fn new(model: &Model<D>, sequences: usize, len: usize) -> Result<Self> {
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
        })
    }

    /// One pass; returns its time.
    pub fn run(&mut self, model: &Model<D>) -> Result<Duration> {
        let started = Instant::now();
        for (ids, forest) in &self.batches {
            let positions = forest.positions();
            let batch = Batch {
                ids,
                forest,
                positions: &positions,
            };
            model.forward(&batch, &mut self.acts)?;
        }
        Ok(started.elapsed())
    }
}

/// Greedy decoding of `sequences` sequences that share nothing.
pub struct Decode<D: Device> {
    contexts: Vec<u32>,
    spans: Vec<Span>,
    cache: KvCache<D>,
    acts: Activations<D>,
    rows: D::Buffer<f32>,
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

/// Cold-start steps (eq. 4, 7, 8), the instructions a trunk.
pub struct ColdStartStep<D: Device> {
    model: Model<D>,
    prompts: Prompts,
    batch: TrainBatch,
    objective: Objective<D>,
    gradients: Gradients<D>,
    optimizer: Optimizer<D>,
}

impl<D: Device> ColdStartStep<D> {
    /// Takes a trainable model, which the steps change.
    pub fn new(model: Model<D>) -> Result<Self> {
        let vocab = model.config.vocab_size;
        let random = &mut PhiloxStream::new(3, 0);
        let [think, end_think, emb] = [0, 1, 2].map(|back| vocab as u32 - 1 - back);
        let prompts = Prompts {
            query_prefix: draw(random, vocab, QUERY.0),
            query_suffix: Vec::new(),
            item_prefix: draw(random, vocab, ITEM.0),
            item_suffix: Vec::new(),
            think,
            end_think,
            emb,
        };
        let sample = |i: usize| Sample {
            query: draw(random, vocab, QUERY.1),
            branches: vec![
                Branch::embedding(prompts.branch(&draw(random, vocab, BRANCH - 3)), i as u32)
                    .learned(),
            ],
            positives: vec![i as u64],
        };
        let samples = (0..PAIRS).map(sample).collect();
        let item = |key: usize| BatchItem {
            key: key as u64,
            ids: draw(random, vocab, ITEM.1),
        };
        let items = (0..PAIRS).map(item).collect();
        Ok(ColdStartStep {
            batch: TrainBatch { samples, items },
            prompts,
            objective: Objective::new(&model, Pooling::Emb)?,
            gradients: model.zero_gradients()?,
            optimizer: Optimizer::new(&model, OptimizerOptions::default())?,
            model,
        })
    }

    /// One step; returns its time.
    ///
    /// # Errors
    /// A loss that is not finite: a figure of such a step would mean nothing.
    pub fn run(&mut self) -> Result<Duration> {
        let started = Instant::now();
        let weights = Weights {
            sft: 0.1,
            info_nce: 1.0,
            temperature: 0.05,
        };
        let losses = self.objective.step(
            &self.model,
            &self.prompts,
            &self.batch,
            PAIRS,
            &weights,
            &mut self.gradients,
        )?;
        let rate = 1e-6;
        self.optimizer
            .update(&mut self.model, &mut self.gradients, rate)?;
        if !losses.loss.is_finite() {
            return Err(DeviceError::Argument {
                op: "cold-start step",
                message: format!("the loss is {}", losses.loss),
            });
        }
        Ok(started.elapsed())
    }
}
