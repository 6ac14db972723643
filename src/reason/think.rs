//! The decode loop.
//!
//! Every pass of the loop is one packed forward over the cache. It holds the next token of each live
//! row and the whole prompt of each query that just came in; rows leave as they end, and waiting
//! queries take their place. The tree is: instructions (kept hot) → query → one branch per rollout,
//! `<think> … </think><emb>`. When a thought ends, `</think>` and `<emb>` go in together, so closing
//! costs one pass; where the budget is spent they ride along with the last token.

use super::pass::slots_of;
use super::row::Row;
use super::thought::{CLOSING, Ending, Question, ThinkOptions, Thought};
use crate::device::{Activation, Device, DeviceError, Result};
use crate::model::{Activations, KvCache, Model};
use crate::ops::forest::{Forest, Segment, Span};
use crate::ops::pool::PoolPlan;
use crate::text::Prompts;
use std::collections::VecDeque;

/// A query whose rows are being decoded.
struct Open {
    span: Span,
    rows: usize,
}

/// A model ready to think: its cache with the instruction trunk in it, and its buffers.
pub struct Reasoner<'m, D: Device> {
    pub(super) model: &'m Model<D>,
    pub(super) prompts: &'m Prompts,
    pub(super) cache: KvCache<D>,
    pub(super) trunk: Span,
    pub(super) acts: Activations<D>,
    /// What the head reads, and what is embedded.
    pub(super) rows: Activation<D>,
    pub(super) embeddings: D::Buffer<f32>,
    pub(super) logits: D::Buffer<f32>,
    pub(super) capacity: usize,
    /// Tokens that end a thought as [`Ending::Broken`].
    control: Vec<u32>,
}

impl<'m, D: Device> Reasoner<'m, D> {
    /// Makes a cache of `cache_tokens` and computes the instruction trunk into it.
    ///
    /// # Errors
    /// Where the trunk does not fit in the cache, or a device call fails.
    pub fn new(model: &'m Model<D>, prompts: &'m Prompts, cache_tokens: usize) -> Result<Self> {
        let d = &*model.device;
        let mut control = vec![prompts.think, prompts.emb];
        control.extend(&model.config.eos_token_ids);
        let mut reasoner = Reasoner {
            model,
            prompts,
            cache: KvCache::new(d, &model.config, cache_tokens)?,
            trunk: Span { start: 0, len: 0 },
            acts: Activations::for_inference(d, &model.config)?,
            rows: d.zeros(0)?,
            embeddings: d.zeros(0)?,
            logits: d.zeros(0)?,
            capacity: 0,
            control,
        };
        let ids = &prompts.query_prefix;
        let trunk = reasoner
            .cache
            .take(ids.len())
            .ok_or_else(|| full(ids.len(), cache_tokens))?;
        let forest = Forest {
            segments: vec![Segment {
                rows: 0..ids.len(),
                own: trunk,
                ancestors: Vec::new(),
                parent: None,
            }],
        };
        reasoner.pass(ids, &forest, &slots_of(&forest))?;
        reasoner.trunk = trunk;
        Ok(reasoner)
    }

    /// The same with a cache in which as many of `questions` as `options.batch` has rows for, and one
    /// more, have room.
    ///
    /// # Errors
    /// Where a device call fails.
    pub fn for_questions(
        model: &'m Model<D>,
        prompts: &'m Prompts,
        questions: &[Question],
        options: &ThinkOptions,
    ) -> Result<Self> {
        let longest = questions.iter().map(|q| q.ids.len()).max().unwrap_or(0);
        let each = longest + options.cache_rows();
        let at_once = (options.batch.div_ceil(options.rows().max(1)) + 1).min(questions.len());
        Self::new(model, prompts, prompts.query_prefix.len() + at_once * each)
    }

    /// Thinks `options.rollouts` thoughts about every question. Result `[question][rollout]`, and with
    /// `options.direct` one more at the end that has no tokens and ends [directly](Ending::Direct). A
    /// thought's bits depend on its question, key, budget and sampling alone.
    ///
    /// # Errors
    /// Where a question and its thoughts do not fit in the cache or the context.
    pub fn think(
        &mut self,
        questions: &[Question],
        options: &ThinkOptions,
    ) -> Result<Vec<Vec<Thought>>> {
        for q in questions {
            let needed = q.ids.len() + options.cache_rows();
            let room = self.cache.capacity() - self.trunk.len;
            if needed > room {
                return Err(full(needed, room));
            }
        }
        let mut done: Vec<Vec<Option<Thought>>> =
            vec![(0..options.rows()).map(|_| None).collect(); questions.len()];
        let mut waiting: VecDeque<usize> = (0..questions.len()).collect();
        let mut open: Vec<Option<Open>> = (0..questions.len()).map(|_| None).collect();
        let mut live: Vec<Row> = Vec::new();
        while !(live.is_empty() && waiting.is_empty()) {
            let mut entering = Vec::new();
            while let Some(&q) = waiting.front() {
                let fits = live.is_empty() || live.len() + options.rows() <= options.batch;
                if !fits || !self.admit(q, &questions[q], options, &mut open[q], &mut live) {
                    break;
                }
                entering.push(q);
                waiting.pop_front();
            }
            let outcome = self.step(questions, options, &open, &entering, &mut live)?;
            live = Vec::with_capacity(outcome.len());
            for (row, finished) in outcome {
                if !finished {
                    live.push(row);
                    continue;
                }
                self.cache.give(row.span);
                if let Some(o) = &mut open[row.question] {
                    o.rows -= 1;
                    if o.rows == 0 {
                        self.cache.give(o.span);
                        open[row.question] = None;
                    }
                }
                done[row.question][row.rollout] = Some(row.thought);
            }
        }
        Ok(done
            .into_iter()
            .map(|thoughts| thoughts.into_iter().flatten().collect())
            .collect())
    }

    /// Takes cache spans for a question and its rows; false where they do not fit now.
    fn admit(
        &mut self,
        index: usize,
        question: &Question,
        options: &ThinkOptions,
        open: &mut Option<Open>,
        live: &mut Vec<Row>,
    ) -> bool {
        let mut spans = Vec::with_capacity(options.rows() + 1);
        let branches = std::iter::repeat_n(options.budget + CLOSING, options.rollouts);
        let direct = options.direct.then_some(1);
        for len in std::iter::once(question.ids.len())
            .chain(branches)
            .chain(direct)
        {
            match self.cache.take(len) {
                Some(span) => spans.push(span),
                None => {
                    spans.into_iter().for_each(|s| self.cache.give(s));
                    return false;
                }
            }
        }
        *open = Some(Open {
            span: spans[0],
            rows: options.rows(),
        });
        let p = self.prompts;
        live.extend(spans[1..].iter().enumerate().map(|(rollout, &span)| {
            let (next, ending) = match options.budget {
                _ if rollout == options.rollouts => (vec![p.emb], Ending::Direct),
                0 => (vec![p.think, p.end_think, p.emb], Ending::Budget),
                _ => (vec![p.think], Ending::Budget),
            };
            Row {
                question: index,
                rollout,
                key: question.key.wrapping_add(rollout as u64),
                span,
                cached: 0,
                next,
                thought: Thought {
                    tokens: Vec::new(),
                    drawn: Vec::new(),
                    log_probabilities: Vec::new(),
                    entropy: 0.0,
                    ending,
                    embedding: Vec::new(),
                },
                entropy: 0.0,
            }
        }));
        true
    }

    /// One pass: feeds every row's next tokens (and the entering queries), samples, and says which
    /// rows have ended.
    fn step(
        &mut self,
        questions: &[Question],
        options: &ThinkOptions,
        open: &[Option<Open>],
        entering: &[usize],
        live: &mut Vec<Row>,
    ) -> Result<Vec<(Row, bool)>> {
        let span_of = |q: usize| open[q].as_ref().map_or(self.trunk, |o| o.span);
        let mut ids: Vec<u32> = Vec::new();
        let mut forest = Forest::default();
        for &q in entering {
            let tokens = &questions[q].ids;
            forest.segments.push(Segment {
                rows: ids.len()..ids.len() + tokens.len(),
                own: span_of(q),
                ancestors: vec![self.trunk],
                parent: None,
            });
            ids.extend(tokens);
        }
        // Rows that sample, and rows whose embedding this pass yields.
        let (mut sampling, mut ending) = (Vec::new(), Vec::new());
        for (i, row) in live.iter().enumerate() {
            let first = ids.len();
            let closes = row.next.last() == Some(&self.prompts.emb);
            let samples = ![self.prompts.end_think, self.prompts.emb].contains(&row.next[0]);
            forest.segments.push(Segment {
                rows: first..first + row.next.len(),
                own: Span {
                    start: row.span.start,
                    len: row.cached + row.next.len(),
                },
                ancestors: vec![self.trunk, span_of(row.question)],
                parent: None,
            });
            ids.extend(&row.next);
            if samples {
                sampling.push((i, first as u32));
            }
            if closes {
                ending.push((i, ids.len() as u32 - 1));
            }
        }
        let slots = slots_of(&forest);
        self.pass(&ids, &forest, &slots)?;
        let sampled = self.sample(live, &sampling, options)?;
        for (&(i, _), s) in sampling.iter().zip(&sampled) {
            let row = &mut live[i];
            row.cached += row.next.len();
            row.take(*s, options.budget, self.prompts, &self.control);
        }
        let mut finished = vec![false; live.len()];
        let d = &*self.model.device;
        let hidden = self.model.config.hidden_size;
        let at: Vec<u32> = ending.iter().map(|e| e.1).collect();
        self.reserve(at.len())?;
        d.pool(
            &PoolPlan::pick(&at, 1.0),
            hidden,
            &self.acts.hidden,
            &mut self.embeddings,
            false,
        )?;
        let embeddings = d.download(&self.embeddings, at.len() * hidden)?;
        for (n, &(i, _)) in ending.iter().enumerate() {
            let Row {
                thought, entropy, ..
            } = &mut live[i];
            thought.embedding = embeddings[n * hidden..(n + 1) * hidden].to_vec();
            thought.entropy = *entropy / thought.log_probabilities.len().max(1) as f32;
            finished[i] = true;
        }
        Ok(std::mem::take(live).into_iter().zip(finished).collect())
    }
}

pub(super) fn full(needed: usize, room: usize) -> DeviceError {
    DeviceError::Argument {
        op: "think",
        message: format!(
            "a query and its thoughts take {needed} tokens, the cache has room for {room}"
        ),
    }
}
