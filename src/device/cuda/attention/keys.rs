//! What the kernel by keys is told: tiles of keys, and the rows that see them.

use super::KEYS;
use crate::ops::forest::{Forest, Mask};
use bytemuck::{Pod, Zeroable};
use std::cmp::Reverse;
use std::ops::Range;

/// A tile of keys, or a share of the visits to it, as in `kernels/attention.cuh`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct KeyItem {
    pub key: i32,
    pub keys: i32,
    pub visit: i32,
    pub visits: i32,
    pub partial: i32,
}

/// Rows that see a tile, as in `kernels/attention.cuh`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Visit {
    pub first: i32,
    pub rows: i32,
    pub seen: i32,
    pub causal: i32,
}

/// All tiles of a packed batch.
#[derive(Debug, Default)]
pub struct KeyTiles {
    /// Those with most visits first.
    pub items: Vec<KeyItem>,
    pub visits: Vec<Visit>,
    /// Tiles whose gradients are added up from `visits` slots, `partial` the first.
    pub folds: Vec<KeyItem>,
    pub slots: usize,
}

impl KeyTiles {
    /// Visits of at most `rows` rows, and at most `share` of them an item: rows of the tile's own
    /// segment, then of all below it, in order.
    pub fn new(forest: &Forest, group: usize, rows: usize, share: usize) -> KeyTiles {
        let mut tiles = KeyTiles::default();
        for (segment, below) in forest.segments.iter().zip(below(forest)) {
            for start in (0..segment.own.len).step_by(KEYS) {
                let keys = KEYS.min(segment.own.len - start);
                let first_visit = tiles.visits.len();
                let own = segment.rows.clone();
                let see = own.start + segment.first_to_see(start)..own.end;
                tiles.visit(see, group, rows, keys, segment.mask == Mask::Causal);
                for tokens in &below {
                    tiles.visit(tokens.clone(), group, rows, keys, false);
                }
                // Keys that no row sees have gradients too: zeros.
                if tiles.visits.len() == first_visit {
                    tiles.visits.push(Visit {
                        first: (own.start * group) as i32,
                        rows: 0,
                        seen: keys as i32,
                        causal: 0,
                    });
                }
                let count = tiles.visits.len() - first_visit;
                let whole = KeyItem {
                    key: (segment.own.start + start) as i32,
                    keys: keys as i32,
                    visit: first_visit as i32,
                    visits: count as i32,
                    partial: -1,
                };
                if count <= share {
                    tiles.items.push(whole);
                    continue;
                }
                let shares = count.div_ceil(share);
                tiles.folds.push(KeyItem {
                    visits: shares as i32,
                    partial: tiles.slots as i32,
                    ..whole
                });
                for i in 0..shares {
                    tiles.items.push(KeyItem {
                        visit: (first_visit + i * share) as i32,
                        visits: share.min(count - i * share) as i32,
                        partial: (tiles.slots + i) as i32,
                        ..whole
                    });
                }
                tiles.slots += shares;
            }
        }
        tiles.items.sort_by_key(|item| Reverse(item.visits));
        tiles
    }

    /// Visits of the rows of some tokens; where `causal`, the first of them sees the first key only.
    fn visit(
        &mut self,
        tokens: Range<usize>,
        group: usize,
        most: usize,
        keys: usize,
        causal: bool,
    ) {
        let rows = tokens.start * group..tokens.end * group;
        for first in rows.clone().step_by(most) {
            let seen = if causal {
                first / group - tokens.start + 1
            } else {
                keys
            };
            self.visits.push(Visit {
                first: first as i32,
                rows: (rows.end - first).min(most) as i32,
                seen: seen as i32,
                causal: i32::from(causal && seen < keys),
            });
        }
    }
}

/// For every segment the tokens of those that have it among their ancestors, neighbours joined.
fn below(forest: &Forest) -> Vec<Vec<Range<usize>>> {
    let mut below: Vec<Vec<Range<usize>>> = vec![Vec::new(); forest.segments.len()];
    for segment in &forest.segments {
        let mut up = segment.parent;
        while let Some(parent) = up {
            let ranges = &mut below[parent];
            match ranges.last_mut().filter(|r| r.end == segment.rows.start) {
                Some(range) => range.end = segment.rows.end,
                None => ranges.push(segment.rows.clone()),
            }
            up = forest.segments[parent].parent;
        }
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_is_visited_by_all_below_it_in_shares() {
        // Two heads a group. Segments 1 and 3 hang from 0, 2 from 1; 4 is a root.
        let parts = [
            (70, None),
            (9, Some(0)),
            (1, Some(1)),
            (20, Some(0)),
            (3, None),
        ];
        let tiles = KeyTiles::new(&Forest::packed(&parts), 2, 64, 2);
        let visit = |first, rows, seen, causal| Visit {
            first,
            rows,
            seen,
            causal,
        };
        // The first 64 keys: 140 rows of their own, then 60 below.
        assert_eq!(
            tiles.visits[..4],
            [
                visit(0, 64, 1, 1),
                visit(64, 64, 33, 1),
                visit(128, 12, 65, 0),
                visit(140, 60, 64, 0),
            ]
        );
        let fold = KeyItem {
            key: 0,
            keys: 64,
            visit: 0,
            visits: 2,
            partial: 0,
        };
        assert_eq!((&tiles.folds[..], tiles.slots), (&[fold][..], 2));
        let of_key = |key: i32| tiles.items.iter().filter(move |item| item.key == key);
        let shares: Vec<_> = of_key(0).map(|i| (i.visit, i.visits, i.partial)).collect();
        assert_eq!(shares, [(0, 2, 0), (2, 2, 1)]);
        // The other 6 keys are seen by 12 rows of their own and all below.
        let rest = of_key(64).next().unwrap();
        assert_eq!((rest.keys, rest.visits, rest.partial), (6, 2, -1));
        assert_eq!(
            tiles.visits[rest.visit as usize..][..2],
            [visit(128, 12, 1, 1), visit(140, 60, 6, 0)]
        );
        // Segment 1 is seen by itself and by segment 2, not by its sibling.
        let query = of_key(70).next().unwrap();
        assert_eq!(
            tiles.visits[query.visit as usize..][..query.visits as usize],
            [visit(140, 18, 1, 1), visit(158, 2, 9, 0)]
        );
        // The last root is seen by itself alone.
        let last = of_key(100).next().unwrap();
        assert_eq!((last.keys, last.visits), (3, 1));
    }
}
