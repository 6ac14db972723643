//! Hopper's products by warpgroups: the bits of every other GPU's, and that they are what runs there.

use crate::common::*;
use crate::{Case, assert_launched};
use lrem::ops::linear::LinearShape;
use proptest::prelude::*;

/// More rows than skinny tiles have, around the tiles of 64 and 128, all rows at multiples of 16 bytes.
fn shapes() -> impl Strategy<Value = LinearShape> {
    let m = prop_oneof![65usize..200, Just(1030)];
    let eighths = |m: usize| match m {
        1030 => (120usize..130, 1usize..20),
        _ => (1usize..40, 1usize..60),
    };
    m.prop_flat_map(move |m| (Just(m), eighths(m)))
        .prop_map(|(m, (n, k))| LinearShape {
            m,
            n: 8 * n,
            k: 8 * k,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn warpgroups_give_the_bits_of_warps(shape in shapes(), accumulate: bool, seed: u64) {
        let (Some(ampere), Some(hopper)) = (gpu_bf16(), hopper()) else {
            return Ok(());
        };
        let case = Case::new(shape, seed);
        let start = normals(seed, 5, shape.m * shape.n.max(shape.k));
        let of = |len| accumulate.then(|| &start[..len]);
        let y = |device| bits(&case.forward_master(device, true, of(shape.m * shape.n)));
        prop_assert_eq!(y(ampere), y(hopper));
        // Of a weight no such promise is made: its depth is cut by tiles.
        let dw = vec![0.0; shape.n * shape.k];
        let there = of(shape.m * shape.k).map(|dx| [dx, &dw, &[]]);
        let dx = |device| bits(&case.backward(device, there, false)[0]);
        prop_assert_eq!(dx(ampere), dx(hopper));
    }
}

#[test]
fn warpgroups_are_what_runs() {
    let Some(device) = hopper() else {
        return;
    };
    for (m, n) in [(1030, 1000), (100, 64)] {
        let case = Case::new(LinearShape { m, n, k: 24 }, 7);
        case.forward_master(device, false, None);
        case.backward(device, None, false);
    }
    let wanted = [
        "nt_bf16_warpgroups",
        "nt_bf16_warpgroup",
        "nn_bf16_warpgroup",
        "tn_bf16_warpgroups",
    ];
    let launched = device.context().launched();
    assert_launched(&launched, "linear", &wanted.map(String::from));
}
