//! Linear with weights in int4: the quantisation, and products with what it keeps.
//!
//! Tolerance. As of linear, on the weights that are stored, as a step times a whole number and a shift apart; what
//! quantisation itself loses is held to half a step and the roundings of step and shift to bf16.

use super::linear_quantised::{GROUP, LinearQuantised, Quantised};
use crate::ops::linear::WeightFormat;
use crate::ops::philox::PhiloxStream;
use half::bf16;

/// Steps from the lowest weight of a group to the highest.
const STEPS: f32 = 15.0;

/// The contract of `linear_int4`.
pub type LinearInt4Contract = LinearQuantised<Int4>;

/// Half a byte a weight, and two bf16 a group.
pub struct Int4;

impl Quantised for Int4 {
    const OP: &'static str = "linear_int4";
    const FORMAT: WeightFormat = WeightFormat::Int4;
    const KERNELS: [&'static str; 4] = [
        "quantise_int4",
        "linear_int4",
        "logits_int4",
        "linear_swiglu_int4",
    ];
    const WHOLE: [f64; 2] = [0.0, 15.0];
    const FACTORS: usize = 2;

    fn row(k: usize) -> usize {
        k.div_ceil(GROUP) * (GROUP / 2 + 4)
    }

    fn scale(group: &[f32]) -> [f32; 2] {
        let lower = |a: f32, v: f32| match v < a || v.is_nan() {
            true => v,
            false => a,
        };
        let low = group.iter().copied().fold(f32::INFINITY, lower);
        let high = -group.iter().map(|v| -v).fold(f32::INFINITY, lower);
        [(high - low) / STEPS, low].map(|v| bf16::from_f32(v).to_f32())
    }

    /// Whole numbers on both sides of 0, 15 from the lowest to the highest, times a power of two.
    fn exact(size: f32, len: usize, random: &mut PhiloxStream) -> Vec<f32> {
        let (step, below) = (size / 8.0, random.below(16) as f32);
        let (low, high) = (random.below(len), random.below(len));
        let mut number = |i: usize| {
            let whole = random.below(16) as f32;
            step * match i {
                _ if i == low => -below,
                _ if i == high => STEPS - below,
                _ => whole - below,
            }
        };
        let mut group: Vec<f32> = (0..len).map(&mut number).collect();
        if low == high {
            // One weight alone is its group's shift.
            let alone = group[low];
            group.fill(alone);
        }
        group
    }
}
