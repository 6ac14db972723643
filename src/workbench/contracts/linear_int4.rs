//! Linear with weights in int4: the quantisation, and products with what it keeps.
//!
//! Tolerance. As of linear, on the weights that are stored; what quantisation itself loses is held to half a step,
//! and to a whole one where a weight lies opposite the largest of its group.

use super::linear_quantised::{GROUP, LinearQuantised, Quantised};
use crate::ops::linear::WeightFormat;
use crate::ops::philox::PhiloxStream;
use half::bf16;

/// The whole number of the largest of a group.
const LARGEST: f32 = -8.0;

/// The contract of `linear_int4`.
pub type LinearInt4Contract = LinearQuantised<Int4>;

/// Half a byte a weight, and a bf16 a group.
pub struct Int4;

impl Quantised for Int4 {
    const OP: &'static str = "linear_int4";
    const FORMAT: WeightFormat = WeightFormat::Int4;
    const KERNELS: [&'static str; 3] = ["quantise_int4", "linear_int4", "logits_int4"];
    const WHOLE: [f32; 2] = [LARGEST, -LARGEST - 1.0];

    fn row(k: usize) -> usize {
        let groups = k.div_ceil(GROUP);
        groups * GROUP / 2 + 2 * groups
    }

    fn scale(group: &[f32]) -> f32 {
        let larger = |a: f32, &v: &f32| match v.abs() > a.abs() || v == -a && v > 0.0 || v.is_nan()
        {
            true => v,
            false => a,
        };
        bf16::from_f32(group.iter().fold(0.0, larger) / LARGEST).to_f32()
    }

    /// Whole numbers from -8, which one of each group is, to 7, times a power of two of either sign.
    fn exact(size: f32, len: usize, random: &mut PhiloxStream) -> Vec<f32> {
        let sign = [-1.0, 1.0][random.below(2)];
        let (step, largest) = (sign * size / 8.0, random.below(len));
        let mut number = |i: usize| match i == largest {
            true => step * LARGEST,
            false => step * (random.below(16) as f32 + LARGEST),
        };
        (0..len).map(&mut number).collect()
    }
}
