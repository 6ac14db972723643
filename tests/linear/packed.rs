//! Packed weights: what a format keeps, and products with it.

use crate::common::*;
use crate::{Case, ULP, shapes, sum_errors, sums};
use lrem::device::Memory;
use lrem::device::cpu::Cpu;
use lrem::ops::linear::{Linear, LinearShape, Weight, WeightFormat, reference};
use proptest::prelude::*;

/// Rows of a packed weight in f32.
fn unpacked(packed: &<Cpu as Linear>::Packed) -> Vec<f32> {
    let mut w = vec![f32::NAN; packed.n() * packed.k()];
    if packed.k() > 0 {
        let rows = w.chunks_exact_mut(packed.k()).enumerate();
        rows.for_each(|(i, row)| packed.row_into(i, row));
    }
    w
}

/// For every element of a row the largest magnitude of its group of 32.
fn largest(row: &[f32]) -> Vec<f32> {
    let groups = row.chunks(32).map(|group| {
        let largest = group.iter().fold(0.0f32, |a, v| a.max(v.abs()));
        vec![largest; group.len()]
    });
    groups.flatten().collect()
}

/// The magnitudes in which a format's weights are multiplied: in int4 a step times a whole number, and a shift.
fn sizes(format: WeightFormat, kept: &[f32], k: usize) -> Vec<f32> {
    match format {
        WeightFormat::Int4 if k > 0 => {
            let most = kept.chunks(k).flat_map(largest);
            most.map(|v| 3.0 * v).collect()
        }
        _ => kept.to_vec(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// What lay there before leaves no trace, in the products either.
    #[test]
    fn repacked_is_packed_anew(shape in shapes(), format in 0usize..4, seed: u64) {
        let (case, other) = (Case::new(shape, seed), Case::new(shape, !seed));
        let LinearShape { n, k, .. } = shape;
        for device in devices() {
            let new = device.pack(&case.w, n, k, WeightFormat::ALL[format]).unwrap();
            let mut again = device.pack(&other.w, n, k, WeightFormat::ALL[format]).unwrap();
            device.repack(&case.w, &mut again).unwrap();
            prop_assert_eq!(bits(&unpacked(&again)), bits(&unpacked(&new)));
        }
        on_each_device!(|device| {
            let new = device.pack(&case.w, n, k, WeightFormat::ALL[format]).unwrap();
            let mut again = device.pack(&other.w, n, k, WeightFormat::ALL[format]).unwrap();
            device.repack(&floats(device, &case.w), &mut again).unwrap();
            let product = |w| bits(&case.forward(device, Weight::Packed(w), false, None));
            assert_eq!(product(&again), product(&new));
            if n * k > 0 {
                let short = device.upload(&case.w[1..]).unwrap();
                let error = device.repack(&short, &mut again).unwrap_err().to_string();
                assert_eq!(error, format!("repack: weight has {}, expected {}", n * k - 1, n * k));
            }
        });
    }

    /// A copy packed for drawing thoughts computes what training computes.
    #[test]
    fn the_training_format_has_the_bits_of_training(shape in shapes(), seed: u64) {
        let case = Case::new(shape, seed);
        let inexact: Vec<f32> = case.w.iter().map(|w| w * 1.01).collect();
        on_each_device!(|device| {
            let packed = device.pack(&inexact, shape.n, shape.k, device.training_format()).unwrap();
            let drawn = case.forward(device, Weight::Packed(&packed), true, None);
            let master = floats(device, &inexact);
            let trained = case.forward(device, Weight::Master(&master), true, None);
            assert_eq!(bits(&drawn), bits(&trained));
        });
    }

    /// Against the weights as the format holds them.
    #[test]
    fn packed_agrees_with_the_reference(
        shape in shapes(), format in 0usize..4, bias: bool, accumulate: bool, seed: u64,
    ) {
        let (case, format) = (Case::new(shape, seed), WeightFormat::ALL[format]);
        let LinearShape { n, k, .. } = shape;
        let start = normals(seed, 5, shape.m * n);
        for device in devices() {
            let packed = device.pack(&case.w, n, k, format).unwrap();
            prop_assert_eq!((packed.n(), packed.k(), packed.format()), (n, k, format));
            let kept = unpacked(&packed);
            let wide_bias = wide(&case.bias);
            let bias_row = bias.then_some(&wide_bias[..]);
            let mut want = reference::linear(shape, &wide(&case.x), &wide(&kept), bias_row);
            if accumulate {
                want = sums(&want, &start);
            }
            let mut errors = sum_errors(shape, k, &case.x, &sizes(format, &kept, k));
            if matches!(format, WeightFormat::Int8 | WeightFormat::Int4) {
                // Inputs are rounded to 1/127 of the largest of their group.
                let rows = case.x.chunks(k.max(1));
                let step: Vec<f32> = rows.flat_map(largest).map(|v| v / 127.0).collect();
                let rounding = sum_errors(shape, k, &step, &kept);
                let per = (k as f64 + 2.0) * ULP;
                errors.iter_mut().zip(rounding).for_each(|(e, r)| *e += 0.501 * r / per);
            }
            let start = accumulate.then_some(&start[..]);
            let got = case.forward(&device, Weight::Packed(&packed), bias, start);
            assert_close("y", &got, &want, |i| errors[i] + 4.0 * ULP * (want[i].abs() + 8.0));
        }
        // The GPU keeps the same numbers, and does not round its inputs.
        let kept = unpacked(&devices()[0].pack(&case.w, n, k, format).unwrap());
        let wide_bias = wide(&case.bias);
        let mut want = reference::linear(
            shape, &wide(&case.x), &wide(&kept), bias.then_some(&wide_bias[..]),
        );
        if accumulate {
            want = sums(&want, &start);
        }
        let errors = sum_errors(shape, k, &case.x, &sizes(format, &kept, k));
        on_gpus!(|device| {
            let packed = device.pack(&case.w, n, k, format).unwrap();
            assert_eq!((packed.n(), packed.k(), packed.format()), (n, k, format));
            let start = accumulate.then_some(&start[..]);
            let got = case.forward(device, Weight::Packed(&packed), bias, start);
            let limit = |i: usize| errors[i] + 4.0 * ULP * (want[i].abs() + 8.0);
            assert_close_reals(device, "y", &got, &want, limit);
            bits(&got)
        });
    }

    /// What the weights and inputs lose in a format, for numbers that no format holds exactly.
    #[test]
    fn formats_keep_what_they_promise(n in 1usize..70, k in 1usize..100, seed: u64) {
        let exact: Vec<f32> = normals(seed, 0, n * k).iter().map(|v| v * 1.003).collect();
        for device in devices() {
            let kept = WeightFormat::ALL.map(|format| unpacked(&device.pack(&exact, n, k, format).unwrap()));
            prop_assert_eq!(bits(&kept[0]), bits(&exact));
            let rounded = |v: &f32| half::bf16::from_f32(*v).to_f32();
            prop_assert_eq!(bits(&kept[1]), bits(&exact.iter().map(rounded).collect::<Vec<_>>()));
            let most: Vec<f32> = exact.chunks(k).flat_map(largest).collect();
            assert_close("int8", &kept[2], &wide(&exact), |i| 0.501 / 127.0 * f64::from(most[i]));
            // Half a step of 15 over a range, and the roundings of step and shift to bf16.
            let off = |group: &[f32]| {
                let least = group.iter().copied().fold(f32::INFINITY, f32::min);
                let most = group.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                vec![0.501 / 15.0 * (most - least) + (most - least + least.abs()) / 256.0; group.len()]
            };
            let off: Vec<f32> = exact.chunks(k).flat_map(|row| row.chunks(32)).flat_map(off).collect();
            assert_close("int4", &kept[3], &wide(&exact), |i| f64::from(off[i]));
        }
    }
}

/// A weight or an input that is not a number must not become one.
#[test]
fn nan_reaches_the_product() {
    let shape = LinearShape { m: 2, n: 3, k: 40 };
    let good = Case::new(shape, 2);
    on_each_device!(|device| {
        for format in WeightFormat::ALL {
            for bad in [f32::NAN, f32::INFINITY] {
                let mut case = Case::new(shape, 2);
                case.x[40 + 35] = bad;
                let packed = device.pack(&case.w, 3, 40, format).unwrap();
                let y = case.forward(device, Weight::Packed(&packed), false, None);
                assert!(y[..3].iter().all(|v| v.is_finite()), "{format:?} {y:?}");
                assert!(y[3..].iter().all(|v| !v.is_finite()), "{format:?} {y:?}");

                let mut w = case.w.clone();
                w[2 * 40 + 1] = bad;
                let packed = device.pack(&w, 3, 40, format).unwrap();
                let y = good.forward(device, Weight::Packed(&packed), false, None);
                assert!(!y[2].is_finite() && !y[5].is_finite(), "{format:?} {y:?}");
                assert!(y[0].is_finite() && y[4].is_finite(), "{format:?} {y:?}");
            }
        }
    });
}

/// Groups whose largest element is below what a scale can hold are zero, not noise.
#[test]
fn quantised_forms_of_the_smallest_numbers() {
    let shape = LinearShape { m: 1, n: 1, k: 32 };
    for tiny in [f32::from_bits(1), 1e-40, 1e-38] {
        let case = Case {
            x: vec![tiny; 32],
            ..Case::new(shape, 3)
        };
        on_each_device!(|device| {
            for format in [WeightFormat::Int8, WeightFormat::Int4] {
                let packed = device.pack(&case.w, 1, 32, format).unwrap();
                let y = case.forward(device, Weight::Packed(&packed), false, None);
                assert!(y[0].abs() <= 200.0 * tiny, "{tiny:e} gives {:e}", y[0]);
            }
        });
    }
}
