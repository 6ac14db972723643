//! f64 arithmetic, exactly rounded in every mode (ISA, "Floating-Point Instructions").
//!
//! To-nearest is the processor's own; the directed modes, rare in kernels, work on integer
//! significands of 128 bits. A NaN operand is returned quieted, the first of several; a NaN that
//! arises is [`F64_NAN`].

use super::format::{F64, F64_NAN};
use super::rounding::{Rounding, round_magnitude};

/// `a + b`.
#[inline(always)]
pub fn add(rounding: Rounding, a: f64, b: f64) -> f64 {
    let sum = a + b;
    if rounding == Rounding::Rn || !(a.is_finite() && b.is_finite()) {
        return quiet(sum, [a, b]);
    }
    soft_sum(rounding, Exact::of(a), Exact::of(b))
}

/// `a − b`.
#[inline(always)]
pub fn sub(rounding: Rounding, a: f64, b: f64) -> f64 {
    // The negation must not reach a NaN that is passed on.
    add(rounding, a, if b.is_nan() { b } else { -b })
}

/// `a · b`.
#[inline(always)]
pub fn mul(rounding: Rounding, a: f64, b: f64) -> f64 {
    let product = a * b;
    if rounding == Rounding::Rn || special([a, b]) {
        return quiet(product, [a, b]);
    }
    Exact::of(a).times(Exact::of(b)).round(rounding)
}

/// `a · b + c`, rounded once.
#[inline(always)]
pub fn fma(rounding: Rounding, a: f64, b: f64, c: f64) -> f64 {
    if rounding == Rounding::Rn || !(a.is_finite() && b.is_finite() && c.is_finite()) {
        return quiet(a.mul_add(b, c), [a, b, c]);
    }
    soft_sum(rounding, Exact::of(a).times(Exact::of(b)), Exact::of(c))
}

/// `a / b`.
#[inline(always)]
pub fn div(rounding: Rounding, a: f64, b: f64) -> f64 {
    if rounding == Rounding::Rn || special([a, b]) {
        return quiet(a / b, [a, b]);
    }
    Exact::of(a).over(Exact::of(b)).round(rounding)
}

/// `1 / a`.
#[inline(always)]
pub fn rcp(rounding: Rounding, a: f64) -> f64 {
    div(rounding, 1.0, a)
}

/// `√a`.
#[inline(always)]
pub fn sqrt(rounding: Rounding, a: f64) -> f64 {
    if rounding == Rounding::Rn || special([a]) || a < 0.0 {
        return quiet(a.sqrt(), [a]);
    }
    Exact::of(a).root().round(rounding)
}

/// A NaN result by this file's rule, other results unchanged.
#[inline(always)]
fn quiet<const N: usize>(result: f64, operands: [f64; N]) -> f64 {
    if !result.is_nan() {
        return result;
    }
    let first = operands.into_iter().find(|x| x.is_nan());
    f64::from_bits(first.map_or(F64_NAN, |x| x.to_bits() | 1 << 51))
}

/// Whether an operand is zero, infinite or NaN, where every mode gives the same result.
#[inline(always)]
fn special<const N: usize>(operands: [f64; N]) -> bool {
    operands.into_iter().any(|x| x == 0.0 || !x.is_finite())
}

/// `± significand · 2^exponent`; the lowest bit may stand for anything below it.
#[derive(Clone, Copy)]
struct Exact {
    negative: bool,
    exponent: i32,
    significand: u128,
}

impl Exact {
    fn of(x: f64) -> Exact {
        let (field, fraction) = (
            (x.to_bits() >> 52 & 0x7ff) as i32,
            x.to_bits() & ((1 << 52) - 1),
        );
        let hidden = u64::from(field != 0) << 52;
        Exact {
            negative: x.is_sign_negative(),
            exponent: field.max(1) - 1075,
            significand: u128::from(fraction | hidden),
        }
    }

    /// The same value with the leading bit of the significand at `bit`, which is not below it now.
    fn led_by(self, bit: u32) -> Exact {
        let shift = (bit + self.significand.leading_zeros()) as i32 - 127;
        Exact {
            exponent: self.exponent - shift,
            significand: self.significand << shift,
            ..self
        }
    }

    fn times(self, other: Exact) -> Exact {
        Exact {
            negative: self.negative != other.negative,
            exponent: self.exponent + other.exponent,
            significand: self.significand * other.significand,
        }
    }

    fn over(self, other: Exact) -> Exact {
        // 63 or 64 bits of quotient, and one for the remainder.
        let (a, b) = (self.led_by(116), other.led_by(52));
        let quotient = a.significand / b.significand;
        let rest = u128::from(a.significand % b.significand != 0);
        Exact {
            negative: self.negative != other.negative,
            exponent: a.exponent - b.exponent - 1,
            significand: quotient << 1 | rest,
        }
    }

    fn root(self) -> Exact {
        let mut a = self.led_by(124);
        if a.exponent & 1 != 0 {
            a.significand >>= 1;
            a.exponent += 1;
        }
        let root = a.significand.isqrt();
        let rest = u128::from(root * root != a.significand);
        Exact {
            negative: false,
            exponent: a.exponent / 2 - 1,
            significand: root << 1 | rest,
        }
    }

    fn round(self, rounding: Rounding) -> f64 {
        let Exact {
            negative,
            exponent,
            significand,
        } = self;
        // Down to 64 bits, what falls off gathered in the lowest.
        let surplus = 64u32.saturating_sub(significand.leading_zeros());
        let lost = significand & ((1 << surplus) - 1) != 0;
        let kept = (significand >> surplus) as u64 | u64::from(lost);
        let bits = round_magnitude(F64, rounding, negative, kept, exponent + surplus as i32);
        let bits = bits.unwrap_or(f64::INFINITY.to_bits());
        f64::from_bits(bits | u64::from(negative) << 63)
    }
}

/// The rounded sum of two finite numbers of at most 106 bits.
fn soft_sum(rounding: Rounding, a: Exact, b: Exact) -> f64 {
    let cancelled = |negative| if negative { -0.0 } else { 0.0 };
    match (a.significand, b.significand) {
        (0, 0) if a.negative == b.negative => return cancelled(a.negative),
        (0, 0) => return cancelled(rounding == Rounding::Rm),
        (0, _) => return b.round(rounding),
        (_, 0) => return a.round(rounding),
        _ => {}
    }
    let (a, b) = (a.led_by(125), b.led_by(125));
    let (large, small) = if a.exponent >= b.exponent {
        (a, b)
    } else {
        (b, a)
    };
    // Bits fall off only where the two lie so far apart that cancelling takes one bit at most; the
    // lowest bit then stands for them.
    let apart = (large.exponent - small.exponent) as u32;
    let shifted = small.significand.checked_shr(apart).unwrap_or(0);
    let lost = shifted.checked_shl(apart) != Some(small.significand);
    let small_significand = shifted | u128::from(lost);
    let sum = if large.negative == small.negative {
        Exact {
            significand: large.significand + small_significand,
            ..large
        }
    } else if large.significand >= small_significand {
        Exact {
            significand: large.significand - small_significand,
            ..large
        }
    } else {
        Exact {
            negative: small.negative,
            significand: small_significand - large.significand,
            ..large
        }
    };
    if sum.significand == 0 {
        return cancelled(rounding == Rounding::Rm);
    }
    sum.round(rounding)
}
