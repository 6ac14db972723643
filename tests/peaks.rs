//! The kernels that do as much as a GPU can, on the virtual GPU: what they compute, and that they do what
//! their flops say.

mod common;

use common::*;
use lrem::bench::roofline::{Load, Peaks, Precision};
use lrem::device::cuda::Multiplier;
use lrem::device::{Buffer, Memory};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn the_triad_is_a_sum(packs in 0usize..700, rest in 0usize..4, s in -2.0f32..2.0, seed: u64) {
        let Some(device) = gpu_f32() else { return Ok(()) };
        let whole = 4 * packs;
        let [b, c] = [0, 1].map(|stream| normals(seed, stream, whole));
        let mut a = device.upload(&vec![-7.25f32; whole + rest]).unwrap();
        let short = device.triad(&mut a, &device.upload(&b).unwrap(), &device.upload(&c[..whole / 2]).unwrap(), s);
        prop_assert_eq!(short.is_err(), whole > 0);
        device.triad(&mut a, &device.upload(&b).unwrap(), &device.upload(&c).unwrap(), s).unwrap();
        let got = device.download(&a, a.len()).unwrap();
        for i in 0..whole {
            let (sum, bound) = (f64::from(b[i]) + f64::from(s) * f64::from(c[i]), 1e-6 * (b[i].abs() + c[i].abs() + 1.0));
            prop_assert!((f64::from(got[i]) - sum).abs() <= f64::from(bound), "{i}: {} is not {sum}", got[i]);
        }
        prop_assert!(got[whole..].iter().all(|&x| x == -7.25));
    }

    #[test]
    fn chains_take_every_turn(blocks in 1usize..4, turns in 0usize..40) {
        let Some(device) = gpu_f32() else { return Ok(()) };
        let threads = 256 * blocks;
        let mut sums = device.upload(&vec![-7.25f32; threads + 3]).unwrap();
        let mut done = |multiplier| {
            let flops = device.products(multiplier, 0.5, turns, &mut sums).unwrap();
            (flops, device.download(&sums, threads + 3).unwrap())
        };
        // x = x / 2 + 1 / 2 is 1 − 2^-turns, exact while that has 24 bits; eight chains.
        let (flops, got) = done(Multiplier::F32);
        let want = 8.0 * (1.0 - 0.5f32.powi(turns as i32));
        prop_assert!(got[..threads].iter().all(|x| (x - want).abs() < 1e-5), "{} is not {want}", got[0]);
        prop_assert_eq!(flops, (2 * 8 * turns * threads) as f64);
        // Sixteen products of 1/4 each turn, in four numbers of eight chains.
        let (flops, got) = done(Multiplier::Bf16);
        prop_assert!(got[..threads].iter().all(|&x| x == (32 * 4 * turns) as f32), "{}", got[0]);
        prop_assert_eq!(flops, (2 * 16 * 8 * 16 * 8 * turns * threads / 32) as f64);
        prop_assert!(got[threads..].iter().all(|&x| x == -7.25));
    }
}

#[test]
fn every_peak_is_measured() {
    let Some(device) = gpu_f32() else { return };
    let load = Load {
        floats: 1 << 12,
        turns: 2,
        trials: 2,
    };
    let peaks = Peaks::of_gpu(device, load).unwrap();
    assert_eq!(peaks.of, device.context().name);
    assert!(peaks.bandwidth > 0.0 && peaks.bandwidth.is_finite());
    for precision in [Precision::F32, Precision::Bf16] {
        let (found, flops) = peaks.flops(precision);
        assert!(found == precision && flops > 0.0 && flops.is_finite());
    }
}
