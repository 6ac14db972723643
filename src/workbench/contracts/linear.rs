//! Linear with weights under training and with packed ones in f32 and bf16: forward, with a bias and on top of what
//! is there, gated (`linear_swiglu.rs`), logits, and both gradients.
//!
//! Tolerance. A product of k terms may be off by k + 6 roundings of the sum of their magnitudes, whatever the order that
//! they are added in (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1).

use super::linear_many::products;
use super::linear_swiglu::{self, gated};
use super::trained::Trained;
use super::{limits, magnitudes, normals, onto, to_bf16, wide};
use crate::device::{Device, Real, Result};
use crate::ops::linear::{LinearShape, Weight, WeightFormat, reference};
use crate::ops::philox::PhiloxStream;
use crate::workbench::{Contract, Cost, Draw, Probe};

const ULP: f64 = f32::EPSILON as f64;

/// The contract of `linear`.
pub struct LinearContract;

impl Contract for LinearContract {
    type Shape = LinearShape;
    const OP: &'static str = "linear";

    fn shape(draw: Draw, random: &mut PhiloxStream) -> LinearShape {
        let (m, n, k) = match draw {
            // The projection behind attention of SmolLM2-135M.
            Draw::Counted => (128, 576, 576),
            Draw::Model => (5, 192, 576),
            Draw::Smallest => (1, 1, 1),
            // More rows than decoding has, of multiples of 16 bytes.
            Draw::Many => (72, 136, 104),
            // Around the tiles, and rows that start at no multiple of 16 bytes.
            _ => (
                [1 + random.below(14), 60 + random.below(10)][random.below(2)],
                [1 + random.below(70), 64, 120 + random.below(15)][random.below(3)],
                [1 + random.below(70), 100 + random.below(35)][random.below(2)],
            ),
        };
        LinearShape { m, n, k }
    }

    fn limits(s: &LinearShape) -> std::result::Result<(), String> {
        limits::sizes(
            &[("m", s.m), ("n", s.n), ("k", s.k)],
            &[&[s.m, s.k], &[s.n, s.k], &[s.m, s.n]],
        )
    }

    fn costs(s: &LinearShape, _: u64, real: usize) -> Vec<Cost> {
        let LinearShape { m, n, k } = *s;
        let (x, y, logits, bias) = (m * k * real, m * n * real, 4 * m * n, 4 * n);
        // Weights in the type of the activations, and in the other one.
        let (w, other_w) = (n * k * real, n * k * (6 - real));
        let (own, other) = match real {
            2 => ("bf16", "f32"),
            _ => ("f32", "bf16"),
        };
        let by = |kind: &str| format!("{kind}_nt_{own}_by_{other}");
        let flops = 2 * m * n * k;
        vec![
            Cost::new("round_bf16", 6 * n * k, 0),
            Cost::new("linear_nt", x + w + bias + y, flops + m * n),
            linear_swiglu::cost(s, real),
            Cost::new(by("linear"), x + other_w + bias + y, flops + m * n),
            Cost::new("logits_nt", x + w + logits, flops),
            Cost::new(by("logits"), x + other_w + logits, flops),
            Cost::new("linear_nn", y + w + x, flops),
            Cost::new("linear_tn", y + x + 4 * n * k, flops),
            Cost::new("row_sums", y + bias, m * n),
            Cost::new("column_sums", 3 * bias, n),
        ]
    }

    fn run<D: Device>(
        s: &LinearShape,
        draw: Draw,
        seed: u64,
        probe: &mut Probe<'_, D>,
    ) -> Result<()> {
        let LinearShape { m, n, k } = *s;
        let device = probe.device;
        let (x, dy) = (normals(draw, seed, 1, m * k), normals(draw, seed, 4, m * n));
        let (w, bias) = (
            normals(Draw::Any, seed, 2, n * k),
            normals(Draw::Any, seed, 3, n),
        );
        let start = |stream: u64, len: usize| normals(Draw::Any, seed, stream, len);

        let x_in = probe.reals("x", &x)?;
        let trained = Trained::new("weight", (n, k), &w, probe)?;
        let bias_in = probe.floats("bias", &bias)?;
        // The numbers of `w` are those of bf16; these are not, so that packing rounds them.
        let fine: Vec<f32> = w.iter().map(|v| v * 1.003).collect();
        let rounded: Vec<f32> = fine.iter().copied().map(to_bf16).collect();
        let single = device.pack(&w, n, k, WeightFormat::F32)?;
        let half = device.pack(&fine, n, k, WeightFormat::Bf16)?;
        let real = size_of::<D::Real>();
        let (x_bytes, y_bytes) = (m * k * real, m * n * real);
        for (of, weight, w, w_bytes) in [
            ("", trained.weight(), &w, trained.bytes),
            (" of packed f32", Weight::Packed(&single), &w, 4 * n * k),
            (
                " of packed bf16",
                Weight::Packed(&half),
                &rounded,
                2 * n * k,
            ),
        ] {
            let mut y = probe.new_reals(m * n)?;
            let bytes = x_bytes + w_bytes + 4 * n + y_bytes;
            probe.call(format!("linear{of}"), bytes, |device| {
                device.linear(*s, &x_in, weight, Some(&*bias_in), &mut y, false)
            })?;
            let (want, error) = product(*s, &x, w, Some(&bias));
            probe.take_reals(format!("y{of}"), &y, want, error)?;
            let mut logits = probe.new_floats(m * n)?;
            let bytes = x_bytes + w_bytes + 4 * m * n;
            probe.call(format!("logits{of}"), bytes, |device| {
                device.logits(*s, &x_in, weight, &mut logits)
            })?;
            let (want, error) = product(*s, &x, w, None);
            probe.take_floats(format!("logits{of}"), &logits, want, error)?;
        }

        gated("gated y", *s, true, (draw, seed), probe)?;

        let there = start(5, m * n);
        let mut y = probe.sum_reals(&there)?;
        let bytes = x_bytes + trained.bytes + 2 * y_bytes;
        probe.call("linear on top", bytes, |device| {
            device.linear(*s, &x_in, trained.weight(), None, &mut y, true)
        })?;
        let (want, error) = product(*s, &x, &w, None);
        let relative = 4.0 * ULP + D::Real::ROUNDING;
        let (want, error) = onto(&want, &error, &there, relative);
        probe.take_reals("y on top", &y, want, error)?;
        probe.summed();

        let (wide_dx, wide_dw, wide_db) =
            reference::linear_backward(*s, &wide(&x), &wide(&w), &wide(&dy));
        let size =
            reference::linear_backward(*s, &magnitudes(&x), &magnitudes(&w), &magnitudes(&dy));
        let scaled = |size: &[f64], terms: usize| -> Vec<f64> {
            size.iter()
                .map(|size| (terms as f64 + 4.0) * ULP * size)
                .collect()
        };
        let dy_in = probe.reals("dy", &dy)?;
        let mut dx = probe.new_reals(m * k)?;
        let bytes = y_bytes + trained.bytes + x_bytes;
        probe.call("linear_backward_input", bytes, |device| {
            device.linear_backward_input(*s, &dy_in, trained.weight(), &mut dx, false)
        })?;
        probe.take_reals("dx", &dx, wide_dx, scaled(&size.0, n))?;

        let bytes = y_bytes + x_bytes + 4 * n * k + 4 * n;
        let (mut dw, mut db) = (probe.new_floats(n * k)?, probe.new_floats(n)?);
        probe.call("linear_backward_weight", bytes, |device| {
            device.linear_backward_weight(*s, &dy_in, &x_in, &mut dw, Some(&mut db), false)
        })?;
        probe.take_floats("new dweight", &dw, wide_dw.clone(), scaled(&size.1, m))?;
        probe.take_floats("new dbias", &db, wide_db.clone(), scaled(&size.2, m))?;

        let (dw_there, db_there) = (start(6, n * k), start(7, n));
        let (mut dw, mut db) = (probe.sum_floats(&dw_there)?, probe.sum_floats(&db_there)?);
        let bytes = bytes + 4 * n * k + 4 * n;
        probe.call("linear_backward_weight on top", bytes, |device| {
            device.linear_backward_weight(*s, &dy_in, &x_in, &mut dw, Some(&mut db), true)
        })?;
        let (want, error) = onto(&wide_dw, &scaled(&size.1, m), &dw_there, 4.0 * ULP);
        probe.take_floats("dweight", &dw, want, error)?;
        probe.summed();
        let (want, error) = onto(&wide_db, &scaled(&size.2, m), &db_there, 4.0 * ULP);
        probe.take_floats("dbias", &db, want, error)?;
        probe.summed();
        match draw {
            Draw::Many => products(seed, probe),
            _ => Ok(()),
        }
    }
}

/// `x · wᵀ + bias`, and its error: a rounding of the sum of the products' magnitudes for each of them.
pub fn product(s: LinearShape, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> (Vec<f64>, Vec<f64>) {
    let of = |numbers: fn(&[f32]) -> Vec<f64>| {
        let bias = bias.map(numbers);
        reference::linear(s, &numbers(x), &numbers(w), bias.as_deref())
    };
    let roundings = (s.k as f64 + 6.0) * ULP;
    let errors = of(magnitudes).iter().map(|size| roundings * size).collect();
    (of(wide), errors)
}
