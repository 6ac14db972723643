//! `cvt` between integers and floats, and floats rounded to integral values (ISA, `cvt`).

use super::format::Format;
use super::narrow::{Saturation, narrow};
use super::rounding::{IntegerRounding, Rounding, round_magnitude};
use super::single;

/// Integer types of `cvt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Integer {
    /// 8, 16, 32 or 64.
    pub bits: u32,
    /// Two's complement, or unsigned.
    pub signed: bool,
}

impl Integer {
    /// Smallest and largest value.
    #[inline(always)]
    pub const fn range(self) -> (i128, i128) {
        if self.signed {
            (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1)
        } else {
            (0, (1 << self.bits) - 1)
        }
    }

    /// The low bits of a register, as the number they stand for.
    #[inline(always)]
    pub const fn value(self, register: u64) -> i128 {
        let unused = 64 - self.bits;
        if self.signed {
            ((register << unused) as i64 >> unused) as i128
        } else {
            (register << unused >> unused) as i128
        }
    }
}

/// `cvt.sat` between integers: the value clamped to `to`, in a register of 64 bits that is sign- or
/// zero-extended as `to` asks.
#[inline(always)]
pub fn saturate(to: Integer, value: i128) -> u64 {
    let (low, high) = to.range();
    value.clamp(low, high) as u64
}

/// A float rounded to an integral value; infinities and NaN pass.
///
/// `cvt.{rni,rzi,rmi,rpi}` of one float type; f16, bf16 and f32 are computed here as f64, exactly.
#[inline(always)]
pub fn integral(rounding: IntegerRounding, x: f64) -> f64 {
    // Adding 2^52 leaves no place below one, and rounds to nearest even.
    const SHIFT: f64 = (1u64 << 52) as f64;
    let magnitude = x.abs();
    if magnitude >= SHIFT || x.is_nan() {
        return x;
    }
    let nearest = ((magnitude + SHIFT) - SHIFT).copysign(x);
    let integral = match rounding {
        IntegerRounding::Rni => nearest,
        IntegerRounding::Rzi if nearest.abs() > magnitude => nearest - 1f64.copysign(x),
        IntegerRounding::Rmi if nearest > x => nearest - 1.0,
        IntegerRounding::Rpi if nearest < x => nearest + 1.0,
        _ => nearest,
    };
    integral.copysign(x)
}

/// Float to integer, clamped, in a register of 64 bits that is sign- or zero-extended.
///
/// `from_f64` says that the source type is `.f64`. NaN becomes 0, but 2^(bits−1) from `.f64` and in
/// 64-bit destinations (ISA, `cvt`, "Integer Notes"): the smallest signed number.
#[inline(always)]
pub fn from_float(to: Integer, rounding: IntegerRounding, from_f64: bool, x: f64) -> u64 {
    if x.is_nan() {
        let top = 1u64 << (to.bits - 1);
        let indefinite = if to.signed { top.wrapping_neg() } else { top };
        return if from_f64 || to.bits == 64 {
            indefinite
        } else {
            0
        };
    }
    let x = integral(rounding, x);
    // Casts of floats saturate.
    match (to.signed, to.bits) {
        (true, 8) => x as i8 as u64,
        (true, 16) => x as i16 as u64,
        (true, 32) => x as i32 as u64,
        (true, _) => x as i64 as u64,
        (false, 8) => u64::from(x as u8),
        (false, 16) => u64::from(x as u16),
        (false, 32) => u64::from(x as u32),
        (false, _) => x as u64,
    }
}

/// Signed integer to a float of `format`, rounded; with `.sat`, into [0, 1]. To nearest in f32 and f64
/// it is what Rust's cast does.
#[inline(always)]
pub fn from_signed(format: Format, rounding: Rounding, sat: bool, value: i64) -> u64 {
    match value {
        ..=0 if sat => 0,
        0 => 0,
        ..0 => format.sign() | from_magnitude(format, rounding, true, value.unsigned_abs()),
        _ => from_unsigned(format, rounding, sat, value as u64),
    }
}

/// Unsigned integer to a float of `format`, rounded; with `.sat`, into [0, 1].
#[inline(always)]
pub fn from_unsigned(format: Format, rounding: Rounding, sat: bool, value: u64) -> u64 {
    match value {
        0 => 0,
        _ => from_magnitude(format, rounding, false, if sat { 1 } else { value }),
    }
}

#[inline(always)]
fn from_magnitude(format: Format, rounding: Rounding, negative: bool, magnitude: u64) -> u64 {
    let rounded = round_magnitude(format, rounding, negative, magnitude, 0);
    rounded.or(format.infinity).unwrap_or(format.max)
}

/// `cvt.{rni,rzi,rmi,rpi}.f32.f32`.
#[inline(always)]
pub fn integral_f32(rounding: IntegerRounding, x: f32) -> f32 {
    single::canonical(integral(rounding, f64::from(x)) as f32)
}

/// `cvt.{rni,rzi,rmi,rpi}` of f16 or bf16: `to_f32` of the format and back.
#[inline(always)]
pub fn integral_half(format: Format, rounding: IntegerRounding, bits: u16) -> u16 {
    let x = f64::from(format.to_f32(u32::from(bits)));
    narrow(
        format,
        Rounding::Rn,
        Saturation::NONE,
        integral(rounding, x),
    ) as u16
}
