//! Linear + cross-entropy of every device against its f64 reference.

mod common;

use common::*;
use lrem::device::cpu::Multiply;
use lrem::ops::linear::LinearShape;
use lrem::ops::linear_cross_entropy::{LinearCrossEntropy, reference};
use lrem::ops::philox::PhiloxStream;
use proptest::prelude::*;

const ULP: f64 = f32::EPSILON as f64;

struct Case {
    shape: LinearShape,
    hidden: Vec<f32>,
    w: Vec<f32>,
    targets: Vec<u32>,
    coefficients: Vec<f32>,
}

impl Case {
    fn new(m: usize, n: usize, k: usize, seed: u64) -> Case {
        let mut random = PhiloxStream::new(seed, 0);
        let mut coefficients = normals(seed, 1, m);
        coefficients.iter_mut().step_by(3).for_each(|c| *c = 0.0);
        Case {
            shape: LinearShape { m, n, k },
            hidden: normals(seed, 2, m * k),
            w: normals(seed, 3, n * k),
            targets: (0..m).map(|_| random.below(n) as u32).collect(),
            coefficients,
        }
    }

    /// Bound of a logit's error: k roundings of the sum of the products' magnitudes.
    fn logit_error(&self) -> f64 {
        let max = |x: &[f32]| x.iter().fold(0.0f32, |a, v| a.max(v.abs()));
        let k = self.shape.k as f64;
        let products = f64::from(max(&self.hidden)) * f64::from(max(&self.w)) * k.sqrt();
        (k + 2.0) * ULP * products
    }
}

fn check(case: &Case) {
    let LinearShape { m, n, k } = case.shape;
    let (hidden, w) = (wide(&case.hidden), wide(&case.w));
    let (nll, lse) = reference::linear_cross_entropy(case.shape, &hidden, &w, &case.targets);
    let (dhidden, dw) = reference::linear_cross_entropy_backward(
        case.shape,
        &hidden,
        &w,
        &case.targets,
        &wide(&case.coefficients),
    );
    let max = |x: &[f64]| x.iter().fold(0.0f64, |a, v| a.max(v.abs()));
    let logit_error = case.logit_error();
    for device in devices() {
        let (mut got_nll, mut got_lse) = (poisoned(m), poisoned(m));
        device
            .linear_cross_entropy(
                case.shape,
                &case.hidden,
                &case.w,
                &case.targets,
                &mut got_nll,
                &mut got_lse,
            )
            .unwrap();
        // The sum of n exponentials adds its own roundings, of at most 100 in one lane.
        let error = |x: f64| 2.0 * logit_error + 100.0 * ULP + 2.0 * ULP * x.abs();
        assert_close("nll", &got_nll, &nll, |i| error(lse[i]));
        assert_close("lse", &got_lse, &lse, |i| error(lse[i]));
        assert_untouched("nll", &got_nll, m);

        let (mut got_dhidden, mut got_dw) = (poisoned(m * k), vec![2.0; n * k]);
        device
            .linear_cross_entropy_backward(
                case.shape,
                &case.hidden,
                &case.w,
                &case.targets,
                &got_lse,
                &case.coefficients,
                &mut got_dhidden,
                &mut got_dw,
            )
            .unwrap();
        // A row's |softmax − onehot| sums to at most 2; each is off by its logit, its exponential and,
        // in bf16, its rounding.
        let rounding = if device.multiply == Multiply::Bf16 {
            1.0 / 256.0
        } else {
            0.0
        };
        let relative = rounding + 4.0 * error(max(&lse)) + (n.max(m) as f64).sqrt() * 4.0 * ULP;
        let row = |i: usize| 2.0 * f64::from(case.coefficients[i].abs());
        assert_close("dhidden", &got_dhidden, &dhidden, |i| {
            relative * row(i / k) * max(&w)
        });
        assert_untouched("dhidden", &got_dhidden, m * k);
        let rows: f64 = (0..m).map(row).sum();
        let added: Vec<f64> = dw.iter().map(|g| g + 2.0).collect();
        let limit = relative * rows * max(&hidden) + 8.0 * ULP;
        assert_close("dw", &got_dw, &added, |_| limit);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn agrees_with_the_reference(m in 0usize..12, n in 1usize..200, k in 1usize..40, seed: u64) {
        check(&Case::new(m, n, k, seed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]
    #[test]
    fn agrees_over_several_tiles(m in 1usize..8, n in 1020usize..2100, k in 1usize..16, seed: u64) {
        check(&Case::new(m, n, k, seed));
    }

    #[test]
    fn agrees_over_several_row_blocks(m in 1020usize..1100, n in 1usize..40, seed: u64) {
        check(&Case::new(m, n, 5, seed));
    }

    #[test]
    fn reference_gradients_are_those_of_the_loss(
        m in 1usize..4, n in 1usize..9, k in 1usize..5, seed: u64,
    ) {
        let case = Case::new(m, n, k, seed);
        let (hidden, w) = (wide(&case.hidden), wide(&case.w));
        let coefficients = wide(&case.coefficients);
        let loss = |hidden: &[f64], w: &[f64]| -> f64 {
            let nll = reference::linear_cross_entropy(case.shape, hidden, w, &case.targets).0;
            nll.iter().zip(&coefficients).map(|(a, b)| a * b).sum()
        };
        let (dhidden, dw) = reference::linear_cross_entropy_backward(
            case.shape, &hidden, &w, &case.targets, &coefficients,
        );
        assert_gradient("dhidden", &hidden, &dhidden, |x| loss(x, &w));
        assert_gradient("dw", &w, &dw, |x| loss(&hidden, x));
    }
}

#[test]
fn large_logits_do_not_overflow() {
    let shape = LinearShape { m: 1, n: 3, k: 1 };
    let w = vec![1e4, -1e4, 9_999.0];
    for device in devices() {
        let (mut nll, mut lse) = (poisoned(1), poisoned(1));
        device
            .linear_cross_entropy(shape, &vec![1.0], &w, &[1], &mut nll, &mut lse)
            .unwrap();
        // bf16 holds 9984 and 10048, not 10000.
        assert!(
            (nll[0] - 2e4).abs() < 100.0 && (lse[0] - 1e4).abs() < 50.0,
            "{nll:?} {lse:?}"
        );
    }
}

#[test]
fn the_threads_do_not_change_a_bit() {
    let case = Case::new(70, 2500, 33, 7);
    for device in devices() {
        same_on_one_thread(|| {
            let (mut nll, mut lse) = (vec![0.0; 70], vec![0.0; 70]);
            let (mut dhidden, mut dw) = (vec![0.0; 70 * 33], vec![0.0; 2500 * 33]);
            let Case {
                shape,
                hidden,
                w,
                targets,
                coefficients,
            } = &case;
            device
                .linear_cross_entropy(*shape, hidden, w, targets, &mut nll, &mut lse)
                .unwrap();
            device
                .linear_cross_entropy_backward(
                    *shape,
                    hidden,
                    w,
                    targets,
                    &lse,
                    coefficients,
                    &mut dhidden,
                    &mut dw,
                )
                .unwrap();
            [nll, lse, dhidden, dw].map(|x| bits(&x))
        });
    }
}

#[test]
fn a_target_outside_the_vocabulary_is_an_error() {
    let shape = LinearShape { m: 2, n: 3, k: 1 };
    let (hidden, w, mut out) = (vec![0.0; 2], vec![0.0; 3], vec![0.0; 2]);
    let mut lse = out.clone();
    let result = devices()[0].linear_cross_entropy(shape, &hidden, &w, &[0, 3], &mut out, &mut lse);
    let message = result.unwrap_err().to_string();
    assert_eq!(
        message,
        "linear_cross_entropy: target 3 is outside the vocabulary of 3"
    );
    let short = devices()[0].linear_cross_entropy(shape, &hidden, &w, &[0], &mut out, &mut lse);
    assert_eq!(
        short.unwrap_err().to_string(),
        "linear_cross_entropy: targets has 1, expected 2"
    );
}
