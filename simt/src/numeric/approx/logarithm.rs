//! `lg2.approx` (ISA, "lg2"): error 2^−22, absolute in (0.5, 2), relative elsewhere.

use super::polynomial;
use crate::numeric::format::F32_NAN;
use crate::numeric::single::flush;
use std::f64::consts::{LN_2, SQRT_2};

/// Coefficients of 2·artanh(√t) / √t / ln 2; the first left out is below 2^−33 at t ≤ 0.0295.
const SERIES: [f64; 6] = {
    let mut terms = [0.0; 6];
    let mut i = 0;
    while i < 6 {
        terms[i] = 2.0 / LN_2 / (2 * i + 1) as f64;
        i += 1;
    }
    terms
};

/// `lg2.approx{.ftz}.f32`.
#[inline(always)]
pub fn lg2(ftz: bool, x: f32) -> f32 {
    let x = if ftz { flush(x) } else { x };
    let bits = f64::from(x).to_bits();
    // m in [1, 2), then in [√½, √2], so that numbers near 1 lose nothing to cancellation.
    let mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1023;
    let high = mantissa > SQRT_2;
    let mantissa = if high { mantissa * 0.5 } else { mantissa };
    let exponent = f64::from(exponent + i32::from(high));
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let y = (exponent + s * polynomial(SERIES, s * s)) as f32;
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x == f32::INFINITY { x } else { y };
    if x < 0.0 || x.is_nan() {
        f32::from_bits(F32_NAN)
    } else {
        y
    }
}
