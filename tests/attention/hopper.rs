//! Hopper's attention by warpgroups: the bits of every other GPU's, and that it is what runs there.

use crate::cases::{Case, forest};
use crate::common::*;
use lrem::ops::attention::{Heads, KeysValues};
use lrem::ops::forest::{Forest, Mask};
use proptest::prelude::*;

/// So many tokens that a GPU is full of blocks of 128 rows: leaves of 28 to 32 tokens, some below trunks.
fn many_leaves() -> impl Strategy<Value = Vec<(usize, Option<usize>)>> {
    let trunks = prop::collection::vec(1usize..90, 1..4);
    (trunks, prop::collection::vec(28usize..33, 140)).prop_map(|(trunks, leaves)| {
        let count = trunks.len();
        let roots = trunks.into_iter().map(|len| (len, None));
        let leaf = |(i, len): (usize, usize)| (len, (i % (count + 1)).checked_sub(1));
        roots
            .chain(leaves.into_iter().enumerate().map(leaf))
            .collect()
    })
}

fn grouped(head_dim: usize) -> Heads {
    Heads {
        num_heads: 16,
        num_kv_heads: 4,
        head_dim,
    }
}

fn ran(head_dim: usize) -> bool {
    let name = format!("attention_groups_{head_dim}");
    hopper().is_some_and(|device| device.context().launched().contains(&name))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]
    #[test]
    fn warpgroups_agree_with_the_reference_and_with_warps(
        parts in many_leaves(), large: bool, full: bool, sharpness in 0.1f32..4.0, seed: u64,
    ) {
        let (Some(ampere), Some(hopper)) = (gpu_bf16(), hopper()) else {
            return Ok(());
        };
        let heads = grouped(if large { 128 } else { 64 });
        let mask = if full { Mask::Full } else { Mask::Causal };
        let case = Case::new(heads, forest(&parts, &vec![mask; parts.len()]), sharpness, seed);
        let (out, lse) = case.forward(hopper);
        prop_assert!(ran(heads.head_dim));
        let (want, want_lse) = case.reference();
        assert_close_reals(hopper, "out", &out, &want, |_| 0.03);
        assert_close("lse", &lse, &want_lse, |_| 0.01);
        let (same, same_lse) = case.forward(ampere);
        prop_assert!(bits(&out) == bits(&same) && bits(&lse) == bits(&same_lse));
    }
}

/// Spans of several pieces, and keys in a cache of which the rest is NaN.
#[test]
fn long_spans_have_the_bits_of_warps() {
    let (Some(ampere), Some(hopper)) = (gpu_bf16(), hopper()) else {
        return;
    };
    let heads = Heads {
        num_heads: 27,
        num_kv_heads: 3,
        head_dim: 64,
    };
    let case = Case::new(
        heads,
        Forest::packed(&[(1090, None), (1030, Some(0))]),
        1.0,
        5,
    );
    let (out, lse) = case.forward(hopper);
    assert!(ran(64));
    let (same_out, same_lse) = case.forward(ampere);
    assert!(bits(&out) == bits(&same_out) && bits(&lse) == bits(&same_lse));

    let room = 100 * heads.kv_dim();
    let stored = |x: &[f32]| reals(hopper, &[x, &vec![f32::NAN; room]].concat());
    let (keys, values) = (stored(&case.keys), stored(&case.values));
    let kv = KeysValues::Cache {
        keys: &keys,
        values: &values,
    };
    let (cached, _) = case.forward_with(hopper, &reals(hopper, &case.qkv()), kv);
    assert!(bits(&out) == bits(&cached));
}
