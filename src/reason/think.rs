//! The decode loop.
//!
//! Every pass of the loop is one packed forward over the cache. It holds the next token of each live
//! row and the whole prompt of each query that just came in; rows leave as they end, and waiting
//! queries take their place. The tree is: instructions (kept hot) → query → one branch per rollout,
//! `<think> … </think><emb>`. When a thought ends, `</think>` and `<emb>` go in together, so closing
//! costs one pass; where the budget is spent they ride along with the last token. With drafts a row feeds
//! the tokens that it probably thinks next too, and leaves what was wrong to be overwritten. A query that is
//! embedded without a thought as well has an `<emb>` of its own at its end, in the pass that it comes in
//! by: no branch sees it.

use super::drafts::Drafts;
use super::row::Row;
use super::step::Stepped;
use super::thought::{CLOSING, Ending, Question, ThinkOptions, Thought};
use crate::device::{Device, DeviceError, Result};
use crate::model::{Activations, KvCache, Model};
use crate::ops::forest::{Forest, Mask, Segment, Span};
use crate::text::Prompts;
use std::collections::VecDeque;

/// What is being decoded.
pub(super) struct AtWork {
    /// Of every question, where it is in the cache while it has rows.
    pub spans: Vec<Option<Span>>,
    pub live: Vec<Row>,
}

/// A model ready to think: its cache with the instruction trunk in it, and its buffers.
pub struct Reasoner<'m, D: Device> {
    pub(super) model: &'m Model<D>,
    pub(super) prompts: &'m Prompts,
    pub(super) cache: KvCache<D>,
    pub(super) trunk: Span,
    pub(super) acts: Activations<D>,
    pub(super) embeddings: D::Buffer<f32>,
    pub(super) logits: D::Buffer<f32>,
    pub(super) capacity: usize,
    /// Tokens that end a thought as [`Ending::Broken`].
    pub(super) control: Vec<u32>,
    pub(super) drafts: Option<Drafts>,
    pub(super) passes: usize,
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
            embeddings: d.zeros(0)?,
            logits: d.zeros(0)?,
            capacity: 0,
            control,
            drafts: None,
            passes: 0,
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
                mask: Mask::Causal,
                ancestors: Vec::new(),
                parent: None,
            }],
        };
        reasoner.pass(ids, &forest, Some(&[]))?;
        reasoner.trunk = trunk;
        Ok(reasoner)
    }

    /// The same with drafts, which learn from every thought, or without. On the CPU thoughts have the same
    /// bits with and without them; on a GPU a token that is fed in company may round otherwise.
    pub fn with_drafts(self, drafts: Option<Drafts>) -> Self {
        Reasoner { drafts, ..self }
    }

    /// Passes of the model so far, the instructions' with them.
    pub fn passes(&self) -> usize {
        self.passes
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
        let at_once = (options.batch.div_ceil(options.rollouts.max(1)) + 1).min(questions.len());
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
        self.think_where(questions, options, |asked, _| Ok(vec![true; asked.len()]))
    }

    /// The same, but with `options.direct` only about the questions that are `wanted`: it is asked with
    /// the numbers of those that came in together and their embeddings without a thought,
    /// `[asked, hidden]`, which come out of the pass that also feeds `<think>`. Of a question that is not
    /// wanted nothing is left but the direct thought.
    ///
    /// # Errors
    /// As [`Reasoner::think`], and what `wanted` returns; the cache is as before then.
    pub fn think_where<E: From<DeviceError>>(
        &mut self,
        questions: &[Question],
        options: &ThinkOptions,
        wanted: impl FnMut(&[usize], &[f32]) -> std::result::Result<Vec<bool>, E>,
    ) -> std::result::Result<Vec<Vec<Thought>>, E> {
        for q in questions {
            let needed = q.ids.len() + options.cache_rows();
            let room = self.cache.capacity() - self.trunk.len;
            if needed > room {
                return Err(full(needed, room).into());
            }
        }
        let mut at_work = AtWork {
            spans: vec![None; questions.len()],
            live: Vec::new(),
        };
        let thoughts = self.decode(questions, options, &mut at_work, wanted);
        // Where the loop was broken off.
        for q in 0..questions.len() {
            self.dismiss(q, &mut at_work);
        }
        thoughts
    }

    fn decode<E: From<DeviceError>>(
        &mut self,
        questions: &[Question],
        options: &ThinkOptions,
        at_work: &mut AtWork,
        mut wanted: impl FnMut(&[usize], &[f32]) -> std::result::Result<Vec<bool>, E>,
    ) -> std::result::Result<Vec<Vec<Thought>>, E> {
        let rows = options.rollouts + usize::from(options.direct);
        let mut done: Vec<Vec<Option<Thought>>> = vec![vec![None; rows]; questions.len()];
        let mut waiting: VecDeque<usize> = (0..questions.len()).collect();
        while !(at_work.live.is_empty() && waiting.is_empty()) {
            let mut entering = Vec::new();
            while let Some(&q) = waiting.front() {
                let live = at_work.live.len();
                let fits = live == 0 || live + options.rollouts <= options.batch;
                if !fits || !self.admit(q, &questions[q], options, at_work) {
                    break;
                }
                entering.push(q);
                waiting.pop_front();
            }
            let Stepped { ended, direct } = self.step(questions, options, &entering, at_work)?;
            for row in ended {
                self.cache.give(row.span);
                self.learn(&row);
                if at_work.live.iter().all(|r| r.question != row.question) {
                    self.dismiss(row.question, at_work);
                }
                done[row.question][row.rollout] = Some(row.thought);
            }
            if !options.direct || entering.is_empty() {
                continue;
            }
            let goes_on = wanted(&entering, &direct)?;
            let direct = direct.chunks_exact(self.model.config.hidden_size);
            for ((q, embedding), goes_on) in entering.into_iter().zip(direct).zip(goes_on) {
                done[q][options.rollouts] = Some(Thought::direct(embedding));
                if !goes_on {
                    done[q][..options.rollouts].fill(None);
                    self.dismiss(q, at_work);
                }
            }
        }
        Ok(done
            .into_iter()
            .map(|thoughts| thoughts.into_iter().flatten().collect())
            .collect())
    }

    /// Lets the drafts know of a thought that has ended.
    fn learn(&mut self, row: &Row) {
        if let Some(drafts) = &mut self.drafts {
            let mut text = row.text(self.prompts);
            if row.thought.ending == Ending::Closed {
                text.push(self.prompts.end_think);
            }
            drafts.learn(&text);
        }
    }

    /// Takes cache spans for a question, its `<emb>` where it is embedded directly, and its rows; false
    /// where they do not fit now.
    fn admit(
        &mut self,
        index: usize,
        question: &Question,
        options: &ThinkOptions,
        at_work: &mut AtWork,
    ) -> bool {
        let mut spans = Vec::with_capacity(options.rollouts + 1);
        let own = question.ids.len() + usize::from(options.direct);
        let branches = std::iter::repeat_n(options.budget + CLOSING, options.rollouts);
        for len in std::iter::once(own).chain(branches) {
            match self.cache.take(len) {
                Some(span) => spans.push(span),
                None => {
                    spans.into_iter().for_each(|s| self.cache.give(s));
                    return false;
                }
            }
        }
        at_work.spans[index] = Some(spans[0]);
        let think = self.prompts.think;
        let rows = spans[1..].iter().enumerate().map(|(rollout, &span)| Row {
            question: index,
            rollout,
            key: question.key.wrapping_add(rollout as u64),
            span,
            cached: 0,
            last: Some(think),
            thought: Thought::empty(Ending::Budget),
            entropy: 0.0,
            before: Vec::new(),
        });
        at_work.live.extend(rows);
        true
    }

    /// Gives back what a question has in the cache, and leaves its rows.
    fn dismiss(&mut self, question: usize, at_work: &mut AtWork) {
        for row in at_work.live.extract_if(.., |row| row.question == question) {
            self.cache.give(row.span);
        }
        if let Some(span) = at_work.spans[question].take() {
            self.cache.give(span);
        }
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
