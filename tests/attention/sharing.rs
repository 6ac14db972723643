//! A shared trunk is as good as a copy of it in every sequence, and no segment feels its neighbours.

use crate::cases::{Case, MOST_WORK, heads, parts, tensor_core_heads};
use crate::common::*;
use lrem::device::Real;
use lrem::ops::attention::Attention;
use lrem::ops::forest::Forest;
use lrem::workbench::contracts::attention_bounds::bounds;
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

/// Asserts that forward and backward of `flat`, whose rows are copies of `rows` of `case`, give the same;
/// bits of the output.
fn same_as_repeated<D: Attention>(
    device: &D,
    case: &Case,
    flat: &Case,
    rows: &[usize],
) -> Vec<u32> {
    let heads = case.heads;
    let (q_dim, kv_dim) = (heads.q_dim(), heads.kv_dim());
    let rounding = D::Real::ROUNDING;
    let limit = bounds(&heads, &case.forest, &case.wide(), rounding);
    let flat_limit = bounds(&heads, &flat.forest, &flat.wide(), rounding);
    let row_of = |i: usize, width: usize| rows[i / width] * width + i % width;

    let (out, lse) = case.forward(device);
    let (flat_out, flat_lse) = flat.forward(device);
    let shared = |x: &[f32], width: usize, len: usize| -> Vec<f64> {
        (0..len).map(|i| f64::from(x[row_of(i, width)])).collect()
    };
    let want = shared(&out, q_dim, flat_out.len());
    assert_close("out", &flat_out, &want, |i| {
        let exact = limit.out[row_of(i, q_dim)] + flat_limit.out[i];
        exact + 2.0 * D::Real::rounding(want[i].abs() + exact)
    });
    let width = heads.num_heads;
    assert_close(
        "lse",
        &flat_lse,
        &shared(&lse, width, flat_lse.len()),
        |i| limit.lse[row_of(i, width)] + flat_limit.lse[i],
    );

    let got = case.backward(device, &out, &lse);
    let copies = flat.backward(device, &flat_out, &flat_lse);
    let limits = [
        (&limit.dqueries, &flat_limit.dqueries),
        (&limit.dkeys, &flat_limit.dkeys),
        (&limit.dvalues, &flat_limit.dvalues),
    ];
    let names = [("dqueries", q_dim), ("dkeys", kv_dim), ("dvalues", kv_dim)];
    for (i, (what, width)) in names.into_iter().enumerate() {
        let len = got[i].len();
        let want = summed(rows, width, &wide(&copies[i]), len);
        // Each copy was rounded for itself.
        let sizes = summed(rows, width, &magnitudes(&copies[i]), len);
        let flat_limits = summed(rows, width, limits[i].1, len);
        assert_close(what, &got[i], &want, |l| {
            let exact = limits[i].0[l] + flat_limits[l];
            exact + rounding * (want[l].abs() + sizes[l] + exact)
        });
    }
    bits(&out)
}

/// Asserts that a segment below its ancestors, and nothing else, gives the bits that it gives in `case`;
/// these.
fn alone_as_among_neighbours<D: Attention>(device: &D, case: &Case, index: usize) -> Vec<u32> {
    let segment = &case.forest.segments[index];
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
    let (among, alone) = (case.forward(device), alone.forward(device));
    let (q_dim, num_heads) = (case.heads.q_dim(), case.heads.num_heads);
    for (x, y, width) in [(&among.0, &alone.0, q_dim), (&among.1, &alone.1, num_heads)] {
        assert_eq!(
            bits(&x[segment.rows.start * width..segment.rows.end * width]),
            bits(&y[before * width..])
        );
    }
    bits(&alone.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn a_forest_is_its_sequences_with_repeated_prefixes(
        heads in heads(), parts in parts(), sharpness in 0.1f32..3.0, seed: u64,
    ) {
        let case = Case::new(heads, Forest::packed(&parts), sharpness, seed);
        let (flat, rows) = repeated(&case);
        for device in devices() {
            same_as_repeated(&device, &case, &flat, &rows);
        }
        if flat.work() <= MOST_WORK {
            on_gpus!(|device| same_as_repeated(device, &case, &flat, &rows));
        }
    }

    #[test]
    fn on_tensor_cores_too(
        heads in tensor_core_heads(), parts in parts(), sharpness in 0.1f32..3.0, seed: u64,
    ) {
        let case = Case::new(heads, Forest::packed(&parts), sharpness, seed);
        let (flat, rows) = repeated(&case);
        if let Some(device) = gpu_bf16().filter(|_| flat.work() <= 4 * MOST_WORK) {
            same_as_repeated(device, &case, &flat, &rows);
            let last = case.forest.segments.len() - 1;
            alone_as_among_neighbours(device, &case, last);
        }
    }

    #[test]
    fn a_segment_does_not_feel_its_neighbours(
        heads in heads(), parts in parts(), index: prop::sample::Index, seed: u64,
    ) {
        let case = Case::new(heads, Forest::packed(&parts), 1.0, seed);
        let index = index.index(parts.len());
        for device in devices() {
            alone_as_among_neighbours(&device, &case, index);
        }
        if case.work() <= MOST_WORK {
            on_gpus!(|device| alone_as_among_neighbours(device, &case, index));
        }
    }
}
