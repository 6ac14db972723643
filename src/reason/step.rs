//! One step of the decode loop: what goes into a pass, and what becomes of what comes out.

use super::drafts::FED;
use super::row::{Feed, Row, Rules};
use super::think::{AtWork, Reasoner};
use super::thought::{Question, ThinkOptions};
use crate::device::{Device, Result};
use crate::ops::forest::{Forest, Mask, Segment, Span};
use crate::ops::pool::PoolPlan;
use std::ops::Range;

/// What a step leaves.
pub(super) struct Stepped {
    /// Rows whose thought has ended.
    pub ended: Vec<Row>,
    /// Hidden states at `<emb>` right after the queries that came in, `[entering, hidden]`; empty unless
    /// they are asked for.
    pub direct: Vec<f32>,
}

impl<D: Device> Reasoner<'_, D> {
    /// One pass: feeds every row's next tokens and the entering queries, samples, and takes the rows that
    /// have ended out of the live ones.
    pub(super) fn step(
        &mut self,
        questions: &[Question],
        options: &ThinkOptions,
        entering: &[usize],
        at_work: &mut AtWork,
    ) -> Result<Stepped> {
        let AtWork { spans, live } = at_work;
        let query = |q: usize| Span {
            len: questions[q].ids.len(),
            ..spans[q].unwrap_or(self.trunk)
        };
        let mut ids: Vec<u32> = Vec::new();
        let mut forest = Forest::default();
        // Token rows whose hidden states are embeddings: first the entering queries'.
        let mut embedded: Vec<u32> = Vec::new();
        for &q in entering {
            let first = ids.len();
            ids.extend(&questions[q].ids);
            if options.direct {
                embedded.push(ids.len() as u32);
                ids.push(self.prompts.emb);
            }
            forest.segments.push(Segment {
                rows: first..ids.len(),
                own: Span {
                    len: ids.len() - first,
                    ..query(q)
                },
                mask: Mask::Causal,
                ancestors: vec![self.trunk],
                parent: None,
            });
        }
        let direct = embedded.len();
        let feeds = self.feeds(live, options);
        // Tokens whose successors are sampled, and the keys of these.
        let (mut read, mut sampling) = (Vec::new(), Vec::new());
        for (row, feed) in live.iter().zip(&feeds) {
            let first = ids.len();
            ids.extend(&feed.ids);
            forest.segments.push(Segment {
                rows: first..ids.len(),
                own: Span {
                    start: row.span.start,
                    len: row.cached + feed.ids.len(),
                },
                mask: Mask::Causal,
                ancestors: vec![self.trunk, query(row.question)],
                parent: None,
            });
            for behind in 0..feed.read {
                read.push((first + behind) as u32);
                sampling.push((row.key, (row.thought.tokens.len() + behind) as u32));
            }
            if feed.closes() {
                embedded.push(ids.len() as u32 - 1);
            }
        }
        let wanted = [read, embedded].concat();
        self.pass(&ids, &forest, Some(&wanted))?;
        let sampled = self.sample(&sampling, options)?;
        let mut embeddings = self.states(sampling.len()..wanted.len())?;
        let thoughts = embeddings.split_off(direct * self.model.config.hidden_size);
        let mut thoughts = thoughts.chunks_exact(self.model.config.hidden_size);
        let rules = Rules {
            budget: options.budget,
            prompts: self.prompts,
            control: &self.control,
        };
        let mut sampled = &sampled[..];
        for (row, feed) in live.iter_mut().zip(&feeds) {
            let (own, others) = sampled.split_at(feed.read);
            sampled = others;
            let embedding = feed.closes().then(|| thoughts.next()).flatten();
            let settles = match (options.settled, embedding) {
                (Some(settled), Some(embedding)) => row.settles(embedding, settled),
                _ => false,
            };
            let over = settles || row.read(feed, own, &rules);
            if let (true, Some(embedding)) = (over, embedding) {
                let thought = &mut row.thought;
                thought.embedding = embedding.to_vec();
                thought.entropy = row.entropy / thought.log_probabilities.len().max(1) as f32;
            }
        }
        let ended = live.extract_if(.., |row| !row.thought.embedding.is_empty());
        Ok(Stepped {
            ended: ended.collect(),
            direct: embeddings,
        })
    }

    /// What every row feeds: with drafts, where a pass has room for them and no embedding is to be looked at
    /// after each token.
    fn feeds(&self, live: &[Row], options: &ThinkOptions) -> Vec<Feed> {
        let (p, budget) = (self.prompts, options.budget);
        let watched = options.settled.is_some();
        let room = (FED / live.len().max(1)).saturating_sub(1);
        let feed = |row: &Row| {
            let most = room.min(budget - row.thought.tokens.len());
            let drafts = match &self.drafts {
                Some(drafts) if most > 0 && !watched => {
                    drafts.guess(&row.text(p), most, p.end_think)
                }
                _ => Vec::new(),
            };
            row.feed(&drafts, budget, watched, p)
        };
        live.iter().map(feed).collect()
    }

    /// Hidden states `[rows, hidden]` of `rows` of those that the last pass was wanted for.
    pub(super) fn states(&mut self, rows: Range<usize>) -> Result<Vec<f32>> {
        self.reserve(rows.len())?;
        let (d, hidden) = (&*self.model.device, self.model.config.hidden_size);
        let rows: Vec<u32> = rows.map(|row| row as u32).collect();
        let (plan, out) = (PoolPlan::pick(&rows, 1.0), &mut self.embeddings);
        d.pool(&plan, hidden, &self.acts.hidden, out, false)?;
        d.download(out, rows.len() * hidden)
    }
}
