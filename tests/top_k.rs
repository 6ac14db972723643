//! Top-k search of every device against its f64 reference.
//!
//! Small integers are exact in every precision, and tie often.

mod common;

use common::*;
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
    let mut longer = query_rows.clone();
    longer.push(f32::NAN);
    for device in devices() {
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
    }
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
    for device in devices() {
        let rows = vec![1.0; items * hidden];
        let packed = device
            .pack(&rows, items, hidden, WeightFormat::F32)
            .unwrap();
        // The second query scores −0 everywhere.
        let queries = vec![1.0, 1.0, 1.0, -0.0, -0.0, -0.0];
        for hits in device
            .top_k(2, hidden, &queries, items, &packed, 80)
            .unwrap()
        {
            assert!(hits.iter().map(|h| h.index).eq(0..80));
        }
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
    let device = &devices()[0];
    let packed = device.pack(&[1.0; 4], 2, 2, WeightFormat::F32).unwrap();
    let error = device
        .top_k(2, 2, &vec![0.0; 3], 2, &packed, 1)
        .unwrap_err();
    assert_eq!(error.to_string(), "top_k: queries has 3, expected 4");
}
