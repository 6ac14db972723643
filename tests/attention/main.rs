//! Attention of every device against its f64 reference.

#[path = "../common/mod.rs"]
mod common;

mod bounds;
mod cache;
mod cases;
mod errors;
mod sharing;

use bounds::{Bounds, bounds};
use cases::{Case, heads, parts};
use common::*;
use lrem::ops::attention::{Attention, Heads, KeysValues, reference};
use lrem::ops::forest::Forest;
use proptest::prelude::*;

/// Forward and backward of every device.
fn check(case: &Case) {
    let (want_out, want_lse) = case.reference();
    let gradients = case.reference_backward();
    let Bounds {
        out: out_error,
        lse: lse_error,
        dqueries,
        dkeys,
        dvalues,
    } = bounds(&case.heads, &case.forest, &case.wide());
    for device in devices() {
        let (out, lse) = case.forward(&device);
        assert_close("out", &out, &want_out, |i| out_error[i]);
        assert_close("lse", &lse, &want_lse, |i| lse_error[i]);
        let got = case.backward(&device, &out, &lse);
        assert_close("dqueries", &got[0], &gradients[0], |i| dqueries[i]);
        assert_close("dkeys", &got[1], &gradients[1], |i| dkeys[i]);
        assert_close("dvalues", &got[2], &gradients[2], |i| dvalues[i]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn agrees_with_the_reference(
        heads in heads(), parts in parts(), sharpness in 0.1f32..4.0, seed: u64,
    ) {
        check(&Case::new(heads, Forest::packed(&parts), sharpness, seed));
    }

    #[test]
    fn reference_gradients_are_those_of_the_output(
        group in 1usize..4, num_kv_heads in 1usize..3, head_dim in 1usize..5,
        parts in prop::collection::vec(1usize..4, 1..4), seed: u64,
    ) {
        let heads = Heads { num_heads: group * num_kv_heads, num_kv_heads, head_dim };
        // A chain, so that the last segment sees all the others.
        let chain = parts.iter().enumerate();
        let parts: Vec<_> = chain.map(|(i, &len)| (len, i.checked_sub(1))).collect();
        let case = Case::new(heads, Forest::packed(&parts), 1.0, seed);
        let [q, k, v, dout] = case.wide();
        let loss = |q: &[f64], k: &[f64], v: &[f64]| -> f64 {
            let out = reference::attention(&heads, &case.forest, q, k, v).0;
            out.iter().zip(&dout).map(|(a, b)| a * b).sum()
        };
        let [dq, dk, dv] = case.reference_backward();
        assert_gradient("dqueries", &q, &dq, |x| loss(x, &k, &v));
        assert_gradient("dkeys", &k, &dk, |x| loss(&q, x, &v));
        assert_gradient("dvalues", &v, &dv, |x| loss(&q, &k, x));
    }
}

#[test]
fn no_tokens() {
    let heads = Heads {
        num_heads: 2,
        num_kv_heads: 1,
        head_dim: 3,
    };
    check(&Case::new(heads, Forest::default(), 1.0, 0));
}

#[test]
fn more_heads_in_a_group_than_rows_in_a_block() {
    let heads = Heads {
        num_heads: 200,
        num_kv_heads: 2,
        head_dim: 5,
    };
    check(&Case::new(
        heads,
        Forest::packed(&[(3, None), (2, Some(0))]),
        1.0,
        1,
    ));
}

/// Scores around ±4,000 in a growing row: every tile raises the maximum.
#[test]
fn large_scores_do_not_overflow() {
    let heads = Heads {
        num_heads: 1,
        num_kv_heads: 1,
        head_dim: 4,
    };
    let mut case = Case::new(heads, Forest::packed(&[(300, None)]), 1.0, 2);
    case.queries.fill(8.0);
    for (i, key) in case.keys.chunks_exact_mut(4).enumerate() {
        key.fill(2.0 * i as f32 - 250.0);
    }
    check(&case);
}

#[test]
fn the_log_sum_of_exponentials_may_be_left_out() {
    let heads = Heads {
        num_heads: 6,
        num_kv_heads: 2,
        head_dim: 17,
    };
    let case = Case::new(heads, Forest::packed(&[(70, None), (9, Some(0))]), 1.0, 3);
    for device in devices() {
        let mut out = poisoned(case.queries.len());
        let (forest, qkv) = (&case.forest, case.qkv());
        device
            .attention(&heads, forest, &qkv, KeysValues::Packed, &mut out, None)
            .unwrap();
        assert_untouched("out", &out, case.queries.len());
        out.truncate(case.queries.len());
        assert_eq!(bits(&out), bits(&case.forward(&device).0));
    }
}

/// Products are f32 on every device, whatever precision it trains in.
#[test]
fn threads_and_precision_do_not_change_a_bit() {
    let heads = Heads {
        num_heads: 9,
        num_kv_heads: 3,
        head_dim: 20,
    };
    let parts = [
        (130, None),
        (1, Some(0)),
        (70, Some(0)),
        (33, Some(2)),
        (5, None),
    ];
    let case = Case::new(heads, Forest::packed(&parts), 1.0, 4);
    let results: Vec<_> = devices()
        .iter()
        .map(|device| {
            let result = same_on_one_thread(|| {
                let (out, lse) = case.forward(device);
                let [dq, dk, dv] = case.backward(device, &out, &lse);
                [out, lse, dq, dk, dv].map(|x| bits(&x))
            });
            (device.isa, result)
        })
        .collect();
    for pair in results.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        assert!(pair[0].1 == pair[1].1, "{:?}", pair[0].0);
    }
}
