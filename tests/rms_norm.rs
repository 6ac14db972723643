//! RMSNorm of every device against its f64 reference.

mod common;

use common::*;
use lrem::ops::philox::PhiloxStream;
use lrem::ops::rms_norm::{NormShape, RmsNorm, reference};
use proptest::prelude::*;

const ULP: f64 = f32::EPSILON as f64;

fn shapes() -> impl Strategy<Value = NormShape> {
    // Rows of 8208 have more packs than a block has threads.
    let dim =
        prop_oneof![4 => 1usize..40, 2 => Just(64usize), 8 => 100usize..700, 1 => Just(8208usize)];
    let eps = prop_oneof![Just(1e-5f32), 1e-6f32..1e-2];
    (0usize..70, dim, eps).prop_map(|(rows, dim, eps)| NormShape { rows, dim, eps })
}

struct Case {
    shape: NormShape,
    x: Vec<f32>,
    delta: Vec<f32>,
    w: Vec<f32>,
    dy: Vec<f32>,
}

impl Case {
    /// Rows of very different lengths, some of them zero.
    fn new(shape: NormShape, seed: u64) -> Case {
        let len = shape.rows * shape.dim;
        let mut random = PhiloxStream::new(seed, 0);
        let mut rows = |stream: u64| {
            let mut x = normals(seed, stream, len);
            for row in x.chunks_exact_mut(shape.dim) {
                let scale = [0.0, 1.0, 1.0, 1.0 / 1024.0, 1024.0][random.below(5)];
                row.iter_mut().for_each(|v| *v *= scale);
            }
            x
        };
        Case {
            shape,
            x: rows(1),
            delta: rows(2),
            w: normals(seed, 3, shape.dim),
            dy: normals(seed, 4, len),
        }
    }

    fn forward<D: RmsNorm>(&self, device: &D, x: &[f32]) -> Vec<f32> {
        let mut y = poisoned_reals(device, x.len());
        let (x_rows, w) = (reals(device, x), floats(device, &self.w));
        device.rms_norm(self.shape, &x_rows, &w, &mut y).unwrap();
        read_reals(device, "y", &y, x.len())
    }

    /// `(sum, y)`.
    fn fused<D: RmsNorm>(&self, device: &D) -> [Vec<f32>; 2] {
        let len = self.x.len();
        let [x, delta] = [&self.x, &self.delta].map(|x| reals(device, x));
        let [mut sum, mut y] = [(); 2].map(|()| poisoned_reals(device, len));
        let w = floats(device, &self.w);
        device
            .add_rms_norm(self.shape, &x, &delta, &w, &mut sum, &mut y)
            .unwrap();
        [("sum", sum), ("y", y)].map(|(what, x)| read_reals(device, what, &x, len))
    }

    /// `(dx, dw)` on top of ones.
    fn backward<D: RmsNorm>(&self, device: &D) -> [Vec<f32>; 2] {
        let (len, dim) = (self.x.len(), self.shape.dim);
        let [x, dy] = [&self.x, &self.dy].map(|x| reals(device, x));
        let w = floats(device, &self.w);
        let mut dx = reals(device, &vec![1.0; len]);
        let mut dw = floats(device, &vec![1.0; dim]);
        device
            .rms_norm_backward(self.shape, &x, &w, &dy, &mut dx, &mut dw)
            .unwrap();
        [
            read_reals(device, "dx", &dx, len),
            read_floats(device, "dw", &dw, dim),
        ]
    }
}

fn forward_agrees<D: RmsNorm>(device: &D, case: &Case, want: &[f64]) -> [Vec<u32>; 2] {
    let y = case.forward(device, &case.x);
    let limit = |i: usize| norm_error(case.shape.dim) * want[i].abs();
    assert_close_reals(device, "y", &y, want, limit);

    let [sum, fused] = case.fused(device);
    let added: Vec<f32> = case.x.iter().zip(&case.delta).map(|(a, b)| a + b).collect();
    assert_eq!(bits(&sum), bits(&stored(device, &added)));
    let plain = case.forward(device, &sum);
    assert_eq!(bits(&fused), bits(&plain));
    [bits(&y), bits(&plain)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn forward_agrees_with_the_reference(shape in shapes(), seed: u64) {
        let case = Case::new(shape, seed);
        let want = reference::rms_norm(shape, &wide(&case.x), &wide(&case.w));
        on_every_device!(|device| forward_agrees(device, &case, &want));
    }

    #[test]
    fn backward_agrees_with_the_reference(shape in shapes(), seed: u64) {
        let case = Case::new(shape, seed);
        let (x, w, dy) = (wide(&case.x), wide(&case.w), wide(&case.dy));
        let (dx, dw) = reference::rms_norm_backward(shape, &x, &w, &dy);
        let [dx, dw] = [dx, dw].map(|g| g.iter().map(|v| v + 1.0).collect::<Vec<f64>>());
        let [dx_errors, dw_errors] = norm_gradient_errors(shape.eps, &case.x, &case.w, &case.dy);
        // What is already there, and the sums with it.
        let start = |sum: f64| ULP * (shape.rows as f64 + 2.0) * (1.0 + sum.abs());
        on_every_device!(|device| {
            let got = case.backward(device);
            assert_close_reals(device, "dx", &got[0], &dx, |i| dx_errors[i] + start(dx[i]));
            assert_close("dw", &got[1], &dw, |i| dw_errors[i] + start(dw[i]));
            got.map(|g| bits(&g))
        });
    }

    #[test]
    fn reference_gradients_are_those_of_the_norm(
        rows in 1usize..4, dim in 1usize..7, seed: u64,
    ) {
        let shape = NormShape { rows, dim, eps: 0.1 };
        let x = wide(&normals(seed, 0, rows * dim));
        let (w, dy) = (wide(&normals(seed, 1, dim)), wide(&normals(seed, 2, rows * dim)));
        let loss = |x: &[f64], w: &[f64]| -> f64 {
            let y = reference::rms_norm(shape, x, w);
            y.iter().zip(&dy).map(|(a, b)| a * b).sum()
        };
        let (dx, dw) = reference::rms_norm_backward(shape, &x, &w, &dy);
        assert_gradient("dx", &x, &dx, |x| loss(x, &w));
        assert_gradient("dw", &w, &dw, |w| loss(&x, w));
    }
}

#[test]
fn the_threads_do_not_change_a_bit() {
    let shape = NormShape {
        rows: 200,
        dim: 577,
        eps: 1e-5,
    };
    let case = Case::new(shape, 1);
    for device in devices() {
        same_on_one_thread(|| {
            let [dx, dw] = case.backward(&device);
            [case.forward(&device, &case.x), dx, dw].map(|x| bits(&x))
        });
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    on_every_device!(|device| refuses(device));
}

fn refuses<D: RmsNorm>(device: &D) {
    let shape = NormShape {
        rows: 2,
        dim: 3,
        eps: 1e-5,
    };
    let plain = |shape: NormShape, sizes: [usize; 3]| {
        let [x, mut y] = [sizes[0], sizes[2]].map(|len| device.zeros(len).unwrap());
        let w = device.zeros(sizes[1]).unwrap();
        message(device.rms_norm(shape, &x, &w, &mut y))
    };
    assert_eq!(plain(shape, [6, 3, 6]), "");
    assert_eq!(plain(shape, [5, 3, 6]), "rms_norm: x has 5, expected 6");
    assert_eq!(
        plain(shape, [6, 2, 6]),
        "rms_norm: weight has 2, expected 3"
    );
    assert_eq!(plain(shape, [6, 3, 5]), "rms_norm: y has 5, expected 6");
    let none = NormShape { dim: 0, ..shape };
    assert_eq!(
        plain(none, [6, 3, 6]),
        "rms_norm: rows of no elements have no norm"
    );

    let fused = |sizes: [usize; 5]| {
        let [x, delta, _, mut sum, mut y] = sizes.map(|len| device.zeros(len).unwrap());
        let w = device.zeros(sizes[2]).unwrap();
        message(device.add_rms_norm(shape, &x, &delta, &w, &mut sum, &mut y))
    };
    let backward = |sizes: [usize; 5]| {
        let [x, dy, _, mut dx, _] = sizes.map(|len| device.zeros(len).unwrap());
        let [_, _, w, _, mut dw] = sizes.map(|len| device.zeros(len).unwrap());
        message(device.rms_norm_backward(shape, &x, &w, &dy, &mut dx, &mut dw))
    };
    let names = [
        ["x", "delta", "weight", "sum", "y"],
        ["x", "dy", "weight", "dx", "dw"],
    ];
    let needed = [[6, 6, 3, 6, 6], [6, 6, 3, 6, 3]];
    assert_eq!([fused(needed[0]), backward(needed[1])], ["", ""]);
    for i in 0..5 {
        let [a, b] = needed.map(|mut sizes| {
            sizes[i] -= 1;
            sizes
        });
        let says = |op: &str, which: usize| {
            let (what, expected) = (names[which][i], needed[which][i]);
            format!("{op}: {what} has {}, expected {expected}", expected - 1)
        };
        assert_eq!(fused(a), says("add_rms_norm", 0));
        assert_eq!(backward(b), says("rms_norm_backward", 1));
    }
}
