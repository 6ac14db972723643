//! Linear with weights in int8: the quantisation, and products with what it keeps.
//!
//! Tolerance. As of linear, on the weights that are stored; what quantisation itself loses is held to half a step.

use super::linear::product;
use super::{LinearContract, magnitudes, normals, onto, wide};
use crate::device::{Device, Real, Result};
use crate::ops::linear::{LinearShape, Weight, WeightFormat, reference};
use crate::ops::philox::PhiloxStream;
use crate::workbench::{Contract, Cost, Draw, Probe};

const ULP: f64 = f32::EPSILON as f64;
/// Weights that share a scale.
pub const GROUP: usize = 32;
/// Steps on either side of 0.
const STEPS: f32 = 127.0;

/// The contract of `linear_int8`.
pub struct LinearInt8Contract;

impl Contract for LinearInt8Contract {
    type Shape = LinearShape;
    const OP: &'static str = "linear_int8";

    fn shape(draw: Draw, random: &mut PhiloxStream) -> LinearShape {
        LinearContract::shape(draw, random)
    }

    fn limits(s: &LinearShape) -> std::result::Result<(), String> {
        LinearContract::limits(s)
    }

    fn costs(s: &LinearShape, _: u64, real: usize) -> Vec<Cost> {
        let LinearShape { m, n, k } = *s;
        let (x, weight) = (m * k * real, n * int8_row(k));
        // A product and a sum more for each scale.
        let flops = 2 * m * n * (k + k.div_ceil(GROUP));
        vec![
            // The largest magnitude, the quotient and its rounding.
            Cost::new("quantise_int8", 4 * n * k + weight, 3 * n * k),
            Cost::new(
                "linear_int8",
                x + weight + 4 * n + m * n * real,
                flops + m * n,
            ),
            Cost::new("logits_int8", x + weight + 4 * m * n, flops),
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
        // A device may round what it multiplies by an int8 weight to int8 too: these are as they are then.
        let x = steps(draw, seed, 1, m, k);
        let w = steps(Draw::Any, seed, 2, n, k);
        let bias = normals(Draw::Any, seed, 3, n);
        let x_in = probe.reals("x", &x)?;
        let bias_in = probe.floats("bias", &bias)?;
        let packed = device.pack(&w, n, k, WeightFormat::Int8)?;
        let packed = Weight::Packed(&packed);
        let mut y = probe.new_reals(m * n)?;
        device.linear(*s, &x_in, packed, Some(&*bias_in), &mut y, false)?;
        let (want, error) = product(*s, &x, &w, Some(&bias));
        probe.take_reals("y", &y, want, error)?;

        let there = normals(Draw::Any, seed, 4, m * n);
        let mut y = probe.sum_reals(&there)?;
        device.linear(*s, &x_in, packed, None, &mut y, true)?;
        let (want, error) = product(*s, &x, &w, None);
        let relative = 4.0 * ULP + D::Real::ROUNDING;
        let (want, error) = onto(&want, &error, &there, relative);
        probe.take_reals("y on top", &y, want, error)?;
        probe.summed();

        // Weights that are rounded, and a NaN among them.
        let mut w = normals(Draw::Any, seed, 5, n * k);
        w.iter_mut().for_each(|v| *v *= 1.003);
        if draw == Draw::NotFinite {
            w[PhiloxStream::new(seed, 6).below(n * k)] = f32::NAN;
        }
        let packed = device.pack(&w, n, k, WeightFormat::Int8)?;
        let mut logits = probe.new_floats(m * n)?;
        device.logits(*s, &x_in, Weight::Packed(&packed), &mut logits)?;
        let (kept, off) = quantised(&w, k);
        let want = reference::linear(*s, &wide(&x), &kept, None);
        let roundings = (k as f64 + 6.0) * ULP;
        let sizes = kept.iter().map(|v| v.abs() * roundings);
        let errors: Vec<f64> = sizes.zip(off).map(|(size, off)| size + off).collect();
        let error = reference::linear(*s, &magnitudes(&x), &errors, None);
        probe.take_floats("logits", &logits, want, error)
    }
}

/// Bytes of a row of `k` weights and of its scales.
pub fn int8_row(k: usize) -> usize {
    k + 4 * k.div_ceil(GROUP)
}

/// Rows that int8 keeps as they are: whole numbers up to 127, which one of each group is, times a power of
/// two for the group.
fn steps(draw: Draw, seed: u64, stream: u64, rows: usize, k: usize) -> Vec<f32> {
    let mut random = PhiloxStream::new(seed, stream);
    let mut x = Vec::with_capacity(rows * k);
    for _ in 0..rows {
        for start in (0..k).step_by(GROUP) {
            let len = GROUP.min(k - start);
            let large = if draw == Draw::Large { 1024.0 } else { 1.0 };
            let step = large / [32.0, 64.0, 128.0][random.below(3)];
            let largest = random.below(len);
            x.extend((0..len).map(|i| {
                let whole = random.below(255) as f32 - STEPS;
                let whole = if i == largest {
                    STEPS.copysign(whole)
                } else {
                    whole
                };
                step * whole
            }));
        }
    }
    if draw == Draw::NotFinite {
        x[random.below(rows * k)] = f32::NAN;
    }
    x
}

/// What int8 keeps of rows of `k` weights, and how far off it may be: a step where a weight is so near the
/// middle between two that rounding decides, and the scale's own rounding.
fn quantised(w: &[f32], k: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut kept, mut off) = (Vec::new(), Vec::new());
    for group in w.chunks(k).flat_map(|row| row.chunks(GROUP)) {
        let larger = |a: f32, v: &f32| {
            if v.abs() > a || v.is_nan() {
                v.abs()
            } else {
                a
            }
        };
        let scale = f64::from(group.iter().fold(0.0, larger) / STEPS);
        for &v in group {
            let steps = if scale == 0.0 {
                0.0
            } else {
                f64::from(v) / scale
            };
            let middle = (steps.abs().fract() - 0.5).abs();
            // A product with an inverse: two roundings.
            let step = if middle <= ULP * steps.abs() {
                scale
            } else {
                0.0
            };
            kept.push(scale * steps.round_ties_even());
            off.push(step + ULP * (scale * steps).abs());
        }
    }
    (kept, off)
}
