//! One step of the decode loop: what goes into a pass, and what becomes of what comes out.

use super::row::Row;
use super::think::{AtWork, Reasoner};
use super::thought::{Question, ThinkOptions};
use crate::device::{Device, Result};
use crate::ops::forest::{Forest, Segment, Span};
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
                ancestors: vec![self.trunk],
                parent: None,
            });
        }
        let direct = embedded.len();
        // Rows that sample and the tokens that they read, and rows whose embedding this pass yields.
        let (mut sampling, mut read, mut ending) = (Vec::new(), Vec::new(), Vec::new());
        for (i, row) in live.iter().enumerate() {
            let first = ids.len();
            forest.segments.push(Segment {
                rows: first..first + row.next.len(),
                own: Span {
                    start: row.span.start,
                    len: row.cached + row.next.len(),
                },
                ancestors: vec![self.trunk, query(row.question)],
                parent: None,
            });
            ids.extend(&row.next);
            if row.next[0] != self.prompts.end_think {
                sampling.push(i);
                read.push(first as u32);
            }
            if row.next.last() == Some(&self.prompts.emb) {
                ending.push(i);
                embedded.push(ids.len() as u32 - 1);
            }
        }
        let wanted = [read, embedded].concat();
        self.pass(&ids, &forest, &wanted)?;
        let sampled = self.sample(live, &sampling, options)?;
        let mut embeddings = self.states(sampling.len()..wanted.len())?;
        let thoughts = embeddings.split_off(direct * self.model.config.hidden_size);
        for (&i, s) in sampling.iter().zip(&sampled) {
            let row = &mut live[i];
            row.cached += row.next.len();
            row.take(*s, options.budget, self.prompts, &self.control);
        }
        for (&i, embedding) in ending
            .iter()
            .zip(thoughts.chunks_exact(self.model.config.hidden_size))
        {
            let Row {
                thought, entropy, ..
            } = &mut live[i];
            thought.embedding = embedding.to_vec();
            thought.entropy = *entropy / thought.log_probabilities.len().max(1) as f32;
        }
        let ended = live.extract_if(.., |row| !row.thought.embedding.is_empty());
        Ok(Stepped {
            ended: ended.collect(),
            direct: embeddings,
        })
    }

    /// Hidden states `[rows, hidden]` of `rows` of those that the last pass was wanted for.
    pub(super) fn states(&mut self, rows: Range<usize>) -> Result<Vec<f32>> {
        self.reserve(rows.len())?;
        let (d, hidden) = (&*self.model.device, self.model.config.hidden_size);
        let (len, rows) = (
            rows.len() * hidden,
            rows.map(|r| r as u32).collect::<Vec<_>>(),
        );
        let (plan, out) = (PoolPlan::pick(&rows, 1.0), &mut self.embeddings);
        d.pool(&plan, hidden, &self.acts.hidden, out, false)?;
        d.download(out, len)
    }
}
