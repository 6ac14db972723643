//! Attention of every device against its f64 reference.

#[path = "../common/mod.rs"]
mod common;

mod cache;
mod cases;
mod errors;
mod hopper;
mod sharing;

use cases::{Case, MOST_WORK, forest, heads, masks, parts, tensor_core_heads};
use common::*;
use lrem::device::Real;
use lrem::ops::attention::{Attention, Heads, KeysValues, reference};
use lrem::ops::forest::{Forest, Mask};
use lrem::workbench::contracts::attention_bounds::bounds;
use proptest::prelude::*;

/// What a device has to give.
struct Wanted {
    forward: (Vec<f64>, Vec<f64>),
    backward: [Vec<f64>; 3],
}

impl Wanted {
    fn of(case: &Case) -> Wanted {
        Wanted {
            forward: case.reference(),
            backward: case.reference_backward(),
        }
    }

    /// Compares forward and backward of a device; the results.
    fn check<D: Attention>(&self, device: &D, case: &Case) -> [Vec<u32>; 5] {
        let limit = bounds(&case.heads, &case.forest, &case.wide(), D::Real::ROUNDING);
        let (out, lse) = case.forward(device);
        assert_close_reals(device, "out", &out, &self.forward.0, |i| limit.out[i]);
        assert_close("lse", &lse, &self.forward.1, |i| limit.lse[i]);
        let got = case.backward(device, &out, &lse);
        let limits = [limit.dqueries, limit.dkeys, limit.dvalues];
        for (i, what) in ["dqueries", "dkeys", "dvalues"].into_iter().enumerate() {
            assert_close_reals(device, what, &got[i], &self.backward[i], |l| limits[i][l]);
        }
        let [dq, dk, dv] = got;
        [out, lse, dq, dk, dv].map(|x| bits(&x))
    }
}

/// Forward and backward of every device.
fn check(case: &Case) {
    let wanted = Wanted::of(case);
    for device in devices() {
        wanted.check(&device, case);
    }
    if case.work() <= MOST_WORK {
        on_gpus!(|device| wanted.check(device, case));
    }
}

/// Forward and backward of the GPU in bf16.
fn check_bf16(case: &Case) {
    if let Some(device) = gpu_bf16() {
        let wanted = Wanted::of(case);
        let first = wanted.check(device, case);
        assert!(first == wanted.check(device, case), "two runs differ");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn agrees_with_the_reference(
        heads in heads(), parts in parts(), masks in masks(), sharpness in 0.1f32..4.0, seed: u64,
    ) {
        check(&Case::new(heads, forest(&parts, &masks), sharpness, seed));
    }

    #[test]
    fn tensor_cores_agree_with_the_reference(
        heads in tensor_core_heads(), parts in parts(), masks in masks(), sharpness in 0.1f32..4.0,
        seed: u64,
    ) {
        let case = Case::new(heads, forest(&parts, &masks), sharpness, seed);
        if case.work() <= 4 * MOST_WORK {
            check_bf16(&case);
        }
    }

    #[test]
    fn reference_gradients_are_those_of_the_output(
        group in 1usize..4, num_kv_heads in 1usize..3, head_dim in 1usize..5,
        parts in prop::collection::vec(1usize..4, 1..4), masks in masks(), seed: u64,
    ) {
        let heads = Heads { num_heads: group * num_kv_heads, num_kv_heads, head_dim };
        // A chain, so that the last segment sees all the others.
        let chain = parts.iter().enumerate();
        let parts: Vec<_> = chain.map(|(i, &len)| (len, i.checked_sub(1))).collect();
        let case = Case::new(heads, forest(&parts, &masks), 1.0, seed);
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
        without_lse(&device, &case);
    }
    on_gpus!(|device| without_lse(device, &case));
}

fn without_lse<D: Attention>(device: &D, case: &Case) -> Vec<u32> {
    let len = case.queries.len();
    let (qkv, mut out) = (reals(device, &case.qkv()), poisoned_reals(device, len));
    let (heads, kv) = (&case.heads, KeysValues::Packed);
    device
        .attention(heads, &case.forest, &qkv, kv, &mut out, None)
        .unwrap();
    let out = bits(&read_reals(device, "out", &out, len));
    assert_eq!(out, bits(&case.forward(device).0));
    out
}

/// Latents that tokens read, and nothing else: spans of several pieces and tiles that no row sees.
#[test]
fn across_to_a_trunk() {
    for (head_dim, latents) in [(64, 512), (128, 70), (17, 5)] {
        let heads = Heads {
            num_heads: 3,
            num_kv_heads: 1,
            head_dim,
        };
        let parts = [(latents, None), (40, Some(0)), (1, Some(0)), (130, Some(0))];
        let forest = forest(&parts, &[Mask::Ancestors; 4]);
        let case = Case::new(heads, forest, 1.0, 9);
        check(&case);
        check_bf16(&case);
    }
}

/// Fewer and more rows than a block has, and a span of several pieces, for every instance.
#[test]
fn long_spans_and_whole_blocks() {
    for head_dim in [64, 80, 96, 128] {
        let heads = Heads {
            num_heads: 3,
            num_kv_heads: 1,
            head_dim,
        };
        let parts = [(3, None), (560, None), (40, Some(1)), (1, Some(1))];
        check_bf16(&Case::new(heads, Forest::packed(&parts), 1.0, 6));
    }
}

/// More rows below a trunk than one block is visited by: the sums of several are folded.
#[test]
fn a_trunk_that_thousands_of_rows_see() {
    for head_dim in [64, 128] {
        let heads = Heads {
            num_heads: 8,
            num_kv_heads: 1,
            head_dim,
        };
        let parts: Vec<_> = std::iter::once((5, None))
            .chain((0..300).map(|i| (1 + i % 2, Some(0))))
            .collect();
        check_bf16(&Case::new(heads, Forest::packed(&parts), 1.0, 7));
    }
}

/// Tiles of keys too few to fill the GPU: the rows that see one are shared out.
#[test]
fn long_sequences_of_few_heads() {
    for head_dim in [64, 128] {
        let heads = Heads {
            num_heads: 8,
            num_kv_heads: 2,
            head_dim,
        };
        let parts = [(200, None), (30, Some(0)), (70, None)];
        check_bf16(&Case::new(heads, Forest::packed(&parts), 1.0, 8));
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
