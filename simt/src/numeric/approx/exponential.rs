//! `ex2.approx` (ISA, "ex2"): within 2 ulp in f32, 2^−9.9 relative in f16, 2^−7 in bf16.

use super::{nearest, polynomial};
use crate::numeric::narrow::{bf16_rn, bf16_to_f32, f16_rn, f16_to_f32};
use crate::numeric::single::{canonical, flush};
use std::f64::consts::LN_2;

/// Coefficients of (2^r − 1) / r, the Taylor series. At |r| ≤ 1/2 what is left out is below 2^−36 of
/// the value.
const SERIES: [f64; 9] = {
    let mut terms = [LN_2; 9];
    let mut i = 1;
    while i < 9 {
        terms[i] = terms[i - 1] * LN_2 / (i as f64 + 1.0);
        i += 1;
    }
    terms
};

/// 2^x as `2^n` and `2^r − 1`, n whole and |r| ≤ 1/2; |x| at most 1020.
#[inline(always)]
pub(super) fn split(x: f64) -> (f64, f64) {
    let whole = nearest(x);
    let fraction = x - whole;
    let power = f64::from_bits(((whole as i32 + 1023) as u64) << 52);
    (power, fraction * polynomial(SERIES, fraction))
}

/// `ex2.approx{.ftz}.f32`.
#[inline(always)]
pub fn ex2(ftz: bool, x: f32) -> f32 {
    let x = if ftz { flush(x) } else { x };
    // Beyond these all results are 0 or infinity; NaN passes through the comparisons.
    let clamped = if x > 200.0 { 200.0 } else { x };
    let clamped = if clamped < -200.0 { -200.0 } else { clamped };
    let (power, rest) = split(f64::from(clamped));
    let y = canonical((power + power * rest) as f32);
    let y = if x.is_nan() { canonical(x) } else { y };
    if ftz { flush(y) } else { y }
}

/// `ex2.approx.f16`: subnormals are kept.
#[inline(always)]
pub fn ex2_f16(x: u16) -> u16 {
    f16_rn(ex2(false, f16_to_f32(x)))
}

/// `ex2.approx.ftz.bf16`: subnormals are flushed.
#[inline(always)]
pub fn ex2_bf16(x: u16) -> u16 {
    let y = bf16_rn(ex2(true, bf16_to_f32(x)));
    if y & 0x7fff < 0x80 { y & 0x8000 } else { y }
}
