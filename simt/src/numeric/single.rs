//! f32 arithmetic, exactly rounded in every mode (ISA, "Floating-Point Instructions").
//!
//! To-nearest is the processor's own. The directed modes compute in f64, exactly or rounded to odd,
//! and then round once: 53 bits are more than 2·24 + 2, so a quotient or root of singles that is no
//! single stays distinguishable from one, and rounding to odd keeps a sum on its side of every single.

use super::format::F32_NAN;
use super::rounding::Rounding;

/// NaN as f32 instructions return it.
#[inline(always)]
pub fn canonical(x: f32) -> f32 {
    if x.is_nan() {
        f32::from_bits(F32_NAN)
    } else {
        x
    }
}

/// `.ftz`: subnormals to zero of the same sign. For the operands before and the result after.
#[inline(always)]
pub fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE {
        f32::from_bits(x.to_bits() & 0x8000_0000)
    } else {
        x
    }
}

/// `.sat`: into [0, 1]; NaN and −0 become +0.
#[inline(always)]
pub fn saturate(x: f32) -> f32 {
    let above = if x > 0.0 { x } else { 0.0 };
    if above < 1.0 { above } else { 1.0 }
}

/// `a + b`.
#[inline(always)]
pub fn add(rounding: Rounding, a: f32, b: f32) -> f32 {
    if rounding == Rounding::Rn {
        return canonical(a + b);
    }
    sum(rounding, f64::from(a), f64::from(b))
}

/// `a − b`.
#[inline(always)]
pub fn sub(rounding: Rounding, a: f32, b: f32) -> f32 {
    add(rounding, a, -b)
}

/// `a · b`.
#[inline(always)]
pub fn mul(rounding: Rounding, a: f32, b: f32) -> f32 {
    if rounding == Rounding::Rn {
        return canonical(a * b);
    }
    from_f64(rounding, f64::from(a) * f64::from(b))
}

/// `a · b + c`, rounded once.
#[inline(always)]
pub fn fma(rounding: Rounding, a: f32, b: f32, c: f32) -> f32 {
    if rounding == Rounding::Rn {
        return canonical(a.mul_add(b, c));
    }
    sum(rounding, f64::from(a) * f64::from(b), f64::from(c))
}

/// `a / b`.
#[inline(always)]
pub fn div(rounding: Rounding, a: f32, b: f32) -> f32 {
    if rounding == Rounding::Rn {
        return canonical(a / b);
    }
    from_f64(rounding, f64::from(a) / f64::from(b))
}

/// `1 / a`.
#[inline(always)]
pub fn rcp(rounding: Rounding, a: f32) -> f32 {
    div(rounding, 1.0, a)
}

/// `√a`.
#[inline(always)]
pub fn sqrt(rounding: Rounding, a: f32) -> f32 {
    if rounding == Rounding::Rn {
        // Asks the bits: to a compiler the payload of a NaN that arithmetic gives is anybody's choice, and of a
        // root it takes `x` for the answer to "`x`, or this NaN where `x` is one".
        let root = a.sqrt().to_bits();
        let is_nan = root & 0x7fff_ffff > 0x7f80_0000;
        return f32::from_bits(if is_nan { F32_NAN } else { root });
    }
    from_f64(rounding, f64::from(a).sqrt())
}

/// `cvt.f32.f64`.
#[inline(always)]
pub fn from_f64(rounding: Rounding, x: f64) -> f32 {
    let nearest = x as f32;
    let back = f64::from(nearest);
    let outward = match rounding {
        Rounding::Rn => return canonical(nearest),
        // The cast breaks a tie to even; away from zero is then one step further.
        Rounding::Rna => return canonical(away_on_tie(x, nearest)),
        Rounding::Rz => back.abs() > x.abs(),
        Rounding::Rm => back > x,
        Rounding::Rp => back < x,
    };
    if !outward {
        return canonical(nearest);
    }
    match rounding {
        Rounding::Rz => f32::from_bits(nearest.to_bits() - 1),
        Rounding::Rm => nearest.next_down(),
        _ => nearest.next_up(),
    }
}

fn away_on_tie(x: f64, nearest: f32) -> f32 {
    let inward = f64::from(nearest).abs() < x.abs();
    let outer = f32::from_bits(nearest.to_bits().wrapping_add(1));
    // Exact in f64: both gaps are below a unit in the last place of a single.
    if inward && f64::from(outer).abs() - x.abs() == x.abs() - f64::from(nearest).abs() {
        outer
    } else {
        nearest
    }
}

/// `a + b` of f64 values that lie far from f64's overflow and underflow, as a single.
#[inline(always)]
fn sum(rounding: Rounding, a: f64, b: f64) -> f32 {
    let sum = odd_sum(a, b);
    if sum == 0.0 {
        // A sum that cancels is −0 toward negative infinity and +0 otherwise.
        return match (a.is_sign_negative(), b.is_sign_negative()) {
            (true, true) => -0.0,
            (false, false) => 0.0,
            _ if rounding == Rounding::Rm => -0.0,
            _ => 0.0,
        };
    }
    from_f64(rounding, sum)
}

/// `a + b` in f64, rounded to odd: where inexact, the neighbour whose last bit is set. Rounding that
/// once more to at most 51 bits, in any mode, equals rounding the exact sum.
#[inline(always)]
pub(super) fn odd_sum(a: f64, b: f64) -> f64 {
    let sum = a + b;
    // Knuth's two-sum: the exact error of the addition.
    let b_part = sum - a;
    let error = (a - (sum - b_part)) + (b - b_part);
    let bits = sum.to_bits();
    if error == 0.0 || !error.is_finite() || bits & 1 == 1 {
        return sum;
    }
    let outward = error.is_sign_negative() == sum.is_sign_negative();
    f64::from_bits(if outward { bits + 1 } else { bits - 1 })
}

/// `x` as a single, rounded to odd: what [`odd_sum`] is for f64.
#[inline(always)]
pub(super) fn odd_single(x: f64) -> f32 {
    let nearest = x as f32;
    let (back, bits) = (f64::from(nearest), nearest.to_bits());
    if back == x || bits & 1 == 1 || x.is_nan() {
        return nearest;
    }
    f32::from_bits(if back.abs() > x.abs() {
        bits - 1
    } else {
        bits + 1
    })
}
