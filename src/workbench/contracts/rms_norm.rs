//! RMSNorm, plain, fused with the residual addition, and its backward.
//!
//! Tolerance. The sum of squares runs in at least 32 partial sums, so it is off by a 32nd of the row's length in
//! roundings; y, relatively, by as much and twelve more. Gradients add a rounding of the magnitudes for each
//! of their terms.

use super::{limits, magnitudes, normals, onto, to_bf16, wide};
use crate::device::{Device, Real, Result};
use crate::ops::philox::PhiloxStream;
use crate::ops::rms_norm::{NormShape, reference};
use crate::workbench::{Contract, Cost, Draw, Probe};

const ULP: f64 = f32::EPSILON as f64;

/// The contract of `rms_norm`.
pub struct RmsNormContract;

impl Contract for RmsNormContract {
    type Shape = NormShape;
    const OP: &'static str = "rms_norm";

    fn shape(draw: Draw, random: &mut PhiloxStream) -> NormShape {
        let (rows, dim) = match draw {
            // SmolLM2-135M.
            Draw::Counted => (64, 576),
            Draw::Model => (6, 576),
            Draw::Smallest => (1, 1),
            // Rows that fit one block, rows that do not, and any width between.
            _ => (
                1 + random.below(9),
                [1 + random.below(40), 64, 100 + random.below(600), 8208][random.below(4)],
            ),
        };
        let eps = [1e-5, 1e-6][random.below(2)];
        NormShape { rows, dim, eps }
    }

    fn limits(s: &NormShape) -> std::result::Result<(), String> {
        limits::sizes(&[("rows", s.rows), ("dim", s.dim)], &[&[s.rows, s.dim]])?;
        limits::positive("eps", s.eps)
    }

    fn costs(s: &NormShape, _: u64, real: usize) -> Vec<Cost> {
        let (n, weight) = (s.rows * s.dim, 4 * s.dim);
        vec![
            Cost::new("rms_norm", 2 * n * real + weight, 4 * n),
            Cost::new("add_rms_norm", 4 * n * real + weight, 5 * n),
            // With the weight's gradient, which is added to.
            Cost::new("rms_norm_backward", 4 * n * real + 3 * weight, 14 * n),
        ]
    }

    fn run<D: Device>(
        s: &NormShape,
        draw: Draw,
        seed: u64,
        probe: &mut Probe<'_, D>,
    ) -> Result<()> {
        let len = s.rows * s.dim;
        let costs = Self::costs(s, seed, size_of::<D::Real>());
        let bytes = |kernel| Cost::bytes_of(kernel, &costs);
        let [x, delta, dy] = [1, 2, 4].map(|stream| rows(s, draw, seed, stream));
        let w = normals(Draw::Any, seed, 3, s.dim);
        let (wide_x, wide_w) = (wide(&x), wide(&w));

        let (x_in, w_in) = (probe.reals("x", &x)?, probe.floats("weight", &w)?);
        let mut y = probe.new_reals(len)?;
        probe.call("rms_norm", bytes("rms_norm"), |device| {
            device.rms_norm(*s, &x_in, &w_in, &mut y)
        })?;
        let want = reference::rms_norm(*s, &wide_x, &wide_w);
        let error: Vec<f64> = want.iter().map(|v| norm_error(s.dim) * v.abs()).collect();
        probe.take_reals("y", &y, want, error)?;

        let delta_in = probe.reals("delta", &delta)?;
        let (mut sum, mut y) = (probe.new_reals(len)?, probe.new_reals(len)?);
        probe.call("add_rms_norm", bytes("add_rms_norm"), |device| {
            device.add_rms_norm(*s, &x_in, &delta_in, &w_in, &mut sum, &mut y)
        })?;
        let added = x
            .iter()
            .zip(&delta)
            .map(|(a, b)| D::Real::from_f32(a + b).to_f32());
        let added: Vec<f64> = added.map(f64::from).collect();
        let want = reference::rms_norm(*s, &added, &wide_w);
        let error: Vec<f64> = want.iter().map(|v| norm_error(s.dim) * v.abs()).collect();
        let exact = vec![0.0; len];
        probe.take_reals("sum", &sum, added, exact)?;
        probe.take_reals("y of the sum", &y, want, error)?;

        let dy_in = probe.reals("dy", &dy)?;
        let (start_x, start_w) = (
            normals(Draw::Any, seed, 5, len),
            normals(Draw::Any, seed, 6, s.dim),
        );
        let (mut dx, mut dw) = (probe.sum_reals(&start_x)?, probe.sum_floats(&start_w)?);
        probe.call("rms_norm_backward", bytes("rms_norm_backward"), |device| {
            device.rms_norm_backward(*s, &x_in, &w_in, &dy_in, &mut dx, &mut dw)
        })?;
        let (gradient_x, gradient_w) =
            reference::rms_norm_backward(*s, &wide_x, &wide_w, &wide(&dy));
        let [error_x, error_w] = gradient_errors(s.eps, &x, &w, &dy);
        // What is already there, and the sums with it.
        let relative = (s.rows as f64 + 2.0) * ULP;
        let (want, error) = onto(&gradient_x, &error_x, &start_x, relative);
        probe.take_reals("dx", &dx, want, error)?;
        probe.summed();
        let (want, error) = onto(&gradient_w, &error_w, &start_w, relative);
        probe.take_floats("dweight", &dw, want, error)?;
        probe.summed();
        Ok(())
    }
}

/// Rows of very different lengths, some of them zero.
fn rows(s: &NormShape, draw: Draw, seed: u64, stream: u64) -> Vec<f32> {
    let mut x = normals(draw, seed, stream, s.rows * s.dim);
    if draw == Draw::Any {
        let mut random = PhiloxStream::new(seed, 16 + stream);
        for row in x.chunks_exact_mut(s.dim) {
            let scale = [0.0, 1.0, 1.0, 1.0 / 1024.0][random.below(4)];
            row.iter_mut().for_each(|v| *v = to_bf16(*v * scale));
        }
    }
    x
}

/// Relative error of an RMSNorm over `dim` elements, whose sum runs in 32 partial sums.
pub fn norm_error(dim: usize) -> f64 {
    (dim as f64 / 32.0 + 12.0) * ULP
}

/// Bounds of the errors of an RMSNorm's f32 gradients `dx[rows, dim]` and `dw[dim]`, from the magnitudes
/// of what is added. Sums over a row run in 32 partial sums.
pub fn gradient_errors(eps: f32, x: &[f32], w: &[f32], dy: &[f32]) -> [Vec<f64>; 2] {
    let dim = w.len();
    let (x, w, dy) = (magnitudes(x), magnitudes(w), magnitudes(dy));
    let relative = norm_error(dim);
    let rows = (x.len() / dim) as f64;
    let (mut dx, mut dw) = (Vec::new(), vec![0.0; dim]);
    for (x, dy) in x.chunks_exact(dim).zip(dy.chunks_exact(dim)) {
        let square: f64 = x.iter().map(|v| v * v).sum();
        let r = (square / dim as f64 + f64::from(eps)).sqrt().recip();
        let dot: f64 = (0..dim).map(|j| w[j] * dy[j] * x[j]).sum();
        let back = dot * r.powi(3) / dim as f64;
        for j in 0..dim {
            dx.push(4.0 * relative * (r * w[j] * dy[j] + back * x[j]));
            dw[j] += (2.0 * relative + rows * ULP) * dy[j] * x[j] * r;
        }
    }
    [dx, dw]
}
