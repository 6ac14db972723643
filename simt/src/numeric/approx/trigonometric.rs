//! `sin.approx` and `cos.approx` (ISA, "sin", "cos"): error 2^−20.5 in ±2π, 2^−14.7 in ±100π.

use super::{nearest, polynomial};
use crate::numeric::format::F32_NAN;
use crate::numeric::single::flush;
use std::f64::consts::{FRAC_2_PI, FRAC_PI_2, TAU};

/// sin(√t) / √t.
const SINE: [f64; 7] = alternating(1);
/// cos(√t).
const COSINE: [f64; 7] = alternating(0);

/// Coefficients (−1)^i / (2i + odd)!: at t ≤ (π/4)² what is left out is below 2^−39.
const fn alternating(odd: usize) -> [f64; 7] {
    let mut terms = [1.0; 7];
    let mut i = 1;
    while i < 7 {
        let n = 2 * i + odd;
        terms[i] = -terms[i - 1] / (n * (n - 1)) as f64;
        i += 1;
    }
    terms
}

/// Sine of `x` plus `quarters` right angles.
#[inline(always)]
fn sine(x: f32, quarters: i32) -> f32 {
    // The angle is exact to f64 within 2^26, far beyond the range with a bound; further out it is
    // taken modulo f64's 2π, which stays a sine of something near.
    let wide = f64::from(x);
    let near = if wide.abs() < (1 << 26) as f64 {
        wide
    } else {
        wide % TAU
    };
    let turns = nearest(near * FRAC_2_PI);
    let angle = near - turns * FRAC_PI_2;
    let quadrant = (turns as i32).wrapping_add(quarters);
    let square = angle * angle;
    let odd = angle * polynomial(SINE, square);
    let even = polynomial(COSINE, square);
    let y = if quadrant & 1 == 0 { odd } else { even };
    let y = if quadrant & 2 == 0 { y } else { -y } as f32;
    if x.is_finite() {
        y
    } else {
        f32::from_bits(F32_NAN)
    }
}

/// `sin.approx{.ftz}.f32`.
#[inline(always)]
pub fn sin(ftz: bool, x: f32) -> f32 {
    let y = sine(if ftz { flush(x) } else { x }, 0);
    if ftz { flush(y) } else { y }
}

/// `cos.approx{.ftz}.f32`.
#[inline(always)]
pub fn cos(ftz: bool, x: f32) -> f32 {
    let y = sine(if ftz { flush(x) } else { x }, 1);
    if ftz { flush(y) } else { y }
}
