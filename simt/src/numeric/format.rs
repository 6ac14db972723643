//! Floating-point formats by their fields: how many bits, what the top codes mean.

/// A binary format of a sign, an exponent and a fraction, as `cvt` and `mma` use them
/// (ISA, "Fundamental Types" and "Alternate Floating-Point Data Formats").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Bits of the exponent field; its bias is 2^(bits−1) − 1.
    pub exponent_bits: u32,
    /// Bits of the fraction field.
    pub fraction_bits: u32,
    /// Magnitude code of the largest finite value, `MAX_NORM`.
    pub max: u64,
    /// Magnitude code of infinity, where the format has one.
    pub infinity: Option<u64>,
    /// Code of the canonical NaN, where the format has one.
    pub nan: Option<u64>,
}

/// IEEE double precision.
pub const F64: Format = Format {
    exponent_bits: 11,
    fraction_bits: 52,
    max: 0x7fef_ffff_ffff_ffff,
    infinity: Some(0x7ff0_0000_0000_0000),
    nan: Some(F64_NAN),
};
/// IEEE single precision.
pub const F32: Format = Format {
    exponent_bits: 8,
    fraction_bits: 23,
    max: 0x7f7f_ffff,
    infinity: Some(0x7f80_0000),
    nan: Some(F32_NAN as u64),
};
/// IEEE half precision.
pub const F16: Format = Format {
    exponent_bits: 5,
    fraction_bits: 10,
    max: 0x7bff,
    infinity: Some(0x7c00),
    nan: Some(HALF_NAN as u64),
};
/// The upper half of single precision.
pub const BF16: Format = Format {
    exponent_bits: 8,
    fraction_bits: 7,
    max: 0x7f7f,
    infinity: Some(0x7f80),
    nan: Some(HALF_NAN as u64),
};
/// The upper 19 bits of single precision; PTX keeps it in the upper bits of 32.
pub const TF32: Format = Format {
    exponent_bits: 8,
    fraction_bits: 10,
    max: 0x3_fbff,
    infinity: Some(0x3_fc00),
    nan: Some(0x3_ffff),
};
/// Eight bits with infinities.
pub const E5M2: Format = Format {
    exponent_bits: 5,
    fraction_bits: 2,
    max: 0x7b,
    infinity: Some(0x7c),
    nan: Some(0x7f),
};
/// Eight bits; only the topmost code is not a number, and there is no infinity.
pub const E4M3: Format = Format {
    exponent_bits: 4,
    fraction_bits: 3,
    max: 0x7e,
    infinity: None,
    nan: Some(0x7f),
};
/// Six bits, every code a number.
pub const E3M2: Format = Format {
    exponent_bits: 3,
    fraction_bits: 2,
    max: 0x1f,
    infinity: None,
    nan: None,
};
/// Six bits, every code a number.
pub const E2M3: Format = Format {
    exponent_bits: 2,
    fraction_bits: 3,
    max: 0x1f,
    infinity: None,
    nan: None,
};
/// Four bits, every code a number.
pub const E2M1: Format = Format {
    exponent_bits: 2,
    fraction_bits: 1,
    max: 0x7,
    infinity: None,
    nan: None,
};

/// What single-precision instructions return for "not a number".
pub const F32_NAN: u32 = 0x7fff_ffff;
/// What f16 and bf16 instructions return for "not a number".
pub const HALF_NAN: u16 = 0x7fff;
/// What double-precision instructions return when no operand was NaN.
pub const F64_NAN: u64 = 0xfff8_0000_0000_0000;

impl Format {
    /// Bits of the sign, exponent and fraction together.
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        1 + self.exponent_bits + self.fraction_bits
    }

    /// The sign's bit.
    #[inline(always)]
    pub const fn sign(self) -> u64 {
        1 << (self.bits() - 1)
    }

    /// Exponent of the smallest normal number, which all subnormals share.
    #[inline(always)]
    pub const fn min_exponent(self) -> i32 {
        2 - (1 << (self.exponent_bits - 1))
    }

    /// The value of a code of at most 32 bits; exact, NaN becomes [`F32_NAN`].
    ///
    /// Infinity of a format without one cannot occur; `bits` above the sign are ignored.
    #[inline(always)]
    pub fn to_f32(self, bits: u32) -> f32 {
        let sign = (bits & self.sign() as u32) << (32 - self.bits());
        let magnitude = bits & (self.sign() as u32 - 1);
        if self.nan.is_some() && u64::from(magnitude) > self.infinity.unwrap_or(self.max) {
            return f32::from_bits(F32_NAN);
        }
        if self.infinity == Some(u64::from(magnitude)) {
            return f32::from_bits(sign | 0x7f80_0000);
        }
        // Read as a single with a smaller exponent, then moved up: exact for subnormals too.
        let small = f32::from_bits(sign | magnitude << (23 - self.fraction_bits));
        let lift = F32.min_exponent().abs_diff(self.min_exponent());
        small * f32::from_bits((127 + lift) << 23)
    }
}
