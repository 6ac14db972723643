//! Linear of every device against its f64 reference.

#[path = "../common/mod.rs"]
mod common;

mod bits;
mod errors;
mod hopper;
mod many_tiles;
mod packed;
mod swiglu;

use common::*;
use lrem::device::cpu::{Isa, Multiply};
use lrem::ops::linear::{Linear, LinearShape, Weight, WeightFormat, reference};
use proptest::prelude::*;

const ULP: f64 = f32::EPSILON as f64;
/// What rounding to the 8 bits of bf16 changes at most.
const BF16: f64 = 1.0 / 256.0;

/// Sizes around the tiles (12 rows, 32 columns, groups of 32 along k, pairs of bf16).
fn shapes() -> impl Strategy<Value = LinearShape> {
    let m = prop_oneof![3 => 0usize..14, 1 => 90usize..110, 1 => 190usize..200];
    let n = prop_oneof![3 => 0usize..70, 1 => 250usize..300];
    let k = prop_oneof![3 => 0usize..70, 1 => 120usize..135];
    (m, n, k).prop_map(|(m, n, k)| LinearShape { m, n, k })
}

/// Kernels that a device has launched: of `op`, with every one of `tiles`.
#[track_caller]
fn assert_launched(launched: &[String], op: &str, tiles: &[String]) {
    for tile in tiles {
        let name = format!("{op}_{tile}");
        assert!(launched.contains(&name), "{name} was not: {launched:?}");
    }
}

struct Case {
    shape: LinearShape,
    x: Vec<f32>,
    w: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
}

impl Case {
    /// Normal numbers that bf16 holds exactly.
    fn new(shape: LinearShape, seed: u64) -> Case {
        let LinearShape { m, n, k } = shape;
        Case {
            shape,
            x: normals(seed, 1, m * k),
            w: normals(seed, 2, n * k),
            bias: normals(seed, 3, n),
            dy: normals(seed, 4, m * n),
        }
    }

    /// `y` of a device, on top of `start` where there is one, which the device stores exactly.
    fn forward<D: Linear>(
        &self,
        device: &D,
        w: Weight<'_, D>,
        bias: bool,
        start: Option<&[f32]>,
    ) -> Vec<f32> {
        let len = self.shape.m * self.shape.n;
        let mut y = match start {
            Some(start) => reals(device, start),
            None => poisoned_reals(device, len),
        };
        let (x, bias_row) = (reals(device, &self.x), floats(device, &self.bias));
        let bias = bias.then_some(&bias_row);
        device
            .linear(self.shape, &x, w, bias, &mut y, start.is_some())
            .unwrap();
        read_reals(device, "y", &y, len)
    }

    /// `y` of the master weight.
    fn forward_master<D: Linear>(&self, device: &D, bias: bool, start: Option<&[f32]>) -> Vec<f32> {
        let [y] = self
            .trained(device)
            .each(|w| [self.forward(device, w, bias, start)]);
        y
    }

    fn trained<D: Linear>(&self, device: &D) -> Trained<D> {
        Trained::new(device, (self.shape.n, self.shape.k), &self.w)
    }

    /// `(dx, dw, dbias)`, on top of what is there where that is given, and no `dbias` without a bias.
    fn backward<D: Linear>(
        &self,
        device: &D,
        there: Option<[&[f32]; 3]>,
        bias: bool,
    ) -> [Vec<f32>; 3] {
        let LinearShape { m, n, k } = self.shape;
        let (x, dy) = (reals(device, &self.x), reals(device, &self.dy));
        let [got_dx] = self.trained(device).each(|w| {
            let mut got = match there {
                Some([dx, ..]) => reals(device, dx),
                None => poisoned_reals(device, m * k),
            };
            device
                .linear_backward_input(self.shape, &dy, w, &mut got, there.is_some())
                .unwrap();
            [read_reals(device, "dx", &got, m * k)]
        });
        let (mut got_dw, mut got_db) = match there {
            Some([_, dw, db]) => (floats(device, dw), floats(device, db)),
            None => (poisoned_floats(device, n * k), poisoned_floats(device, n)),
        };
        let (db, accumulate) = (bias.then_some(&mut got_db), there.is_some());
        device
            .linear_backward_weight(self.shape, &dy, &x, &mut got_dw, db, accumulate)
            .unwrap();
        [
            got_dx,
            read_floats(device, "dw", &got_dw, n * k),
            match bias {
                true => read_floats(device, "dbias", &got_db, n),
                false => Vec::new(),
            },
        ]
    }
}

/// Bounds of a sum of `terms` products' error: a rounding of the sum of their magnitudes for each.
fn sum_errors(shape: LinearShape, terms: usize, a: &[f32], b: &[f32]) -> Vec<f64> {
    let sums = reference::linear(shape, &magnitudes(a), &magnitudes(b), None);
    sums.iter()
        .map(|s| (terms as f64 + 2.0) * ULP * s)
        .collect()
}

fn transposed(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let element = |i: usize| x[i % rows * columns + i / rows];
    (0..x.len()).map(element).collect()
}

fn sums(a: &[f64], b: &[f32]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + f64::from(*b)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn agrees_with_the_reference(shape in shapes(), bias: bool, accumulate: bool, seed: u64) {
        let case = Case::new(shape, seed);
        let (x, w, wide_bias) = (wide(&case.x), wide(&case.w), wide(&case.bias));
        let want = reference::linear(shape, &x, &w, bias.then_some(&wide_bias));
        // Full f32: what is already there need not fit into bf16.
        let start: Vec<f32> = normals(seed, 5, want.len()).iter().map(|v| v * 1.01).collect();
        let errors = sum_errors(shape, shape.k, &case.x, &case.w);
        on_each_device!(|device| {
            let mut want = want.clone();
            let start = accumulate.then(|| stored(device, &start));
            if let Some(start) = &start {
                want = sums(&want, start);
            }
            let got = case.forward_master(device, bias, start.as_deref());
            let n = shape.n.max(1);
            let added = |i: usize| start.as_ref().map_or(0.0, |start| start[i].abs());
            assert_close_reals(device, "y", &got, &want, |i| {
                errors[i] + 4.0 * ULP * f64::from(case.bias[i % n].abs() + added(i))
            });
            bits(&got)
        });
    }

    #[test]
    fn backward_agrees_with_the_reference(shape in shapes(), bias: bool, add: bool, seed: u64) {
        let case = Case::new(shape, seed);
        let LinearShape { m, n, k } = shape;
        let (x, w, dy) = (wide(&case.x), wide(&case.w), wide(&case.dy));
        let (mut dx, mut dw, mut db) = reference::linear_backward(shape, &x, &w, &dy);
        let [dx_start, dw_start, db_start] =
            [(5, m * k), (6, n * k), (7, n)].map(|(stream, len)| normals(seed, stream, len));
        if add {
            (dx, dw, db) = (sums(&dx, &dx_start), sums(&dw, &dw_start), sums(&db, &db_start));
        }

        let dx_shape = LinearShape { m, n: k, k: n };
        let dx_errors = sum_errors(dx_shape, n, &case.dy, &transposed(&case.w, n, k));
        let dw_shape = LinearShape { m: n, n: k, k: m };
        let (dy_t, x_t) = (transposed(&case.dy, m, n), transposed(&case.x, m, k));
        let dw_errors = sum_errors(dw_shape, m, &dy_t, &x_t);
        let db_shape = LinearShape { m: n, n: 1, k: m };
        let db_errors = sum_errors(db_shape, m + 2, &dy_t, &vec![1.0; m]);
        let there = add.then_some([&dx_start[..], &dw_start, &db_start]);
        on_each_device!(|device| {
            let got = case.backward(device, there, bias);
            let [got_dx, got_dw, got_db] = &got;
            let limit = |i: usize| dx_errors[i] + 4.0 * ULP * (dx[i].abs() + 8.0);
            assert_close_reals(device, "dx", got_dx, &dx, limit);
            assert_close("dw", got_dw, &dw, |i| dw_errors[i] + 4.0 * ULP * (dw[i].abs() + 8.0));
            if bias {
                let limit = |i: usize| db_errors[i] + 8.0 * m as f64 * ULP;
                assert_close("dbias", got_db, &db, limit);
            }
            got.map(|x| bits(&x))
        });
    }

    #[test]
    fn reference_gradients_are_those_of_the_product(
        m in 0usize..4, n in 0usize..5, k in 0usize..5, seed: u64,
    ) {
        let case = Case::new(LinearShape { m, n, k }, seed);
        let [x, w, bias, dy] = [&case.x, &case.w, &case.bias, &case.dy].map(|x| wide(x));
        let loss = |x: &[f64], w: &[f64], bias: &[f64]| -> f64 {
            let y = reference::linear(case.shape, x, w, Some(bias));
            y.iter().zip(&dy).map(|(a, b)| a * b).sum()
        };
        let (dx, dw, db) = reference::linear_backward(case.shape, &x, &w, &dy);
        assert_gradient("dx", &x, &dx, |x| loss(x, &w, &bias));
        assert_gradient("dw", &w, &dw, |w| loss(&x, w, &bias));
        assert_gradient("dbias", &bias, &db, |b| loss(&x, &w, b));
    }

    /// Inputs that bf16 does not hold are rounded once where the device multiplies in bf16, and not at
    /// all elsewhere.
    #[test]
    fn precision_is_that_of_the_device(shape in shapes(), seed: u64) {
        let mut case = Case::new(shape, seed);
        case.x.iter_mut().chain(&mut case.w).for_each(|v| *v *= 1.003);
        let want = reference::linear(shape, &wide(&case.x), &wide(&case.w), None);
        let errors = sum_errors(shape, shape.k, &case.x, &case.w);
        let limit = |bf16: bool| {
            1.0 + if bf16 { 2.1 * BF16 / ((shape.k as f64 + 2.0) * ULP) } else { 0.0 }
        };
        for device in devices() {
            let got = case.forward_master(&device, false, None);
            let bf16 = device.multiply == Multiply::Bf16 && device.isa == Isa::Avx512Bf16;
            assert_close("y", &got, &want, |i| limit(bf16) * errors[i]);
        }
        on_gpus!(|device| {
            let got = case.forward_master(device, false, None);
            let limit = limit(device.training_format() == WeightFormat::Bf16);
            assert_close_reals(device, "y", &got, &want, |i| limit * errors[i]);
            bits(&got)
        });
    }
}
