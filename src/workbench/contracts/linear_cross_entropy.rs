//! Linear + cross-entropy, forward and both gradients.
//!
//! Tolerance. A logit may be off by k + 2 roundings of the largest product of norms, its exponential relatively by as
//! much; gradients add the rounding of probabilities that tensor cores take in bf16, and the roundings of
//! their sums.

use super::trained::Trained;
use super::{limits, normals, onto, wide};
use crate::device::cuda::strip_columns;
use crate::device::{Device, Result};
use crate::ops::linear::{LinearShape, WeightFormat};
use crate::ops::linear_cross_entropy::reference;
use crate::ops::philox::PhiloxStream;
use crate::workbench::{Contract, Cost, Draw, Probe};

const ULP: f64 = f32::EPSILON as f64;

/// Of so many rows one has no coefficient, the first.
const ABSENT: usize = 3;

/// The contract of `linear_cross_entropy`.
pub struct LinearCrossEntropyContract;

impl Contract for LinearCrossEntropyContract {
    type Shape = LinearShape;
    const OP: &'static str = "linear_cross_entropy";

    fn shape(draw: Draw, random: &mut PhiloxStream) -> LinearShape {
        let (m, n, k) = match draw {
            // A fraction of the vocabulary of SmolLM2-135M.
            Draw::Counted => (64, 2048, 576),
            Draw::Model => (6, 320, 576),
            Draw::Smallest => (1, 1, 1),
            // Rows at multiples of 16 bytes, of which enough have a coefficient.
            Draw::Many => (
                100 + random.below(50),
                1 + random.below(300),
                8 * (1 + random.below(5)),
            ),
            _ => (
                1 + random.below(12),
                1 + random.below(200),
                1 + random.below(40),
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
        let (row, w) = (k * real, n * k * real);
        // Rows with a coefficient.
        let active = m - m.div_ceil(ABSENT);
        // The first strip of the vocabulary.
        let strip = n.min(strip_columns(active.max(1)));
        // Two products of a logit, then the scale, the maximum or lse, the exponential and the sum or coefficient.
        let logits = |rows: usize, n: usize| rows * n * (2 * k + 4);
        vec![
            // Of a row its target, and out a maximum, a sum and the target's logit.
            Cost::new("lce_forward", m * (row + 16) + w, logits(m, n)),
            Cost::new("lce_finish", 20 * m, 4 * m),
            Cost::new("lce_gather", active * (2 * row + 4), 0),
            Cost::new(
                "lce_gradient",
                active * (row + 16 + strip * real) + strip * row,
                logits(active, strip),
            ),
            Cost::new("lce_scatter", 4 * active * k + m * (4 + row), 0),
        ]
    }

    fn run<D: Device>(s: &LinearShape, _: Draw, seed: u64, probe: &mut Probe<'_, D>) -> Result<()> {
        // What an infinite logit is worth is not the contract's.
        let draw = Draw::Any;
        let LinearShape { m, n, k } = *s;
        let (hidden, w) = (normals(draw, seed, 2, m * k), normals(draw, seed, 3, n * k));
        let mut random = PhiloxStream::new(seed, 0);
        let targets: Vec<u32> = (0..m).map(|_| random.below(n) as u32).collect();
        let mut coefficients = normals(Draw::Any, seed, 1, m);
        coefficients
            .iter_mut()
            .step_by(ABSENT)
            .for_each(|c| *c = 0.0);
        let (wide_h, wide_w) = (wide(&hidden), wide(&w));
        let (nll, lse) = reference::linear_cross_entropy(*s, &wide_h, &wide_w, &targets);
        let (dhidden, dw) = reference::linear_cross_entropy_backward(
            *s,
            &wide_h,
            &wide_w,
            &targets,
            &wide(&coefficients),
        );
        // A logit is off by k roundings of the sum of the products' magnitudes.
        let most = |x: &[f64]| x.iter().fold(0.0f64, |a, v| a.max(v.abs()));
        let (most_h, most_w, most_lse) = (most(&wide_h), most(&wide_w), most(&lse));
        let logit_error = (k as f64 + 2.0) * ULP * most_h * most_w * (k as f64).sqrt();
        // The sum of n exponentials adds its own roundings, of at most 100 in one lane.
        let error = |x: f64| 2.0 * logit_error + 100.0 * ULP + 2.0 * ULP * x.abs();

        let h_in = probe.reals("hidden", &hidden)?;
        let trained = Trained::new("w", (n, k), &w, probe)?;
        let (mut got_nll, mut got_lse) = (probe.new_floats(m)?, probe.new_floats(m)?);
        let [forward, backward] = calls(s, trained.bytes, size_of::<D::Real>());
        probe.call("linear_cross_entropy", forward, |device| {
            let w = trained.weight();
            device.linear_cross_entropy(*s, &h_in, w, &targets, &mut got_nll, &mut got_lse)
        })?;
        let of_rows: Vec<f64> = lse.iter().map(|&x| error(x)).collect();

        let start = normals(Draw::Any, seed, 4, n * k);
        let news = [probe.new_floats(n * k)?, probe.sum_floats(&start)?];
        let mut gradients = Vec::new();
        for (mut dw, accumulate) in news.into_iter().zip([false, true]) {
            let mut dh = probe.new_reals(m * k)?;
            let (of, more) = if accumulate {
                (" on top", 4 * n * k)
            } else {
                ("", 0)
            };
            let name = format!("linear_cross_entropy_backward{of}");
            probe.call(name, backward + more, |device| {
                device.linear_cross_entropy_backward(
                    *s,
                    &h_in,
                    trained.weight(),
                    &targets,
                    &got_lse,
                    &coefficients,
                    &mut dh,
                    &mut dw,
                    accumulate,
                )
            })?;
            gradients.push((of, dh, dw));
        }
        probe.take_floats("nll", &got_nll, nll, of_rows.clone())?;
        probe.take_floats("lse", &got_lse, lse, of_rows)?;
        // A row's |softmax − onehot| sums to at most 2; each is off by its logit, its exponential and, in
        // bf16, its rounding.
        let bf16 = probe.device.training_format() == WeightFormat::Bf16;
        let rounding = if bf16 { 1.0 / 256.0 } else { 0.0 };
        let relative = rounding + 4.0 * error(most_lse) + (n.max(m) as f64).sqrt() * 4.0 * ULP;
        let row = |i: usize| 2.0 * f64::from(coefficients[i].abs());
        let of_h = (0..m * k).map(|i| relative * row(i / k) * most_w);
        let of_h: Vec<f64> = of_h.collect();
        let rows: f64 = (0..m).map(row).sum();
        let of_w = vec![relative * rows * most_h; n * k];
        for (of, got_dh, got_dw) in &gradients {
            probe.take_reals(
                format!("dhidden{of}"),
                got_dh,
                dhidden.clone(),
                of_h.clone(),
            )?;
            let (want, of_w) = match *of {
                "" => (dw.clone(), of_w.clone()),
                // Rows may be added one by one.
                _ => onto(&dw, &of_w, &start, (m as f64 + 2.0) * ULP),
            };
            probe.take_floats(format!("dw{of}"), got_dw, want, of_w)?;
        }
        probe.summed();
        Ok(())
    }
}

/// Bytes that the forward and the backward cannot do without: activations, `w` bytes of weights, targets; a row's loss
/// and log-sum-exp; of the backward the rows with a coefficient and what belongs to them, every row's gradient and the
/// weights'.
fn calls(s: &LinearShape, w: usize, real: usize) -> [usize; 2] {
    let LinearShape { m, n, k } = *s;
    let active = m - m.div_ceil(ABSENT);
    [
        m * (k * real + 12) + w,
        active * (k * real + 12) + w + m * k * real + 4 * n * k,
    ]
}
