//! InfoNCE of every device against its f64 reference.

#[path = "../common/mod.rs"]
mod common;

mod batches;

use common::*;
use lrem::ops::info_nce::{InfoNce, InfoNceBatch, InfoNceOutput, reference};
use lrem::ops::philox::PhiloxStream;
use proptest::prelude::*;

const ULP: f64 = f32::EPSILON as f64;

struct Case {
    batch: InfoNceBatch,
    queries: Vec<f32>,
    items: Vec<f32>,
    coefficients: Vec<f32>,
}

impl Case {
    /// Rows of very different lengths, some of them zero, and a few masks.
    fn new(queries: usize, items: usize, hidden: usize, temperature: f32, seed: u64) -> Case {
        let mut random = PhiloxStream::new(seed, 0);
        let mut rows = |stream: u64, rows: usize| {
            let mut x = normals(seed, stream, rows * hidden);
            for row in x.chunks_exact_mut(hidden) {
                let scale = [0.0, 1.0, 1.0, 1e-3, 1e3][random.below(5)];
                row.iter_mut().for_each(|v| *v *= scale);
            }
            x
        };
        let (query_rows, item_rows) = (rows(1, queries), rows(2, items));
        let targets: Vec<u32> = (0..queries).map(|_| random.below(items) as u32).collect();
        let (mut mask_offsets, mut masked) = (Vec::new(), Vec::new());
        if random.below(4) > 0 {
            mask_offsets.push(0);
            for &target in &targets {
                masked.extend((0..items as u32).filter(|&j| j != target && random.below(6) == 0));
                mask_offsets.push(masked.len() as u32);
            }
        }
        Case {
            batch: InfoNceBatch {
                queries,
                items,
                hidden,
                temperature,
                targets,
                mask_offsets,
                masked,
            },
            queries: query_rows,
            items: item_rows,
            coefficients: normals(seed, 3, queries),
        }
    }

    fn forward<D: InfoNce>(&self, device: &D) -> InfoNceOutput<D> {
        let (queries, items) = (floats(device, &self.queries), floats(device, &self.items));
        device.info_nce(&self.batch, &queries, &items).unwrap()
    }

    fn backward<D: InfoNce>(&self, device: &D, output: &InfoNceOutput<D>) -> [Vec<f32>; 2] {
        let sizes = [self.queries.len(), self.items.len()];
        let [mut dqueries, mut ditems] = sizes.map(|len| poisoned_floats(device, len));
        let (queries, items) = (floats(device, &self.queries), floats(device, &self.items));
        device
            .info_nce_backward(
                &self.batch,
                &queries,
                &items,
                output,
                &self.coefficients,
                &mut dqueries,
                &mut ditems,
            )
            .unwrap();
        [
            read_floats(device, "dqueries", &dqueries, sizes[0]),
            read_floats(device, "ditems", &ditems, sizes[1]),
        ]
    }
}

/// An output on the host.
struct Read {
    loss: Vec<f32>,
    lse: Vec<f32>,
    rank: Vec<u32>,
    inverse_query_norm: Vec<f32>,
    inverse_item_norm: Vec<f32>,
}

fn read<D: InfoNce>(device: &D, batch: &InfoNceBatch, output: &InfoNceOutput<D>) -> Read {
    let floats = |x: &D::Buffer<f32>, len: usize| device.download(x, len).unwrap();
    Read {
        loss: floats(&output.loss, batch.queries),
        lse: floats(&output.lse, batch.queries),
        rank: device.download(&output.rank, batch.queries).unwrap(),
        inverse_query_norm: floats(&output.inverse_query_norm, batch.queries),
        inverse_item_norm: floats(&output.inverse_item_norm, batch.items),
    }
}

fn check(case: &Case) {
    let InfoNceBatch {
        queries,
        items,
        hidden,
        temperature,
        ..
    } = case.batch;
    let (q, d) = (wide(&case.queries), wide(&case.items));
    let want = reference::info_nce(&case.batch, &q, &d);
    let scores = reference::scores(&case.batch, &q, &d);
    let (dq, dd) = reference::info_nce_backward(&case.batch, &q, &d, &wide(&case.coefficients));
    // Cosines of unit rows: the roundings of the rows and of a sum of `hidden` products.
    let cosine_error = (hidden as f64 + 4.0) * ULP;
    let temperature = f64::from(temperature);
    let error = 2.0 * cosine_error / temperature + 16.0 * ULP;
    on_each_device!(|device| {
        let output = case.forward(device);
        let got = read(device, &case.batch, &output);
        assert_close("loss", &got.loss, &want.loss, |i| {
            error + ULP * want.loss[i]
        });
        assert_close("lse", &got.lse, &want.lse, |i| {
            error + ULP * want.lse[i].abs()
        });
        for (i, row) in scores.iter().enumerate() {
            let target = row[case.batch.targets[i] as usize];
            let above = |limit: f64| 1 + row.iter().filter(|s| **s > limit).count() as u32;
            let (low, high) = (above(target + error), above(target - error));
            assert!(
                (low..=high).contains(&got.rank[i]),
                "rank {} of {low}..={high}",
                got.rank[i]
            );
        }

        let [got_dq, got_dd] = case.backward(device, &output);
        // |softmax − onehot| sums to at most 2; each is off by its score, lse and factor; then the
        // projection doubles it, and the sum over rows or items adds its roundings.
        let relative = 4.0 * error + (queries.max(items) as f64 + 8.0) * ULP;
        let row = |i: usize| 2.0 * f64::from(case.coefficients[i].abs()) / temperature;
        let inverse = |x: &[f32]| f64::from(x.iter().fold(0.0f32, |a, &v| a.max(v)));
        let total: f64 = (0..queries).map(row).sum();
        let query_norms = &got.inverse_query_norm;
        assert_close("dqueries", &got_dq, &dq, |l| {
            2.0 * relative * row(l / hidden) * f64::from(query_norms[l / hidden])
        });
        let limit = 2.0 * relative * total * inverse(&got.inverse_item_norm);
        assert_close("ditems", &got_dd, &dd, |_| limit);
        let floats = [got.loss, got.lse, got_dq, got_dd].map(|x| bits(&x));
        (floats, got.rank)
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn agrees_with_the_reference(
        queries in 0usize..30, items in 1usize..60, hidden in 1usize..40,
        temperature in 0.02f32..1.0, seed: u64,
    ) {
        check(&Case::new(queries, items, hidden, temperature, seed));
    }

    #[test]
    fn reference_gradients_are_those_of_the_loss(
        queries in 1usize..5, items in 1usize..7, hidden in 2usize..5, seed: u64,
    ) {
        let mut case = Case::new(queries, items, hidden, 0.5, seed);
        // Differences need rows of a length far above the step.
        case.queries = normals(seed, 1, queries * hidden).iter().map(|v| v + 3.0).collect();
        case.items = normals(seed, 2, items * hidden).iter().map(|v| v - 3.0).collect();
        let (q, d) = (wide(&case.queries), wide(&case.items));
        let coefficients = wide(&case.coefficients);
        let loss = |q: &[f64], d: &[f64]| -> f64 {
            let loss = reference::info_nce(&case.batch, q, d).loss;
            loss.iter().zip(&coefficients).map(|(a, b)| a * b).sum()
        };
        let (dq, dd) = reference::info_nce_backward(&case.batch, &q, &d, &coefficients);
        assert_gradient("dqueries", &q, &dq, |x| loss(x, &d));
        assert_gradient("ditems", &d, &dd, |x| loss(&q, x));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2))]
    #[test]
    fn agrees_over_several_strips(queries in 257usize..520, items in 1usize..50, seed: u64) {
        check(&Case::new(queries, items, 7, 0.05, seed));
    }
}

#[test]
fn zero_rows_have_zero_gradients() {
    let batch = InfoNceBatch {
        queries: 2,
        items: 2,
        hidden: 3,
        temperature: 0.1,
        targets: vec![0, 1],
        ..InfoNceBatch::default()
    };
    let case = Case {
        batch,
        queries: vec![0.0, 0.0, 0.0, 1.0, 2.0, 3.0],
        items: vec![1.0, -1.0, 0.5, 0.0, 0.0, 0.0],
        coefficients: vec![1.0, 1.0],
    };
    on_each_device!(|device| {
        let output = case.forward(device);
        let got = read(device, &case.batch, &output);
        assert_eq!(got.inverse_query_norm[0], 0.0);
        let [dqueries, ditems] = case.backward(device, &output);
        assert_eq!(dqueries[..3], [0.0; 3]);
        assert_eq!(ditems[3..6], [0.0; 3]);
        assert!(dqueries[3..6].iter().all(|v| v.is_finite()));
    });
}

#[test]
fn copies_of_the_target_do_not_outrank_it() {
    for (items, hidden) in [(1, 5), (37, 19), (130, 64)] {
        let mut case = Case::new(9, items, hidden, 0.05, 3);
        let row = normals(5, 0, hidden);
        case.items = row.repeat(items);
        on_every_device!(|device| {
            let output = case.forward(device);
            assert_eq!(read(device, &case.batch, &output).rank, [1; 9]);
        });
    }
}

/// Items beyond one slice of the GPU's forward, queries beyond one of its tiles, of either size.
#[test]
fn agrees_over_several_slices() {
    let batches = [
        (70, 600, 32),
        (65, 300, 7),
        (1, 257, 64),
        (9, 4000, 8),
        (520, 500, 8),
        (1500, 1400, 4),
    ];
    for (queries, items, hidden) in batches {
        check(&Case::new(queries, items, hidden, 0.05, 21));
    }
}

/// Lengths whose squares f32 cannot hold.
#[test]
fn tiny_rows_have_directions() {
    let batch = InfoNceBatch {
        queries: 1,
        items: 2,
        hidden: 2,
        temperature: 1.0,
        targets: vec![0],
        ..InfoNceBatch::default()
    };
    let case = Case {
        batch,
        queries: vec![1e-30, 0.0],
        items: vec![2e-30, 0.0, 0.0, 3e-30],
        coefficients: vec![1.0],
    };
    let want = (1.0f32 + (-1.0f32).exp()).ln();
    on_each_device!(|device| {
        let output = case.forward(device);
        let got = read(device, &case.batch, &output);
        assert!((got.loss[0] - want).abs() < 1e-6, "{}", got.loss[0]);
    });
}

#[test]
fn the_threads_do_not_change_a_bit() {
    let case = Case::new(300, 77, 21, 0.02, 11);
    for device in devices() {
        same_on_one_thread(|| {
            let output = case.forward(&device);
            let [dqueries, ditems] = case.backward(&device, &output);
            (
                [output.loss, output.lse, dqueries, ditems].map(|x| bits(&x)),
                output.rank,
            )
        });
    }
}
