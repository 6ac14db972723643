//! A shared trunk is as good as a copy of it in every sequence, and no segment feels its neighbours.

use crate::bounds::bounds;
use crate::cases::{Case, heads, parts};
use crate::common::*;
use lrem::ops::forest::Forest;
use proptest::prelude::*;

/// Rows of a segment's ancestors, root first, and number of them.
fn prefix(forest: &Forest, segment: usize) -> Vec<usize> {
    let ancestors = &forest.segments[segment].ancestors;
    ancestors.iter().flat_map(|a| a.range()).collect()
}

/// The batch with every segment as a sequence of its own behind a copy of its prefix, and the row that
/// each of its rows is a copy of. Only a segment's own rows have an output gradient.
fn repeated(case: &Case) -> (Case, Vec<usize>) {
    let (mut rows, mut is_own, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for (i, segment) in case.forest.segments.iter().enumerate() {
        let prefix = prefix(&case.forest, i);
        is_own.extend(
            prefix
                .iter()
                .map(|_| false)
                .chain(segment.rows.clone().map(|_| true)),
        );
        lengths.push((prefix.len() + segment.rows.len(), None));
        rows.extend(prefix.into_iter().chain(segment.rows.clone()));
    }
    let mut flat = case.gather(Forest::packed(&lengths), &rows);
    for (row, is_own) in flat.dout.chunks_exact_mut(case.heads.q_dim()).zip(is_own) {
        if !is_own {
            row.fill(0.0);
        }
    }
    (flat, rows)
}

/// Sums of the rows that are copies of the same row.
fn summed(rows: &[usize], width: usize, x: &[f64], len: usize) -> Vec<f64> {
    let mut sums = vec![0.0; len];
    for (x, &row) in x.chunks_exact(width).zip(rows) {
        let sum = &mut sums[row * width..][..width];
        sum.iter_mut().zip(x).for_each(|(s, x)| *s += x);
    }
    sums
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn a_forest_is_its_sequences_with_repeated_prefixes(
        heads in heads(), parts in parts(), sharpness in 0.1f32..3.0, seed: u64,
    ) {
        let case = Case::new(heads, Forest::packed(&parts), sharpness, seed);
        let (flat, rows) = repeated(&case);
        let (q_dim, kv_dim) = (heads.q_dim(), heads.kv_dim());
        let limit = bounds(&heads, &case.forest, &case.wide());
        let flat_limit = bounds(&heads, &flat.forest, &flat.wide());
        let row_of = |i: usize, width: usize| rows[i / width] * width + i % width;
        let both = |a: &[f64], b: &[f64], width: usize| -> Vec<f64> {
            let b = summed(&rows, width, b, a.len());
            a.iter().zip(b).map(|(a, b)| a + b).collect()
        };
        let gradient_limits = [
            both(&limit.dqueries, &flat_limit.dqueries, q_dim),
            both(&limit.dkeys, &flat_limit.dkeys, kv_dim),
            both(&limit.dvalues, &flat_limit.dvalues, kv_dim),
        ];
        for device in devices() {
            let (out, lse) = case.forward(&device);
            let (flat_out, flat_lse) = flat.forward(&device);
            let shared = |x: &[f32], width: usize, len: usize| -> Vec<f64> {
                (0..len).map(|i| f64::from(x[row_of(i, width)])).collect()
            };
            assert_close("out", &flat_out, &shared(&out, q_dim, flat_out.len()), |i| {
                limit.out[row_of(i, q_dim)] + flat_limit.out[i]
            });
            let width = heads.num_heads;
            assert_close("lse", &flat_lse, &shared(&lse, width, flat_lse.len()), |i| {
                limit.lse[row_of(i, width)] + flat_limit.lse[i]
            });
            let got = case.backward(&device, &out, &lse);
            let copies = flat.backward(&device, &flat_out, &flat_lse);
            let widths = [("dqueries", q_dim), ("dkeys", kv_dim), ("dvalues", kv_dim)];
            for (i, (what, width)) in widths.into_iter().enumerate() {
                let want = summed(&rows, width, &wide(&copies[i]), got[i].len());
                assert_close(what, &got[i], &want, |l| gradient_limits[i][l]);
            }
        }
    }

    #[test]
    fn a_segment_does_not_feel_its_neighbours(
        heads in heads(), parts in parts(), index: prop::sample::Index, seed: u64,
    ) {
        let case = Case::new(heads, Forest::packed(&parts), 1.0, seed);
        let index = index.index(parts.len());
        let segment = &case.forest.segments[index];
        // The segment below its ancestors, and nothing else.
        let above = segment.ancestors.iter().map(|a| a.len);
        let chain: Vec<(usize, Option<usize>)> = above
            .chain([segment.rows.len()])
            .enumerate()
            .map(|(depth, len)| (len, depth.checked_sub(1)))
            .collect();
        let mut rows = prefix(&case.forest, index);
        let before = rows.len();
        rows.extend(segment.rows.clone());
        let alone = case.gather(Forest::packed(&chain), &rows);
        for device in devices() {
            let ((out, lse), (out_alone, lse_alone)) =
                (case.forward(&device), alone.forward(&device));
            let (q_dim, num_heads) = (heads.q_dim(), heads.num_heads);
            let start = segment.rows.start;
            prop_assert_eq!(
                bits(&out[start * q_dim..segment.rows.end * q_dim]),
                bits(&out_alone[before * q_dim..])
            );
            prop_assert_eq!(
                bits(&lse[start * num_heads..segment.rows.end * num_heads]),
                bits(&lse_alone[before * num_heads..])
            );
        }
    }
}
