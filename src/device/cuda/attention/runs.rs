//! What rows of a batch see: runs of rows with a span of keys, a level of the forest after the other.
//!
//! A row is a token and a query head of a group, numbered `token · group + head`: all rows of a key head
//! are one matrix.

use crate::ops::forest::{Forest, Mask, Segment};
use bytemuck::{Pod, Zeroable};
use std::ops::Range;

/// Keys of a span's piece at most.
const PIECE: usize = 512;
/// Keys of it at least, and pieces that suffice for the blocks of a few rows.
const LEAST_PIECE: usize = 128;
const PIECES: usize = 8;

/// Rows that see the same span of keys, as in `kernels/attention.cuh`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Run {
    pub first: i32,
    pub last: i32,
    pub key: i32,
    pub keys: i32,
    pub seen: i32,
    pub causal: i32,
    pub piece: i32,
}

/// Keys of a piece of a trunk, a matter of its length alone, as bits are. Where few rows see it, as in decoding, its
/// pieces are all the blocks that there are.
fn trunk_piece(len: usize) -> usize {
    let even = len.div_ceil(PIECES).next_power_of_two();
    even.clamp(LEAST_PIECE, PIECE)
}

/// Neighbouring segments with rows that have the same root above them.
pub fn families(forest: &Forest) -> Vec<Vec<&Segment>> {
    let mut families: Vec<Vec<&Segment>> = Vec::new();
    for segment in forest.segments.iter().filter(|s| !s.rows.is_empty()) {
        let root = segment.ancestors.first();
        match families.last_mut() {
            Some(family) if root.is_some() && family[0].ancestors.first() == root => {
                family.push(segment);
            }
            _ => families.push(vec![segment]),
        }
    }
    families
}

/// Rows of a family, which has at least one.
pub fn rows_of(family: &[&Segment], group: usize) -> Range<usize> {
    family[0].rows.start * group..family[family.len() - 1].rows.end * group
}

/// What `rows` of a family see: the ancestors' spans, a level after the other, then their own.
pub fn runs(family: &[&Segment], group: usize, rows: Range<usize>) -> Vec<Run> {
    let parts: Vec<(&Segment, Range<usize>)> = family
        .iter()
        .map(|s| {
            let start = rows.start.max(s.rows.start * group);
            (*s, start..rows.end.min(s.rows.end * group))
        })
        .filter(|(_, rows)| !rows.is_empty())
        .collect();
    let levels = parts.iter().map(|(s, _)| s.ancestors.len()).max();
    let mut runs: Vec<Run> = Vec::new();
    for level in 0..levels.unwrap_or(0) {
        let first_of_level = runs.len();
        for (segment, rows) in &parts {
            let Some(span) = segment.ancestors.get(level) else {
                continue;
            };
            let run = Run {
                first: rows.start as i32,
                last: rows.end as i32,
                key: span.start as i32,
                keys: span.len as i32,
                seen: span.len as i32,
                causal: 0,
                piece: trunk_piece(span.len) as i32,
            };
            let joins = |before: &Run| {
                (before.last, before.key, before.keys) == (run.first, run.key, run.keys)
            };
            match runs[first_of_level..].last_mut().filter(|r| joins(r)) {
                Some(before) => before.last = run.last,
                None => runs.push(run),
            }
        }
    }
    // A trunk may have no keys.
    runs.retain(|run| run.keys > 0);
    for (segment, rows) in &parts {
        if segment.mask == Mask::Ancestors {
            continue;
        }
        let own = Run {
            first: (segment.rows.start * group) as i32,
            last: (segment.rows.end * group) as i32,
            key: segment.own.start as i32,
            keys: segment.own.len as i32,
            seen: segment.own_visible(0) as i32,
            causal: i32::from(segment.mask == Mask::Causal),
            // A row's own span has another length in prefill than in decoding.
            piece: PIECE as i32,
        };
        runs.push(within(&own, group, rows));
    }
    runs
}

/// A run's part for some of its rows.
pub fn within(run: &Run, group: usize, rows: &Range<usize>) -> Run {
    let (first, last) = (rows.start as i32, rows.end as i32);
    if run.causal == 0 {
        return Run {
            first,
            last,
            ..*run
        };
    }
    let token = |row: i32| row / group as i32;
    let seen_by = |row: i32| run.seen + token(row) - token(run.first);
    Run {
        first,
        last,
        keys: seen_by(last - 1),
        seen: seen_by(first),
        ..*run
    }
}

#[cfg(test)]
mod tests {
    use super::trunk_piece;

    #[test]
    fn a_longer_trunk_has_longer_pieces_up_to_those_of_a_segments_own_span() {
        let lengths = [1, 1024, 1025, 2048, 2049, 100_000];
        assert_eq!(lengths.map(trunk_piece), [128, 128, 256, 256, 512, 512]);
    }
}
