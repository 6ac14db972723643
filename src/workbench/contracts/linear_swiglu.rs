//! Linear's products whose columns are gated.
//!
//! Tolerance. That of a product for gates and ups, and a rounding of each to the type of activations; what they make is off
//! by as much as the activation stretches that (silu's slope is at most 1.1), and by SwiGLU's own roundings.

use super::linear::product;
use super::trained::Trained;
use super::{normals, wide};
use crate::device::{Device, Real, Result};
use crate::ops::linear::{LinearShape, reference};
use crate::workbench::{Cost, Draw, Probe};

const ULP: f64 = f32::EPSILON as f64;
/// Below this an exponential may come out as 0.
const TINY: f64 = 2e-38;
/// The steepest that silu is: 1.0998 at 2.4.
const SLOPE: f64 = 1.1;

/// What it cannot do without: the weight has a row of gates and one of ups for each column.
pub fn cost(s: &LinearShape, real: usize) -> Cost {
    let LinearShape { m, n, k } = *s;
    let bytes = real * (m * k + 2 * n * k + m * n) + 8 * n;
    // Both products and their biases, then the activation.
    Cost::new("linear_swiglu_nt", bytes, m * n * (4 * k + 2 + 5))
}

/// Runs it on inputs that `seed` draws, with a bias where there is to be one, and hands what comes out to the probe.
pub fn gated<D: Device>(
    name: &str,
    s: LinearShape,
    with_bias: bool,
    (draw, seed): (Draw, u64),
    probe: &mut Probe<'_, D>,
) -> Result<()> {
    let LinearShape { m, n, k } = s;
    let x = normals(draw, seed, 31, m * k);
    let [w, bias] =
        [(32, 2 * n * k), (33, 2 * n)].map(|(stream, len)| normals(Draw::Any, seed, stream, len));
    let x_in = probe.reals(format!("{name} x"), &x)?;
    let trained = Trained::new(format!("{name} weight"), (2 * n, k), &w, probe)?;
    let bias_in = probe.floats(format!("{name} bias"), &bias)?;
    let mut y = probe.new_reals(m * n)?;
    let on_device = with_bias.then_some(&*bias_in);
    // Gates' and ups'.
    let bias_bytes = if with_bias { 8 * n } else { 0 };
    let bytes = size_of::<D::Real>() * (m * k + m * n) + trained.bytes + bias_bytes;
    probe.call("linear_swiglu", bytes, |device| {
        device.linear_swiglu(s, &x_in, trained.weight(), on_device, &mut y)
    })?;
    let bias = with_bias.then_some(&bias[..]);
    let want = reference::linear_swiglu(s, &wide(&x), &wide(&w), bias.map(wide).as_deref());
    let errors = errors::<D::Real>(s, &x, &w, bias);
    probe.take_reals(name, &y, want, errors)
}

/// Bounds of the errors of what a device with activations of type `T` makes of these.
pub fn errors<T: Real>(s: LinearShape, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f64> {
    let (sums, off) = product(s.gate_up(), x, w, bias);
    errors_of::<T>(s.n, &sums, off)
}

/// The same of `n` gates and as many ups a row that are off by so much before they are rounded.
pub(super) fn errors_of<T: Real>(n: usize, sums: &[f64], off: Vec<f64>) -> Vec<f64> {
    let off: Vec<f64> = sums
        .iter()
        .zip(off)
        .map(|(sum, off)| off + T::rounding(sum.abs() + off))
        .collect();
    let rows = sums
        .chunks_exact(2 * n.max(1))
        .zip(off.chunks_exact(2 * n.max(1)));
    rows.flat_map(|(sums, off)| {
        (0..n)
            .map(|j| {
                let (gate, up) = (sums[j], sums[n + j]);
                let (gate_off, up_off) = (off[j], off[n + j]);
                let open = (gate / (1.0 + (-gate).exp())).abs();
                let own = 6.0 * ULP * open * up.abs() + TINY * (gate * up).abs();
                own + SLOPE * gate_off * (up.abs() + up_off) + open * up_off
            })
            .collect::<Vec<_>>()
    })
    .collect()
}
