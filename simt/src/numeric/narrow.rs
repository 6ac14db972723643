//! `cvt` to formats of at most 32 bits, from f32 and f64 (ISA, `cvt`).

use super::format::{BF16, F16, F32_NAN, Format, HALF_NAN, TF32};
use super::rounding::{Rounding, round_magnitude};

/// Saturation modifiers of `cvt` for floating-point destinations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Saturation {
    /// `.sat`: into [0, 1], NaN to +0.
    pub sat: bool,
    /// `.relu`: negative values to +0, NaN to the canonical NaN.
    pub relu: bool,
    /// `.satfinite`: what lies beyond the largest finite value, infinities too, becomes that value.
    pub satfinite: bool,
}

impl Saturation {
    /// No modifier.
    pub const NONE: Saturation = Saturation {
        sat: false,
        relu: false,
        satfinite: false,
    };

    /// `.sat` and `.relu`, applied before rounding: no rounding crosses 0 or 1.
    #[inline(always)]
    fn clamp(self, x: f64) -> f64 {
        if self.sat {
            // Written so that NaN and −0 become +0.
            let above = if x > 0.0 { x } else { 0.0 };
            if above < 1.0 { above } else { 1.0 }
        } else if self.relu && x.is_sign_negative() && !x.is_nan() {
            0.0
        } else {
            x
        }
    }
}

/// The code of `x` in `format`, in the low bits.
///
/// NaN becomes the format's canonical NaN, or `MAX_NORM` where it has none; overflow in a format
/// without infinities gives `MAX_NORM`, as the `.satfinite` that such conversions require.
#[inline(always)]
pub fn narrow(format: Format, rounding: Rounding, saturation: Saturation, x: f64) -> u32 {
    let x = saturation.clamp(x);
    let negative = x.is_sign_negative();
    let sign = if negative { format.sign() } else { 0 };
    let magnitude = x.to_bits() << 1 >> 1;
    let field = (magnitude >> 52) as i32;
    let fraction = magnitude & ((1 << 52) - 1);
    let rounded = match (field, fraction) {
        (0x7ff, 1..) => return format.nan.unwrap_or(format.max) as u32,
        (0x7ff, 0) => None,
        (0, 0) => Some(0),
        (0, _) => round_magnitude(format, rounding, negative, fraction, -1074),
        _ => round_magnitude(format, rounding, negative, fraction | 1 << 52, field - 1075),
    };
    let beyond = match format.infinity {
        Some(infinity) if !saturation.satfinite => infinity,
        _ => format.max,
    };
    (sign | rounded.unwrap_or(beyond)) as u32
}

/// `cvt.rn.f16.f32`, without branches.
#[inline(always)]
pub fn f16_rn(x: f32) -> u16 {
    let bits = x.to_bits();
    let (sign, magnitude) = ((bits >> 16 & 0x8000) as u16, bits & 0x7fff_ffff);
    // One half has the last place of f16's subnormals, so the addition rounds to it.
    let subnormal = (f32::from_bits(magnitude) + 0.5)
        .to_bits()
        .wrapping_sub(0x3f00_0000);
    let exponent_moved = magnitude.wrapping_sub(112 << 23);
    let normal = (exponent_moved.wrapping_add(0x0fff + (magnitude >> 13 & 1))) >> 13;
    let code = if magnitude < 0x3880_0000 {
        subnormal
    } else {
        normal
    };
    let code = if magnitude >= 0x4780_0000 {
        0x7c00
    } else {
        code
    };
    if x.is_nan() {
        HALF_NAN
    } else {
        sign | code as u16
    }
}

/// `cvt.rn.bf16.f32`, without branches.
#[inline(always)]
pub fn bf16_rn(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    if x.is_nan() {
        HALF_NAN
    } else {
        (rounded >> 16) as u16
    }
}

/// `cvt.f16.f32` in all modes.
#[inline(always)]
pub fn f32_to_f16(rounding: Rounding, saturation: Saturation, x: f32) -> u16 {
    if rounding == Rounding::Rn && saturation == Saturation::NONE {
        return f16_rn(x);
    }
    narrow(F16, rounding, saturation, f64::from(x)) as u16
}

/// `cvt.bf16.f32` in all modes.
#[inline(always)]
pub fn f32_to_bf16(rounding: Rounding, saturation: Saturation, x: f32) -> u16 {
    if rounding == Rounding::Rn && saturation == Saturation::NONE {
        return bf16_rn(x);
    }
    narrow(BF16, rounding, saturation, f64::from(x)) as u16
}

/// `cvt.tf32.f32`: the 32-bit register, whose low 13 bits are zero except in the NaN.
#[inline(always)]
pub fn f32_to_tf32(rounding: Rounding, saturation: Saturation, x: f32) -> u32 {
    if x.is_nan() {
        return F32_NAN;
    }
    narrow(TF32, rounding, saturation, f64::from(x)) << 13
}

/// `cvt.f32.f16`: exact; NaN becomes the canonical one.
#[inline(always)]
pub fn f16_to_f32(bits: u16) -> f32 {
    let (sign, magnitude) = (
        u32::from(bits & 0x8000) << 16,
        u32::from(bits & 0x7fff) << 13,
    );
    // Read with an exponent 112 too small and moved up, which normalises subnormals.
    let moved = (f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23)).to_bits();
    let top = if magnitude == 0x7c00 << 13 {
        0x7f80_0000
    } else {
        F32_NAN
    };
    let magnitude_bits = if magnitude >= 0x7c00 << 13 {
        top
    } else {
        moved
    };
    let sign = if magnitude > 0x7c00 << 13 { 0 } else { sign };
    f32::from_bits(sign | magnitude_bits)
}

/// `cvt.f32.bf16`: exact; NaN becomes the canonical one.
#[inline(always)]
pub fn bf16_to_f32(bits: u16) -> f32 {
    let x = f32::from_bits(u32::from(bits) << 16);
    if x.is_nan() {
        f32::from_bits(F32_NAN)
    } else {
        x
    }
}

/// Code of the NaN of `.ue8m0`.
pub const UE8M0_NAN: u8 = 0xff;

/// `cvt.{rz,rp}{.satfinite}.ue8m0x2`: the power of two below (`.rz`) or above (`.rp`) `|x|`.
///
/// Code `e` is 2^(e−127). Zero and what lies below 2^−127 become 2^−127; infinity and what lies above
/// 2^127 become NaN, or 2^127 with `.satfinite`.
#[inline(always)]
pub fn ue8m0(rounding: Rounding, satfinite: bool, x: f32) -> u8 {
    let magnitude = x.to_bits() & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return UE8M0_NAN;
    }
    let (field, fraction) = (magnitude >> 23, magnitude & 0x7f_ffff);
    // 2^−127 itself is a subnormal single with only the top fraction bit set.
    let above = if field == 0 {
        fraction > 0x40_0000
    } else {
        fraction != 0
    };
    let code = field + u32::from(rounding == Rounding::Rp && above);
    match code {
        0..=0xfe => code as u8,
        _ if satfinite => 0xfe,
        _ => UE8M0_NAN,
    }
}

/// `cvt.rn.bf16x2.ue8m0x2` of one element: a bf16 code.
#[inline(always)]
pub fn ue8m0_to_bf16(code: u8) -> u16 {
    match code {
        0 => 0x0040,
        UE8M0_NAN => HALF_NAN,
        _ => u16::from(code) << 7,
    }
}
