//! What the forward kernels and the one by queries are told: blocks of query rows, and the keys that they
//! see.
//!
//! Neighbouring segments below the same root share blocks, so that the keys of their trunks are read once for all of
//! them.

use super::KEYS;
use super::runs::{Run, families, rows_of, runs, within};
use crate::ops::forest::Forest;
use bytemuck::{Pod, Zeroable};
use std::cmp::Reverse;
use std::ops::Range;

/// A block of rows, as in `kernels/attention.cuh`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Item {
    pub first: i32,
    pub rows: i32,
    pub run: i32,
    pub runs: i32,
    pub partial: i32,
}

/// Blocks of rows with everything that they see, or with a piece of it.
#[derive(Debug, Default)]
pub struct Blocks {
    /// Those with most keys first, so that no long one is left at the end.
    pub items: Vec<Item>,
    pub runs: Vec<Run>,
    /// Partial rows, and which of them are row `r`'s: `pieces[firsts[r]..firsts[r + 1]]`. Empty where a
    /// block sees all that its rows see.
    pub partial_rows: usize,
    pub firsts: Vec<i32>,
    pub pieces: Vec<i32>,
}

impl Blocks {
    /// Blocks of at most `most` rows that see all their keys.
    pub fn whole(forest: &Forest, group: usize, most: usize) -> Blocks {
        let mut blocks = Blocks::default();
        for family in families(forest) {
            let rows = rows_of(&family, group);
            for first in rows.clone().step_by(most) {
                let rows = first..rows.end.min(first + most);
                blocks.push(rows.clone(), runs(&family, group, rows), -1);
            }
        }
        blocks.longest_first();
        blocks
    }

    /// A block for every piece of every span and at most `most` rows that see it.
    pub fn split(forest: &Forest, group: usize, most: usize) -> Blocks {
        let mut blocks = Blocks::default();
        let mut pieces = vec![Vec::new(); forest.tokens() * group];
        for family in families(forest) {
            for run in runs(&family, group, rows_of(&family, group)) {
                for first in (run.first as usize..run.last as usize).step_by(most) {
                    let rows = first..(run.last as usize).min(first + most);
                    let run = within(&run, group, &rows);
                    for at in (0..run.keys).step_by(run.piece as usize) {
                        let piece = Run {
                            key: run.key + at,
                            keys: (run.keys - at).min(run.piece),
                            seen: run.seen - at,
                            ..run
                        };
                        let partial = blocks.partial_rows as i32;
                        for (i, row) in rows.clone().enumerate() {
                            pieces[row].push(partial + i as i32);
                        }
                        blocks.push(rows.clone(), vec![piece], partial);
                        blocks.partial_rows += rows.len();
                    }
                }
            }
        }
        blocks.firsts.push(0);
        for pieces in pieces {
            blocks.pieces.extend(pieces);
            blocks.firsts.push(blocks.pieces.len() as i32);
        }
        blocks.longest_first();
        blocks
    }

    fn push(&mut self, rows: Range<usize>, runs: Vec<Run>, partial: i32) {
        self.items.push(Item {
            first: rows.start as i32,
            rows: rows.len() as i32,
            run: self.runs.len() as i32,
            runs: runs.len() as i32,
            partial,
        });
        self.runs.extend(runs);
    }

    fn longest_first(&mut self) {
        let mut items = std::mem::take(&mut self.items);
        items.sort_by_key(|item| Reverse(self.tiles(item)));
        self.items = items;
    }

    fn tiles(&self, item: &Item) -> usize {
        let runs = &self.runs[item.run as usize..][..item.runs as usize];
        runs.iter()
            .map(|run| (run.keys as usize).div_ceil(KEYS))
            .sum()
    }

    /// Key tiles of the longest block and of all.
    pub fn work(&self) -> (usize, usize) {
        let longest = self.items.first().map_or(0, |item| self.tiles(item));
        (
            longest,
            self.items.iter().map(|item| self.tiles(item)).sum(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instructions, a query with two thoughts, a query with one, and a root of its own; two heads a
    /// group.
    fn forest() -> Forest {
        let below = [(3, Some(0)), (2, Some(1)), (1, Some(1)), (4, Some(0))];
        Forest::packed(&[&[(5, None)][..], &below, &[(600, None)]].concat())
    }

    /// Of a short trunk, or a segment's own.
    fn run([first, last, key, keys, seen, causal]: [i32; 6]) -> Run {
        let piece = if causal == 0 { 128 } else { 512 };
        bytemuck::cast([first, last, key, keys, seen, causal, piece])
    }

    #[test]
    fn siblings_share_a_block_and_its_trunks() {
        let blocks = Blocks::whole(&forest(), 2, 16);
        // Rows 10 to 30 are those below the instructions; the cut at 26 goes through the last segment.
        let item = blocks.items.iter().find(|item| item.first == 10).unwrap();
        assert_eq!((item.rows, item.runs, item.partial), (16, 6, -1));
        assert_eq!(
            blocks.runs[item.run as usize..][..6],
            [
                run([10, 26, 0, 5, 5, 0]),
                run([16, 22, 5, 3, 3, 0]),
                run([10, 16, 5, 3, 1, 1]),
                run([16, 20, 8, 2, 1, 1]),
                run([20, 22, 10, 1, 1, 1]),
                run([22, 26, 11, 2, 1, 1]),
            ]
        );
        let item = blocks.items.iter().find(|item| item.first == 26).unwrap();
        assert_eq!((item.rows, item.runs), (4, 2));
        assert_eq!(
            blocks.runs[item.run as usize..][..2],
            [run([26, 30, 0, 5, 5, 0]), run([26, 30, 11, 4, 3, 1])]
        );
        assert!(
            blocks
                .items
                .is_sorted_by_key(|item| Reverse(blocks.tiles(item)))
        );
        // The last 16 of 1,200 rows of the second root see 600 keys.
        assert_eq!(blocks.work().0, 10);
    }

    #[test]
    fn a_split_covers_what_whole_blocks_see() {
        let blocks = Blocks::split(&forest(), 2, 20);
        // Rows of the last root have two pieces from the block on in which a row sees two; those of tokens
        // 8 and 9, a thought, the instructions, the query and themselves.
        for (row, pieces) in [(1229, 2), (30, 1), (1048, 1), (1050, 2), (17, 3)] {
            let got = blocks.firsts[row + 1] - blocks.firsts[row];
            assert_eq!(got, pieces, "row {row}");
        }
        let total: i32 = blocks.items.iter().map(|item| item.rows).sum();
        assert_eq!(blocks.partial_rows, total as usize);
        for item in &blocks.items {
            let run = blocks.runs[item.run as usize];
            assert_eq!((run.first, run.last), (item.first, item.first + item.rows));
            assert!(run.keys <= run.piece);
        }
        // A block across the border of the first piece: some of its rows see nothing of the second.
        let later = blocks
            .runs
            .iter()
            .find(|r| r.key == 15 + 512 && r.seen <= 0);
        assert_eq!(later, Some(&run([1050, 1070, 527, 8, -1, 1])));
    }

    #[test]
    fn few_rows_share_a_trunk_among_blocks() {
        let below = [(1, Some(0)); 8];
        let blocks = Blocks::split(
            &Forest::packed(&[&[(320, None)][..], &below].concat()),
            8,
            64,
        );
        let of_trunk = |item: &&Item| blocks.runs[item.run as usize].causal == 0;
        let keys: Vec<(i32, i32)> = blocks
            .items
            .iter()
            .filter(of_trunk)
            .map(|item| (item.rows, blocks.runs[item.run as usize].keys))
            .collect();
        assert_eq!(keys, [(64, 128), (64, 128), (64, 64)]);
    }
}
