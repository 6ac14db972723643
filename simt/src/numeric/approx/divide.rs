//! `rcp`, `sqrt`, `rsqrt` and `div` in their approximate forms (ISA, "Floating-Point Instructions"):
//! 1 ulp, 2^−23 relative, 2^−22.9 relative and 2 ulp.

use crate::numeric::single::{canonical, flush};

/// `.ftz` on operand and result, where asked for.
#[inline(always)]
fn flushed(ftz: bool, x: f32, f: impl Fn(f32) -> f32) -> f32 {
    if ftz {
        canonical(flush(f(flush(x))))
    } else {
        canonical(f(x))
    }
}

/// `rcp.approx{.ftz}.f32`.
#[inline(always)]
pub fn rcp(ftz: bool, x: f32) -> f32 {
    flushed(ftz, x, |x| 1.0 / x)
}

/// `sqrt.approx{.ftz}.f32`.
#[inline(always)]
pub fn sqrt(ftz: bool, x: f32) -> f32 {
    flushed(ftz, x, f32::sqrt)
}

/// `rsqrt.approx{.ftz}.f32`.
#[inline(always)]
pub fn rsqrt(ftz: bool, x: f32) -> f32 {
    // √−0 is −0, and its reciprocal the −∞ that the ISA's table asks for.
    flushed(ftz, x, |x| (1.0 / f64::from(x).sqrt()) as f32)
}

/// `div.approx{.ftz}.f32`: `a · (1/b)`.
///
/// A reciprocal below the normal range counts as zero: for |b| above 2^126 the quotient is a zero, or
/// NaN of an infinite `a`, as the ISA says.
#[inline(always)]
pub fn div(ftz: bool, a: f32, b: f32) -> f32 {
    let [a, b] = [a, b].map(|x| if ftz { flush(x) } else { x });
    let y = canonical(a * flush(1.0 / b));
    if ftz { flush(y) } else { y }
}

/// `div.full{.ftz}.f32`: the whole range.
#[inline(always)]
pub fn div_full(ftz: bool, a: f32, b: f32) -> f32 {
    let [a, b] = [a, b].map(|x| if ftz { flush(x) } else { x });
    let y = canonical(a / b);
    if ftz { flush(y) } else { y }
}

/// The format 1.11.20 of the gross f64 approximations: the upper word, subnormals flushed; NaN is
/// the canonical `0x7fffffff00000000`.
#[inline(always)]
fn upper_word(x: f64, f: impl Fn(f64) -> f64) -> f64 {
    const LOW: u64 = 0xffff_ffff;
    let flush = |x: f64| {
        if x.is_subnormal() {
            0f64.copysign(x)
        } else {
            x
        }
    };
    let y = flush(f(flush(f64::from_bits(x.to_bits() & !LOW))));
    // A NaN whose payload lies in the lower word has an infinite upper one.
    if y.is_nan() {
        return f64::from_bits(0x7fff_ffff_0000_0000);
    }
    let bits = y.to_bits();
    let nearest = if y.is_finite() {
        bits + (LOW >> 1) + (bits >> 32 & 1)
    } else {
        bits
    };
    f64::from_bits(nearest & !LOW)
}

/// `rcp.approx.ftz.f64`: of the upper word, to the upper word.
#[inline(always)]
pub fn rcp_f64(x: f64) -> f64 {
    upper_word(x, |x| 1.0 / x)
}

/// `rsqrt.approx.ftz.f64`: of the upper word, to the upper word.
#[inline(always)]
pub fn rsqrt_gross_f64(x: f64) -> f64 {
    upper_word(x, |x| 1.0 / x.sqrt())
}

/// `rsqrt.approx.f64`: within an ulp.
#[inline(always)]
pub fn rsqrt_f64(x: f64) -> f64 {
    crate::numeric::double::rcp(
        crate::numeric::Rounding::Rn,
        crate::numeric::double::sqrt(crate::numeric::Rounding::Rn, x),
    )
}
