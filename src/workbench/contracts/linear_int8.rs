//! Linear with weights in int8: the quantisation, and products with what it keeps.
//!
//! Tolerance. As of linear, on the weights that are stored; what quantisation itself loses is held to half a step.

use super::linear_quantised::{GROUP, LinearQuantised, Quantised};
use crate::ops::linear::WeightFormat;
use crate::ops::philox::PhiloxStream;

/// Steps on either side of 0.
const STEPS: f32 = 127.0;

/// The contract of `linear_int8`.
pub type LinearInt8Contract = LinearQuantised<Int8>;

/// A byte a weight, and an f32 a group.
pub struct Int8;

impl Quantised for Int8 {
    const OP: &'static str = "linear_int8";
    const FORMAT: WeightFormat = WeightFormat::Int8;
    const KERNELS: [&'static str; 4] = [
        "quantise_int8",
        "linear_int8",
        "logits_int8",
        "linear_swiglu_int8",
    ];
    const WHOLE: [f64; 2] = [-127.0, 127.0];
    const FACTORS: usize = 1;

    fn row(k: usize) -> usize {
        k + 4 * k.div_ceil(GROUP)
    }

    fn scale(group: &[f32]) -> [f32; 2] {
        let larger = |a: f32, v: &f32| match v.abs() > a || v.is_nan() {
            true => v.abs(),
            false => a,
        };
        [group.iter().fold(0.0, larger) / STEPS, 0.0]
    }

    /// Whole numbers up to 127, which one of each group is, times a power of two.
    fn exact(size: f32, len: usize, random: &mut PhiloxStream) -> Vec<f32> {
        let (step, largest) = (size / 128.0, random.below(len));
        let mut number = |i: usize| {
            let whole = random.below(255) as f32 - STEPS;
            match i == largest {
                true => step * STEPS.copysign(whole),
                false => step * whole,
            }
        };
        (0..len).map(&mut number).collect()
    }
}
