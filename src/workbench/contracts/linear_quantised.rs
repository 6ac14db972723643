//! Linear with weights in groups of whole numbers with a scale each: the quantisation, and products with what
//! it keeps.

use super::linear::product;
use super::linear_int8::Int8;
use super::linear_swiglu::errors_of;
use super::{LinearContract, magnitudes, normals, onto, wide};
use crate::device::{Device, Real, Result};
use crate::ops::linear::{LinearShape, Weight, WeightFormat, reference};
use crate::ops::philox::PhiloxStream;
use crate::workbench::{Contract, Cost, Draw, Probe};
use std::marker::PhantomData;

const ULP: f64 = f32::EPSILON as f64;
/// Weights that share a scale.
pub const GROUP: usize = 32;

/// A format of weights.
pub trait Quantised {
    /// The op that multiplies by such weights.
    const OP: &'static str;
    const FORMAT: WeightFormat;
    /// What its kernels' names begin with: the quantisation's, the product's, the logits' and the gated product's.
    const KERNELS: [&'static str; 4];
    /// The lowest and the highest whole number.
    const WHOLE: [f64; 2];

    /// What a group's sums are multiplied by: a scale, and perhaps a shift.
    const FACTORS: usize;

    /// Bytes of a row of `k` weights and of its scales.
    fn row(k: usize) -> usize;

    /// The scale of a group, and its shift: the weight of 0.
    fn scale(group: &[f32]) -> [f32; 2];

    /// `len` weights of a group that the format keeps as they are, of about `size`.
    fn exact(size: f32, len: usize, random: &mut PhiloxStream) -> Vec<f32>;
}

/// The contract of products with weights in a format.
pub struct LinearQuantised<Q>(PhantomData<Q>);

impl<Q: Quantised> Contract for LinearQuantised<Q> {
    type Shape = LinearShape;
    const OP: &'static str = Q::OP;

    fn shape(draw: Draw, random: &mut PhiloxStream) -> LinearShape {
        match draw {
            // More rows than narrow tiles have, and no more than skinny ones.
            Draw::Large => LinearShape {
                m: 17 + random.below(47),
                n: 60 + random.below(10),
                k: 8 * (1 + random.below(18)),
            },
            _ => LinearContract::shape(draw, random),
        }
    }

    fn limits(s: &LinearShape) -> std::result::Result<(), String> {
        LinearContract::limits(s)
    }

    fn costs(s: &LinearShape, _: u64, real: usize) -> Vec<Cost> {
        let LinearShape { m, n, k } = *s;
        let (x, weight) = (m * k * real, n * Q::row(k));
        // A product and a sum more for each factor.
        let flops_of = |n: usize| 2 * m * n * (k + Q::FACTORS * k.div_ceil(GROUP));
        let (flops, halves) = (flops_of(n), gated(s).n);
        vec![
            // The largest magnitude, the quotient and its rounding.
            Cost::new(Q::KERNELS[0], 4 * n * k + weight, 3 * n * k),
            Cost::new(
                Q::KERNELS[1],
                x + weight + 4 * n + m * n * real,
                flops + m * n,
            ),
            Cost::new(Q::KERNELS[2], x + weight + 4 * m * n, flops),
            // Both biases, then the activation.
            Cost::new(
                Q::KERNELS[3],
                x + 2 * halves * (Q::row(k) + 4) + m * halves * real,
                2 * flops_of(halves) + m * halves * (2 + 5),
            ),
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
        // A device may round what it multiplies by such a weight to int8: these are as they are then.
        let x = exact::<Int8>(draw, seed, 1, m, k);
        let w = exact::<Q>(Draw::Any, seed, 2, n, k);
        let bias = normals(Draw::Any, seed, 3, n);
        let x_in = probe.reals("x", &x)?;
        let bias_in = probe.floats("bias", &bias)?;
        let packed = device.pack(&w, n, k, Q::FORMAT)?;
        let packed = Weight::Packed(&packed);
        let mut y = probe.new_reals(m * n)?;
        let costs = Self::costs(s, seed, size_of::<D::Real>());
        let [_, of_product, of_logits, of_gated] =
            Q::KERNELS.map(|kernel| Cost::bytes_of(kernel, &costs));
        probe.call("linear", of_product, |device| {
            device.linear(*s, &x_in, packed, Some(&*bias_in), &mut y, false)
        })?;
        let sizes = magnitudes_of::<Q>(&w, k);
        let (want, _) = product(*s, &x, &w, Some(&bias));
        let (_, error) = product(*s, &x, &sizes, Some(&bias));
        probe.take_reals("y", &y, want, error)?;

        let there = normals(Draw::Any, seed, 4, m * n);
        let mut y = probe.sum_reals(&there)?;
        // No bias in, and what is there.
        let on_top = of_product - 4 * n + m * n * size_of::<D::Real>();
        probe.call("linear on top", on_top, |device| {
            device.linear(*s, &x_in, packed, None, &mut y, true)
        })?;
        let (want, _) = product(*s, &x, &w, None);
        let (_, error) = product(*s, &x, &sizes, None);
        let relative = 4.0 * ULP + D::Real::ROUNDING;
        let (want, error) = onto(&want, &error, &there, relative);
        probe.take_reals("y on top", &y, want, error)?;
        probe.summed();

        let halves = gated(s);
        let w = exact::<Q>(Draw::Any, seed, 7, 2 * halves.n, k);
        let bias = normals(Draw::Any, seed, 8, 2 * halves.n);
        let bias_in = probe.floats("gated bias", &bias)?;
        let packed = device.pack(&w, 2 * halves.n, k, Q::FORMAT)?;
        let packed = Weight::Packed(&packed);
        let mut y = probe.new_reals(m * halves.n)?;
        probe.call("linear_swiglu", of_gated, |device| {
            device.linear_swiglu(halves, &x_in, packed, Some(&*bias_in), &mut y)
        })?;
        let want = reference::linear_swiglu(halves, &wide(&x), &wide(&w), Some(&wide(&bias)));
        let sizes = magnitudes_of::<Q>(&w, k);
        let (sums, _) = product(halves.gate_up(), &x, &w, Some(&bias));
        let (_, off) = product(halves.gate_up(), &x, &sizes, Some(&bias));
        let error = errors_of::<D::Real>(halves.n, &sums, off);
        probe.take_reals("gated y", &y, want, error)?;

        // Weights that are rounded, and a NaN among them.
        let mut w = normals(Draw::Any, seed, 5, n * k);
        w.iter_mut().for_each(|v| *v *= 1.003);
        if draw == Draw::NotFinite {
            w[PhiloxStream::new(seed, 6).below(n * k)] = f32::NAN;
        }
        let packed = device.pack(&w, n, k, Q::FORMAT)?;
        let mut logits = probe.new_floats(m * n)?;
        probe.call("logits", of_logits, |device| {
            device.logits(*s, &x_in, Weight::Packed(&packed), &mut logits)
        })?;
        let (kept, off) = kept::<Q>(&w, k);
        let want = reference::linear(*s, &wide(&x), &kept, None);
        let roundings = (k as f64 + 6.0) * ULP;
        let sizes = magnitudes_of::<Q>(&w, k)
            .into_iter()
            .map(f64::from)
            .zip(off);
        let errors: Vec<f64> = sizes.map(|(size, off)| size * roundings + off).collect();
        let error = reference::linear(*s, &magnitudes(&x), &errors, None);
        probe.take_floats("logits", &logits, want, error)
    }
}

/// Rows that a format keeps as they are.
fn exact<Q: Quantised>(draw: Draw, seed: u64, stream: u64, rows: usize, k: usize) -> Vec<f32> {
    let mut random = PhiloxStream::new(seed, stream);
    let mut x = Vec::with_capacity(rows * k);
    for _ in 0..rows {
        for start in (0..k).step_by(GROUP) {
            let large = if draw == Draw::Large { 1024.0 } else { 1.0 };
            let size = large * [1.0, 2.0, 4.0][random.below(3)];
            x.extend(Q::exact(size, GROUP.min(k - start), &mut random));
        }
    }
    if draw == Draw::NotFinite {
        x[random.below(rows * k)] = f32::NAN;
    }
    x
}

/// Of a gated product, whose columns come in whole packs of scales: others leave it to two ops.
fn gated(s: &LinearShape) -> LinearShape {
    LinearShape {
        n: s.n.next_multiple_of(4),
        ..*s
    }
}

/// The magnitudes that weights are multiplied in: what lies above the shift, and the shift.
fn magnitudes_of<Q: Quantised>(w: &[f32], k: usize) -> Vec<f32> {
    let groups = w.chunks(k).flat_map(|row| row.chunks(GROUP));
    let sizes = groups.flat_map(|group| {
        let [_, shift] = Q::scale(group);
        group.iter().map(move |v| (v - shift).abs() + shift.abs())
    });
    sizes.collect()
}

/// What a format keeps of rows of `k` weights, and how far off it may be: a step where a weight is so near the
/// middle between two that rounding decides, and the scale's own rounding.
fn kept<Q: Quantised>(w: &[f32], k: usize) -> (Vec<f64>, Vec<f64>) {
    let [least, most] = Q::WHOLE;
    let (mut kept, mut off) = (Vec::new(), Vec::new());
    for group in w.chunks(k).flat_map(|row| row.chunks(GROUP)) {
        let [scale, shift] = Q::scale(group).map(f64::from);
        for &v in group {
            let steps = match scale {
                0.0 => 0.0,
                _ => (f64::from(v) - shift) / scale,
            };
            let middle = (steps.abs().fract() - 0.5).abs();
            // A difference, and a product with an inverse: three roundings.
            let step = match middle <= 2.0 * ULP * steps.abs() {
                true => scale.abs(),
                false => 0.0,
            };
            kept.push(scale * steps.round_ties_even().clamp(least, most) + shift);
            off.push(step + ULP * ((scale * steps).abs() + shift.abs()));
        }
    }
    (kept, off)
}
