//! Blocks of query rows, and the runs of them that see the same keys.
//!
//! Neighbouring segments below the same trunk share blocks, so that its keys are packed once for all of
//! their rows. A row meets its spans from the root down to its own, as it would alone.

use crate::device::cpu::parallel;
use crate::ops::forest::{Forest, Mask, Segment};
use std::ops::Range;

/// Most rows (tokens · heads of a group) of a block.
pub const BLOCK_ROWS: usize = 96;
/// Blocks that every thread should have, over all key heads.
const BLOCKS_PER_THREAD: usize = 4;

/// Neighbouring rows of a batch that a task computes.
#[derive(Debug, PartialEq, Eq)]
pub struct QueryBlock {
    /// Rows of the batch.
    pub rows: Range<usize>,
    /// Every row's spans in their order: a level of ancestors after the other, then its own.
    pub runs: Vec<Run>,
}

/// Rows of a block that see the same span of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Rows within the block.
    pub rows: Range<usize>,
    /// First key.
    pub start: usize,
    /// Keys that the first row sees.
    pub seen: usize,
    /// Whether every further row sees one more.
    pub causal: bool,
}

impl Run {
    /// Keys that the run's last row sees, the most of all.
    pub fn len(&self) -> usize {
        self.seen(self.rows.len() - 1)
    }

    /// Keys that row `i` of the run sees.
    pub fn seen(&self, i: usize) -> usize {
        self.seen + if self.causal { i } else { 0 }
    }
}

/// Cuts the rows of a forest into blocks; `group` heads share a key head, of which there are
/// `kv_heads`.
pub fn query_blocks(forest: &Forest, group: usize, kv_heads: usize) -> Vec<QueryBlock> {
    let enough = BLOCKS_PER_THREAD * parallel::threads();
    let share = (forest.tokens() * kv_heads).div_ceil(enough);
    cut(forest, (BLOCK_ROWS / group).min(share).max(1))
}

/// Blocks of at most `most` rows.
fn cut(forest: &Forest, most: usize) -> Vec<QueryBlock> {
    let mut blocks = Vec::new();
    // Rows of one segment each: the segment, first row within it, number of rows.
    let mut pieces: Vec<(&Segment, usize, usize)> = Vec::new();
    let mut held = 0;
    for segment in &forest.segments {
        let mut first = 0;
        while first < segment.rows.len() {
            let sibling = |p: &(&Segment, usize, usize)| {
                !p.0.ancestors.is_empty() && p.0.ancestors.first() == segment.ancestors.first()
            };
            if held == most || !pieces.last().is_none_or(sibling) {
                blocks.push(block(&pieces));
                pieces.clear();
                held = 0;
            }
            let count = (most - held).min(segment.rows.len() - first);
            pieces.push((segment, first, count));
            first += count;
            held += count;
        }
    }
    if !pieces.is_empty() {
        blocks.push(block(&pieces));
    }
    blocks
}

fn block(pieces: &[(&Segment, usize, usize)]) -> QueryBlock {
    let mut starts = Vec::with_capacity(pieces.len());
    let mut held = 0;
    for piece in pieces {
        starts.push(held);
        held += piece.2;
    }
    let mut runs: Vec<Run> = Vec::new();
    let levels = pieces.iter().map(|p| p.0.ancestors.len()).max();
    for level in 0..levels.unwrap_or(0) {
        let first_of_level = runs.len();
        for (&(segment, _, count), &start) in pieces.iter().zip(&starts) {
            let Some(span) = segment.ancestors.get(level) else {
                continue;
            };
            let joins =
                |run: &Run| (run.rows.end, run.start, run.seen) == (start, span.start, span.len);
            match runs[first_of_level..].last_mut().filter(|run| joins(run)) {
                Some(run) => run.rows.end += count,
                None => runs.push(Run {
                    rows: start..start + count,
                    start: span.start,
                    seen: span.len,
                    causal: false,
                }),
            }
        }
    }
    for (&(segment, first, count), &start) in pieces.iter().zip(&starts) {
        if segment.mask != Mask::Ancestors {
            runs.push(Run {
                rows: start..start + count,
                start: segment.own.start,
                seen: segment.own_visible(first),
                causal: segment.mask == Mask::Causal,
            });
        }
    }
    let (segment, first, _) = pieces[0];
    let row = segment.rows.start + first;
    QueryBlock {
        rows: row..row + held,
        runs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_share_a_block_and_its_trunks() {
        // Instructions (0), two queries (1, 2), two thoughts below the first and one below the other,
        // then a root of its own.
        let parts = [
            (5, None),
            (3, Some(0)),
            (2, Some(0)),
            (4, Some(1)),
            (1, Some(1)),
            (2, Some(2)),
            (3, None),
        ];
        let blocks = cut(&Forest::packed(&parts), 8);
        let run = |rows, start, seen, causal| Run {
            rows,
            start,
            seen,
            causal,
        };
        let rows: Vec<_> = blocks.iter().map(|b| b.rows.clone()).collect();
        assert_eq!(rows, [0..5, 5..13, 13..17, 17..20]);
        assert_eq!(
            blocks[1].runs,
            [
                run(0..8, 0, 5, false),
                run(5..8, 5, 3, false),
                run(0..3, 5, 1, true),
                run(3..5, 8, 1, true),
                run(5..8, 10, 1, true),
            ]
        );
        assert_eq!(
            blocks[2].runs,
            [
                run(0..4, 0, 5, false),
                run(0..2, 5, 3, false),
                run(2..4, 8, 2, false),
                run(0..1, 10, 4, true),
                run(1..2, 14, 1, true),
                run(2..4, 15, 1, true),
            ]
        );
        assert_eq!(blocks[3].runs, [run(0..3, 17, 1, true)]);
    }
}
