//! Exact top-k search on the CPU: a block of scores at a time, a bounded heap per query.
//!
//! Every query meets the items in their order, whatever the threads, so its hits are fixed.

use super::gemm::{PackedMatrix, View, gemm};
use super::{Cpu, Isa, Multiply, parallel, reduce};
use crate::device::{Result, at_least};
use crate::ops::top_k::*;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Range;

/// Queries and items of a block: 1 MiB of scores.
const QUERIES: usize = 256;
const ITEMS: usize = 1024;
/// Scores compared with the worst hit at once.
const GROUP: usize = 64;

impl TopK for Cpu {
    fn top_k(
        &self,
        queries: usize,
        hidden: usize,
        query_rows: &Vec<f32>,
        items: usize,
        item_rows: &Self::Packed,
        k: usize,
    ) -> Result<Vec<Vec<Scored>>> {
        at_least("top_k", "queries", query_rows.len(), queries * hidden)?;
        let mut best: Vec<Best> = (0..queries).map(|_| Best::new(k.min(items))).collect();
        if k == 0 || items == 0 {
            return Ok(vec![Vec::new(); queries]);
        }
        let mut scores = vec![0.0; queries.min(QUERIES) * items.min(ITEMS)];
        for (block, best) in best.chunks_mut(QUERIES).enumerate() {
            let (start, m) = (block * QUERIES * hidden, best.len());
            let x = &query_rows[start..start + m * hidden];
            for first in (0..items).step_by(ITEMS) {
                let range = first..(first + ITEMS).min(items);
                let scores = &mut scores[..m * range.len()];
                packed_rows(self.isa, item_rows, x, m, hidden, range.clone(), scores);
                let (scores, best) = (
                    parallel::Rows::new(scores, range.len()),
                    parallel::Rows::new(best, 1),
                );
                parallel::run(m, |i| {
                    best.take(i)[0].offer(self.isa, first, scores.take(i))
                });
            }
        }
        Ok(best.into_iter().map(Best::into_sorted).collect())
    }
}

/// `out[m, rows] = x[m, hidden] · packed[rows, hidden]ᵀ`.
fn packed_rows(
    isa: Isa,
    packed: &PackedMatrix,
    x: &[f32],
    m: usize,
    hidden: usize,
    rows: Range<usize>,
    out: &mut [f32],
) {
    let mut unpacked = vec![0.0; rows.len() * hidden];
    if hidden > 0 {
        let parts = parallel::Rows::new(&mut unpacked, hidden);
        parallel::run(rows.len(), |i| {
            packed.row_into(rows.start + i, parts.take(i))
        });
    }
    let items = View::new(&unpacked, rows.len(), hidden).t();
    let x = View::new(x, m, hidden);
    gemm(isa, Multiply::F32, x, items, out, rows.len(), false);
}

/// A hit ordered by how bad it is: the greatest is the lowest score, the highest index.
struct Worst(Scored);

impl Ord for Worst {
    fn cmp(&self, other: &Worst) -> Ordering {
        let by_score = other.0.score.total_cmp(&self.0.score);
        by_score.then(self.0.index.cmp(&other.0.index))
    }
}
impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Worst) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Worst {
    fn eq(&self, other: &Worst) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Worst {}

/// A query's best hits so far, at most `k`.
struct Best {
    k: usize,
    heap: BinaryHeap<Worst>,
}

impl Best {
    fn new(k: usize) -> Best {
        Best {
            k,
            heap: BinaryHeap::with_capacity(k),
        }
    }

    /// Takes in the scores of the items from `first` on, which come after all items seen so far.
    fn offer(&mut self, isa: Isa, first: usize, scores: &[f32]) {
        for (g, group) in scores.chunks(GROUP).enumerate() {
            // An equal score has a higher index than the worst hit, so it comes after it.
            if self.heap.len() == self.k && reduce::max(isa, group) <= self.worst() {
                continue;
            }
            for (i, &score) in group.iter().enumerate() {
                let hit = Scored {
                    index: (first + g * GROUP + i) as u32,
                    // −0 counts as 0.
                    score: score + 0.0,
                };
                if self.heap.len() < self.k {
                    self.heap.push(Worst(hit));
                } else if score > self.worst() {
                    *self.heap.peek_mut().expect("k > 0") = Worst(hit);
                }
            }
        }
    }

    fn worst(&self) -> f32 {
        self.heap.peek().map_or(f32::NEG_INFINITY, |w| w.0.score)
    }

    fn into_sorted(self) -> Vec<Scored> {
        let sorted = self.heap.into_sorted_vec();
        sorted.into_iter().map(|w| w.0).collect()
    }
}
