//! A search that thinks about hard queries only.

use super::searcher::Searcher;
use lrem::device::Device;
use lrem::embed::{Gate, GateError};
use lrem::retrieve::{self, Scored, margin};
use std::collections::BTreeMap;

/// One search, for some queries at once: where the embedding without a thought has its best item ahead of
/// the second by the searcher's margin, what it found stands.
pub struct MarginGate<'s, D: Device> {
    searcher: &'s Searcher<D>,
    /// Items to find for a query.
    top: usize,
    /// What was found for the queries that are not thought about.
    standing: BTreeMap<usize, Vec<Scored>>,
}

impl<'s, D: Device> MarginGate<'s, D> {
    /// A search for the `top` best items.
    pub fn new(searcher: &'s Searcher<D>, top: usize) -> Self {
        MarginGate {
            searcher,
            top,
            standing: BTreeMap::new(),
        }
    }

    /// What decides while the queries are embedded; none where the searcher has no margin.
    pub fn gate(&mut self) -> Option<&mut dyn Gate> {
        match self.searcher.gate {
            Some(_) => Some(self),
            None => None,
        }
    }

    /// The best items for the queries embedded as `rows` `[queries, hidden]`.
    ///
    /// # Errors
    /// As [`Searcher::search`].
    pub fn hits(mut self, rows: &[f32]) -> retrieve::Result<Vec<Vec<Scored>>> {
        let queries = rows.chunks_exact(self.searcher.index.origin().hidden);
        let count = queries.len();
        let thought_about = |(q, _): &(usize, &[f32])| !self.standing.contains_key(q);
        let left: Vec<f32> = queries
            .enumerate()
            .filter(thought_about)
            .flat_map(|(_, row)| row)
            .copied()
            .collect();
        let mut found = self.searcher.search(&left, self.top)?.into_iter();
        let hits = (0..count).filter_map(|q| self.standing.remove(&q).or_else(|| found.next()));
        Ok(hits.collect())
    }
}

impl<D: Device> Gate for MarginGate<'_, D> {
    fn thinks(&mut self, asked: &[usize], rows: &[f32]) -> Result<Vec<bool>, GateError> {
        // The second best is looked at even where only the best is to be shown.
        let found = self.searcher.search(rows, self.top.max(2))?;
        let least = self.searcher.gate.unwrap_or(0.0);
        let mut thinks = Vec::with_capacity(asked.len());
        for (&query, mut hits) in asked.iter().zip(found) {
            let stands = margin(&hits) >= least;
            if stands {
                hits.truncate(self.top);
                self.standing.insert(query, hits);
            }
            thinks.push(!stands);
        }
        Ok(thinks)
    }
}
