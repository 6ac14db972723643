//! Integer products, sums of differences and saturation (ISA, "Integer Arithmetic Instructions").
//!
//! `.lo` forms are `wrapping_mul`, `wrapping_add`.

macro_rules! products {
    ($hi:ident, $wide:ident, $sad:ident, $narrow:ty, $double:ty) => {
        /// `mul.hi`: the upper half of the product.
        #[inline(always)]
        pub fn $hi(a: $narrow, b: $narrow) -> $narrow {
            ($wide(a, b) >> <$narrow>::BITS) as $narrow
        }

        /// `mul.wide`: the whole product.
        #[inline(always)]
        pub fn $wide(a: $narrow, b: $narrow) -> $double {
            <$double>::from(a) * <$double>::from(b)
        }

        /// `sad`: `c + |a − b|`, wrapping.
        #[inline(always)]
        pub fn $sad(a: $narrow, b: $narrow, c: $narrow) -> $narrow {
            c.wrapping_add(a.abs_diff(b) as $narrow)
        }
    };
}

products!(mul_hi_u16, mul_wide_u16, sad_u16, u16, u32);
products!(mul_hi_s16, mul_wide_s16, sad_s16, i16, i32);
products!(mul_hi_u32, mul_wide_u32, sad_u32, u32, u64);
products!(mul_hi_s32, mul_wide_s32, sad_s32, i32, i64);
products!(mul_hi_u64, mul_wide_u64, sad_u64, u64, u128);
products!(mul_hi_s64, mul_wide_s64, sad_s64, i64, i128);

/// Which half of a product is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// `.lo`: the low bits.
    Lo,
    /// `.hi`: the high bits; of a 24-bit product bits 16 to 47.
    Hi,
}

/// `mul24.u32`: of the low 24 bits of each operand, the low 32 bits of the product or its bits 16
/// to 47.
#[inline(always)]
pub fn mul24_u32(part: Part, a: u32, b: u32) -> u32 {
    let product = u64::from(a & 0xff_ffff) * u64::from(b & 0xff_ffff);
    match part {
        Part::Lo => product as u32,
        Part::Hi => (product >> 16) as u32,
    }
}

/// `mul24.s32`: as [`mul24_u32`], the low 24 bits taken as two's complement.
#[inline(always)]
pub fn mul24_s32(part: Part, a: i32, b: i32) -> i32 {
    let product = i64::from(a << 8 >> 8) * i64::from(b << 8 >> 8);
    match part {
        Part::Lo => product as i32,
        Part::Hi => (product >> 16) as i32,
    }
}

/// `mad24.u32`: [`mul24_u32`] plus `c`, wrapping.
#[inline(always)]
pub fn mad24_u32(part: Part, a: u32, b: u32, c: u32) -> u32 {
    mul24_u32(part, a, b).wrapping_add(c)
}

/// `mad24.s32`: [`mul24_s32`] plus `c`, wrapping, or clamped with `.sat`.
#[inline(always)]
pub fn mad24_s32(part: Part, sat: bool, a: i32, b: i32, c: i32) -> i32 {
    let product = mul24_s32(part, a, b);
    if sat {
        product.saturating_add(c)
    } else {
        product.wrapping_add(c)
    }
}

/// `mad.hi.sat.s32`: the upper half of the product plus `c`, clamped.
#[inline(always)]
pub fn mad_hi_sat_s32(a: i32, b: i32, c: i32) -> i32 {
    mul_hi_s32(a, b).saturating_add(c)
}

/// `div`: by zero gives all ones, as GPUs do where the ISA leaves it open.
#[inline(always)]
pub fn div_u64(a: u64, b: u64) -> u64 {
    a.checked_div(b).unwrap_or(u64::MAX)
}

/// `div` of signed types: by zero gives −1; the quotient that does not fit wraps.
#[inline(always)]
pub fn div_s64(a: i64, b: i64) -> i64 {
    if b == 0 { -1 } else { a.wrapping_div(b) }
}

/// `rem`: by zero gives the dividend.
#[inline(always)]
pub fn rem_u64(a: u64, b: u64) -> u64 {
    a.checked_rem(b).unwrap_or(a)
}

/// `rem` of signed types, with the sign of the dividend; by zero gives the dividend.
#[inline(always)]
pub fn rem_s64(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { a.wrapping_rem(b) }
}
