//! Top-k search of every device against its f64 reference.
//!
//! Small integers are exact in every precision, and tie often.

mod common;

use common::*;
use lrem::device::Memory;
use lrem::ops::linear::{Linear, WeightFormat};
use lrem::ops::philox::PhiloxStream;
use lrem::ops::top_k::{Scored, TopK, reference};
use proptest::prelude::*;

fn integers(seed: u64, stream: u64, len: usize, most: usize) -> Vec<f32> {
    let mut random = PhiloxStream::new(seed, stream);
    (0..len)
        .map(|_| random.below(2 * most + 1) as f32 - most as f32)
        .collect()
}

fn check(queries: usize, hidden: usize, items: usize, k: usize, most: usize, seed: u64) {
    let query_rows = integers(seed, 0, queries * hidden, most);
    let item_rows = integers(seed, 1, items * hidden, most);
    let want = reference::top_k(hidden, &wide(&query_rows), &wide(&item_rows), k);
    on_every_device!(|device| {
        let longer = floats(device, &query_rows);
        for format in [WeightFormat::F32, WeightFormat::Bf16] {
            let packed = device.pack(&item_rows, items, hidden, format).unwrap();
            let got = device
                .top_k(queries, hidden, &longer, items, &packed, k)
                .unwrap();
            let plain = |hits: &Vec<Scored>| -> Vec<(u32, f64)> {
                hits.iter().map(|h| (h.index, f64::from(h.score))).collect()
            };
            assert_eq!(got.iter().map(plain).collect::<Vec<_>>(), want);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn agrees_with_the_reference(
        queries in 0usize..12, hidden in 1usize..40, items in 0usize..300, k in 0usize..30,
        most in 1usize..6, seed: u64,
    ) {
        check(queries, hidden, items, k, most, seed);
    }

    #[test]
    fn k_beyond_the_items_gives_all(hidden in 1usize..9, items in 0usize..70, seed: u64) {
        check(3, hidden, items, 100, 2, seed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2))]
    #[test]
    fn agrees_over_several_blocks(
        queries in 255usize..300, items in 1020usize..2100, k in 1usize..100, seed: u64,
    ) {
        check(queries, 4, items, k, 3, seed);
    }
}

#[test]
fn equal_scores_come_in_the_order_of_their_index() {
    let (hidden, items) = (3, 1500);
    // The second query scores −0 everywhere.
    let queries = [1.0, 1.0, 1.0, -0.0, -0.0, -0.0];
    on_every_device!(|device| {
        let rows = vec![1.0; items * hidden];
        let packed = device
            .pack(&rows, items, hidden, WeightFormat::F32)
            .unwrap();
        let queries = floats(device, &queries);
        for hits in device
            .top_k(2, hidden, &queries, items, &packed, 80)
            .unwrap()
        {
            assert!(hits.iter().map(|h| h.index).eq(0..80));
        }
    });
}

/// More hits than a block of the GPU sorts at once.
#[test]
fn many_hits_come_in_order() {
    check(3, 8, 2600, 2500, 4, 17);
}

/// Scores of quantised items are those of the numbers that the format keeps.
#[test]
fn quantised_items_score_as_they_are_kept() {
    let sizes = [(5, 64), (70, 96), (20, 37)];
    let formats = [WeightFormat::Int8, WeightFormat::Int4];
    for ((queries, hidden), format) in sizes.iter().flat_map(|s| formats.map(|f| (*s, f))) {
        let items = 500;
        let (query_rows, item_rows) = (
            normals(3, 0, queries * hidden),
            normals(3, 1, items * hidden),
        );
        let host = &devices()[0];
        let kept = host.pack(&item_rows, items, hidden, format).unwrap();
        let mut rows = vec![0.0; items * hidden];
        for (i, row) in rows.chunks_exact_mut(hidden).enumerate() {
            kept.row_into(i, row);
        }
        let want = reference::top_k(hidden, &wide(&query_rows), &wide(&rows), items);
        on_each_device!(|device| {
            let packed = device.pack(&item_rows, items, hidden, format).unwrap();
            let query_rows = floats(device, &query_rows);
            let hits = device
                .top_k(queries, hidden, &query_rows, items, &packed, 40)
                .unwrap();
            for (hits, want) in hits.iter().zip(&want) {
                for (hit, best) in hits.iter().zip(want) {
                    let score = want
                        .iter()
                        .find(|(index, _)| *index == hit.index)
                        .unwrap()
                        .1;
                    let limit = 1e-4 * (1.0 + score.abs());
                    assert!(
                        (f64::from(hit.score) - score).abs() < limit,
                        "{hit:?} {score}"
                    );
                    // Neighbours in the order may change places where they are that close.
                    assert!((score - best.1).abs() < 2.0 * limit, "{hit:?} {best:?}");
                }
            }
            hits
        });
    }
}

#[test]
fn the_threads_do_not_change_a_bit() {
    let (queries, hidden, items) = (40, 24, 3000);
    let (query_rows, item_rows) = (
        normals(1, 0, queries * hidden),
        normals(1, 1, items * hidden),
    );
    for device in devices() {
        let packed = device
            .pack(&item_rows, items, hidden, WeightFormat::Int8)
            .unwrap();
        let search = || {
            device
                .top_k(queries, hidden, &query_rows, items, &packed, 10)
                .unwrap()
        };
        same_on_one_thread(search);
    }
}

#[test]
fn too_few_queries_are_an_error() {
    on_every_device!(|device| {
        let packed = device.pack(&[1.0; 4], 2, 2, WeightFormat::F32).unwrap();
        let queries = device.zeros(3).unwrap();
        let error = device.top_k(2, 2, &queries, 2, &packed, 1).unwrap_err();
        assert_eq!(error.to_string(), "top_k: queries has 3, expected 4");
    });
}

/// Two threads launch the same instance with different amounts of shared memory.
#[test]
fn threads_search_at_once() {
    let Some(device) = gpu_f32() else { return };
    let search = |k: usize| {
        let (hidden, items) = (2, 300);
        let queries = integers(k as u64, 0, 3 * hidden, 2);
        let rows = integers(k as u64, 1, items * hidden, 2);
        let want = reference::top_k(hidden, &wide(&queries), &wide(&rows), k);
        let packed = device
            .pack(&rows, items, hidden, WeightFormat::F32)
            .unwrap();
        let queries = floats(device, &queries);
        for _ in 0..50 {
            let got = device
                .top_k(3, hidden, &queries, items, &packed, k)
                .unwrap();
            for (got, want) in got.iter().zip(&want) {
                assert!(got.iter().map(|h| h.index).eq(want.iter().map(|h| h.0)));
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| search(1));
        scope.spawn(|| search(200));
    });
}
