//! AdamW of every device against its f64 reference.

mod common;

use common::*;
use lrem::ops::adamw::{AdamW, AdamWStep, reference};
use proptest::prelude::*;

const ULP: f64 = f32::EPSILON as f64;

fn steps() -> impl Strategy<Value = AdamWStep> {
    (
        1e-5f32..1e-1,
        0.0f32..0.99,
        0.5f32..0.9999,
        0.0f32..0.2,
        1u32..5000,
        0.01f32..1.0,
    )
        .prop_map(
            |(learning_rate, beta1, beta2, weight_decay, step, gradient_scale)| AdamWStep {
                learning_rate,
                beta1,
                beta2,
                eps: 1e-8,
                weight_decay,
                step,
                gradient_scale,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn agrees_with_the_reference(step in steps(), len in 0usize..300, seed: u64) {
        let gradient = normals(seed, 1, len);
        let start = [normals(seed, 0, len), normals(seed, 2, len), normals(seed, 3, len)];
        let squares: Vec<f32> = start[2].iter().map(|v| v * v).collect();
        let (mut p, mut m, mut v) = (wide(&start[0]), wide(&start[1]), wide(&squares));
        reference::adamw(&step, &mut p, &wide(&gradient), &mut m, &mut v);

        let mut results = Vec::new();
        for device in devices() {
            let (mut p2, mut m2, mut v2) = (start[0].clone(), start[1].clone(), squares.clone());
            p2.push(f32::NAN);
            device.adamw(&step, len, &mut p2, &gradient, &mut m2, &mut v2).unwrap();
            // Two products and a sum each: a few roundings of what goes in.
            let moment = |i: usize| 4.0 * ULP * f64::from(start[1][i].abs() + gradient[i].abs());
            assert_close("first moment", &m2, &m, moment);
            assert_close("second moment", &v2, &v, |i| 8.0 * ULP * v[i] + 1e-37);
            let unbias = |beta: f32| 1.0 - f64::from(beta).powf(f64::from(step.step));
            assert_close("parameter", &p2, &p, |i| {
                let root = (v[i] / unbias(step.beta2)).sqrt() + 1e-8;
                let rate = f64::from(step.learning_rate) / unbias(step.beta1) / root;
                let update = rate * (moment(i) + 16.0 * ULP * m[i].abs());
                update + 4.0 * ULP * f64::from(start[0][i].abs()) + 2.0 * ULP * p[i].abs()
            });
            assert_untouched("parameter", &p2, len);
            results.push([bits(&p2), bits(&m2), bits(&v2)]);
        }
        // No fused multiply-add and no reduction: all instruction sets agree bit for bit.
        prop_assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn sum_of_squares_agrees(len in 0usize..400, seed: u64) {
        let x = normals(seed, 0, len + 2);
        let want: f64 = wide(&x[..len]).iter().map(|v| v * v).sum();
        for device in devices() {
            let got = device.sum_of_squares(len, &x).unwrap();
            prop_assert!((got - want).abs() <= 1e-13 * want, "{got} is not {want}");
        }
    }
}

#[test]
fn several_chunks_and_any_threads() {
    let len = 200_001;
    let (start, gradient) = (normals(1, 0, len), normals(1, 1, len));
    let step = AdamWStep {
        learning_rate: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.01,
        step: 1,
        gradient_scale: 1.0,
    };
    let (mut p, mut m, mut v) = (wide(&start), vec![0.0; len], vec![0.0; len]);
    reference::adamw(&step, &mut p, &wide(&gradient), &mut m, &mut v);
    for device in devices() {
        let (got, _) = same_on_one_thread(|| {
            let (mut p, mut m, mut v) = (start.clone(), vec![0.0; len], vec![0.0; len]);
            device
                .adamw(&step, len, &mut p, &gradient, &mut m, &mut v)
                .unwrap();
            (p, device.sum_of_squares(len, &gradient).unwrap().to_bits())
        });
        assert_close("parameter", &got, &p, |i| 4.0 * ULP * (p[i].abs() + 1e-3));
    }
}

#[test]
fn squares_beyond_f32_do_not_overflow() {
    let x = vec![1e30f32; 1000];
    for device in devices() {
        let got = device.sum_of_squares(1000, &x).unwrap();
        assert!((got / 1e63 - 1.0).abs() < 1e-6, "{got}");
    }
}

#[test]
fn a_short_buffer_is_an_error() {
    let device = &devices()[0];
    let error = device.sum_of_squares(3, &vec![0.0; 2]).unwrap_err();
    assert_eq!(error.to_string(), "sum_of_squares: x has 2, expected 3");
}
