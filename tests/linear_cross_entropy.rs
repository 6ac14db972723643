//! Linear + cross-entropy of every device against its f64 reference.

mod common;

use common::*;
use lrem::device::Memory;
use lrem::ops::linear::{Linear, LinearShape, Weight, WeightFormat};
use lrem::ops::linear_cross_entropy::{LinearCrossEntropy, reference};
use lrem::ops::philox::PhiloxStream;
use proptest::prelude::*;

const ULP: f64 = f32::EPSILON as f64;
/// What rounding to the 8 bits of bf16 changes at most.
const BF16: f64 = 1.0 / 256.0;

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

    fn trained<D: Linear>(&self, device: &D) -> Trained<D> {
        Trained::new(device, (self.shape.n, self.shape.k), &self.w)
    }

    /// `(nll, lse)`.
    fn forward<D: LinearCrossEntropy>(&self, device: &D) -> [Vec<f32>; 2] {
        let m = self.shape.m;
        let hidden = reals(device, &self.hidden);
        self.trained(device).each(|w| {
            let [mut nll, mut lse] = [(); 2].map(|()| poisoned_floats(device, m));
            device
                .linear_cross_entropy(self.shape, &hidden, w, &self.targets, &mut nll, &mut lse)
                .unwrap();
            [("nll", nll), ("lse", lse)].map(|(what, x)| read_floats(device, what, &x, m))
        })
    }

    /// `(dhidden, dw)`, the latter on top of `start` everywhere, if there is one.
    fn backward<D: LinearCrossEntropy>(
        &self,
        device: &D,
        lse: &[f32],
        start: Option<f32>,
    ) -> [Vec<f32>; 2] {
        let LinearShape { m, n, k } = self.shape;
        let (hidden, lse) = (reals(device, &self.hidden), floats(device, lse));
        self.trained(device).each(|w| {
            let mut dhidden = poisoned_reals(device, m * k);
            let mut dw = match start {
                Some(start) => floats(device, &vec![start; n * k]),
                None => poisoned_floats(device, n * k),
            };
            device
                .linear_cross_entropy_backward(
                    self.shape,
                    &hidden,
                    w,
                    &self.targets,
                    &lse,
                    &self.coefficients,
                    &mut dhidden,
                    &mut dw,
                    start.is_some(),
                )
                .unwrap();
            [
                read_reals(device, "dhidden", &dhidden, m * k),
                read_floats(device, "dw", &dw, n * k),
            ]
        })
    }

    /// Bound of a logit's error: k roundings of the sum of the products' magnitudes.
    fn logit_error(&self) -> f64 {
        let max = |x: &[f32]| x.iter().fold(0.0f32, |a, v| a.max(v.abs()));
        let k = self.shape.k as f64;
        let products = f64::from(max(&self.hidden)) * f64::from(max(&self.w)) * k.sqrt();
        (k + 2.0) * ULP * products
    }
}

/// Against the reference, the weight's gradient on top of `start`.
fn check(case: &Case, start: Option<f32>) {
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
    on_each_device!(|device| {
        let [got_nll, got_lse] = case.forward(device);
        // The sum of n exponentials adds its own roundings, of at most 100 in one lane.
        let error = |x: f64| 2.0 * logit_error + 100.0 * ULP + 2.0 * ULP * x.abs();
        assert_close("nll", &got_nll, &nll, |i| error(lse[i]));
        assert_close("lse", &got_lse, &lse, |i| error(lse[i]));

        let [got_dhidden, got_dw] = case.backward(device, &got_lse, start);
        // A row's |softmax − onehot| sums to at most 2; each is off by its logit, its exponential and,
        // in bf16, its rounding.
        let bf16 = device.training_format() == WeightFormat::Bf16;
        let rounding = if bf16 { BF16 } else { 0.0 };
        let relative = rounding + 4.0 * error(max(&lse)) + (n.max(m) as f64).sqrt() * 4.0 * ULP;
        let row = |i: usize| 2.0 * f64::from(case.coefficients[i].abs());
        assert_close_reals(device, "dhidden", &got_dhidden, &dhidden, |i| {
            relative * row(i / k) * max(&w)
        });
        let rows: f64 = (0..m).map(row).sum();
        let start = f64::from(start.unwrap_or(0.0));
        let added: Vec<f64> = dw.iter().map(|g| g + start).collect();
        let limit = relative * rows * max(&hidden) + 8.0 * ULP;
        assert_close("dw", &got_dw, &added, |_| limit);
        [got_nll, got_lse, got_dhidden, got_dw].map(|x| bits(&x))
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn agrees_with_the_reference(
        m in 0usize..12, n in 1usize..200, k in 1usize..40, add: bool, seed: u64,
    ) {
        check(&Case::new(m, n, k, seed), add.then_some(2.0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]
    #[test]
    fn agrees_over_several_tiles(m in 1usize..8, n in 1020usize..2100, k in 1usize..16, seed: u64) {
        check(&Case::new(m, n, k, seed), Some(2.0));
    }

    #[test]
    fn agrees_over_several_row_blocks(m in 1020usize..1100, n in 1usize..40, seed: u64) {
        check(&Case::new(m, n, 5, seed), Some(2.0));
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
    let case = Case {
        shape,
        hidden: vec![1.0],
        w,
        targets: vec![1],
        coefficients: vec![1.0],
    };
    on_each_device!(|device| {
        let [nll, lse] = case.forward(device);
        // bf16 holds 9984 and 10048, not 10000.
        assert!(
            (nll[0] - 2e4).abs() < 100.0 && (lse[0] - 1e4).abs() < 50.0,
            "{nll:?} {lse:?}"
        );
    });
}

/// Rows without a coefficient may hold anything and get nothing.
#[test]
fn rows_without_a_coefficient_are_not_looked_at() {
    let mut case = Case::new(9, 300, 16, 5);
    case.coefficients = vec![0.0, 1.0, 0.0, 0.0, 2.0, 0.0, -1.0, 0.0, 0.0];
    let without = |i: usize| case.coefficients[i] == 0.0;
    let rows: Vec<usize> = (0..9).filter(|&i| without(i)).collect();
    let mut wild = Case::new(9, 300, 16, 5);
    wild.coefficients = case.coefficients.clone();
    for &row in &rows {
        wild.hidden[row * 16..][..16].fill(f32::NAN);
    }
    on_each_device!(|device| {
        let [_, lse] = case.forward(device);
        let mut wild_lse = lse.clone();
        rows.iter().for_each(|&row| wild_lse[row] = f32::NAN);
        let [dhidden, dw] = wild.backward(device, &wild_lse, None);
        let plain = case.backward(device, &lse, None);
        assert_eq!([bits(&dhidden), bits(&dw)], plain.map(|x| bits(&x)));
        for &row in &rows {
            assert_eq!(dhidden[row * 16..][..16], [0.0; 16]);
        }
    });
    case.coefficients.fill(0.0);
    on_each_device!(|device| {
        let [_, lse] = case.forward(device);
        let [dhidden, dw] = case.backward(device, &lse, None);
        assert!(dhidden.iter().chain(&dw).all(|&g| g == 0.0));
    });
}

/// Many rows and few, for which the GPU has tiles of their own, over a vocabulary of several slices.
#[test]
fn a_row_does_not_depend_on_the_others() {
    let many = Case::new(100, 700, 64, 9);
    let mut few = Case::new(100, 700, 64, 9);
    few.shape.m = 5;
    few.targets.truncate(5);
    on_gpus!(|device| {
        let rows = many.forward(device).map(|x| bits(&x[..5]));
        assert_eq!(rows, few.forward(device).map(|x| bits(&x)));
        rows
    });
}

#[test]
fn the_threads_do_not_change_a_bit() {
    let case = Case::new(70, 2500, 33, 7);
    for device in devices() {
        same_on_one_thread(|| {
            let [nll, lse] = case.forward(&device);
            let [dhidden, dw] = case.backward(&device, &lse, None);
            [nll, lse, dhidden, dw].map(|x| bits(&x))
        });
    }
}

#[test]
fn a_target_outside_the_vocabulary_is_an_error() {
    let shape = LinearShape { m: 2, n: 3, k: 1 };
    on_every_device!(|device| {
        let (hidden, w) = (device.zeros(2).unwrap(), device.zeros(3).unwrap());
        let [mut nll, mut lse] = [(); 2].map(|()| device.zeros(2).unwrap());
        let mut says = |targets: &[u32]| {
            let w = Weight::Master(&w);
            let result =
                device.linear_cross_entropy(shape, &hidden, w, targets, &mut nll, &mut lse);
            message(result)
        };
        assert_eq!(
            says(&[0, 3]),
            "linear_cross_entropy: target 3 is outside the vocabulary of 3"
        );
        assert_eq!(
            says(&[0]),
            "linear_cross_entropy: targets has 1, expected 2"
        );
    });
}

/// Int8 is never what training multiplies.
#[test]
fn a_weight_packed_for_inference_is_an_error() {
    let shape = LinearShape { m: 2, n: 3, k: 1 };
    on_every_device!(|device| {
        let packed = device.pack(&[1.0; 3], 3, 1, WeightFormat::Int8).unwrap();
        let w = Weight::Packed(&packed);
        let hidden = device.zeros(2).unwrap();
        let [mut nll, mut lse] = [(); 2].map(|()| poisoned_floats(device, 2));
        let result = device.linear_cross_entropy(shape, &hidden, w, &[0, 2], &mut nll, &mut lse);
        let error = message(result);
        assert!(error.starts_with("linear_cross_entropy: a "), "{error}");
        assert!(error.contains("packed"), "{error}");
    });
}
