//! `tanh.approx` (ISA, "tanh"): 2^−11 relative in f32, 2^−10.987 absolute in f16, 2^−8 in bf16.

use super::exponential::split;
use crate::numeric::half::Half;
use crate::numeric::single::canonical;
use std::f64::consts::LOG2_E;

/// `tanh.approx.f32`: subnormals pass unchanged.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    // From 10 on the result is 1; NaN stays NaN.
    let magnitude = x.abs();
    let magnitude = if magnitude > 10.0 { 10.0 } else { magnitude };
    let (power, rest) = split(f64::from(magnitude) * (2.0 * LOG2_E));
    // e^2x − 1, without the cancellation of e^2x with 1 where x is small.
    let minus_one = power * rest + (power - 1.0);
    let y = (minus_one / (minus_one + 2.0)) as f32;
    if x.is_nan() {
        canonical(x)
    } else {
        y.copysign(x)
    }
}

/// `tanh.approx` of f16 and bf16.
#[inline(always)]
pub fn tanh_half(half: Half, x: u16) -> u16 {
    half.from_f32(tanh(half.to_f32(x)))
}
