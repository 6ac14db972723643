//! f16 and bf16 arithmetic, one element and packed pairs
//! (ISA, "Half Precision Floating-Point Instructions").

use super::format::HALF_NAN;
use super::narrow::{bf16_rn, bf16_to_f32, f16_rn, f16_to_f32};
use super::single::{odd_single, odd_sum, saturate};

/// A 16-bit type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Half {
    /// `.f16`.
    F16,
    /// `.bf16`.
    Bf16,
}

/// Modifiers of half-precision arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Modifiers {
    /// `.ftz`: subnormal operands and results to zero of the same sign.
    pub ftz: bool,
    /// `.sat`: the result into [0, 1], NaN to +0.
    pub sat: bool,
    /// `.relu`: negative results to +0, NaN to the canonical NaN.
    pub relu: bool,
}

impl Half {
    /// The value of a code; NaN becomes the canonical one.
    #[inline(always)]
    pub fn to_f32(self, bits: u16) -> f32 {
        match self {
            Half::F16 => f16_to_f32(bits),
            Half::Bf16 => bf16_to_f32(bits),
        }
    }

    /// The nearest code.
    #[inline(always)]
    pub fn from_f32(self, x: f32) -> u16 {
        match self {
            Half::F16 => f16_rn(x),
            Half::Bf16 => bf16_rn(x),
        }
    }

    /// The code of infinity, all exponent bits set.
    #[inline(always)]
    fn infinity(self) -> u16 {
        match self {
            Half::F16 => 0x7c00,
            Half::Bf16 => 0x7f80,
        }
    }

    /// `.ftz` on one code.
    #[inline(always)]
    pub fn flush(self, bits: u16) -> u16 {
        let min_normal = self.infinity() & self.infinity().wrapping_neg();
        if bits & 0x7fff < min_normal {
            bits & 0x8000
        } else {
            bits
        }
    }

    /// `a + b`, to nearest.
    #[inline(always)]
    pub fn add(self, modifiers: Modifiers, a: u16, b: u16) -> u16 {
        // 24 bits are at least 2·11 + 2: rounding a sum or product twice equals rounding it once.
        let [a, b] = self.operands(modifiers, [a, b]);
        self.result(modifiers, a + b)
    }

    /// `a − b`, to nearest.
    #[inline(always)]
    pub fn sub(self, modifiers: Modifiers, a: u16, b: u16) -> u16 {
        let [a, b] = self.operands(modifiers, [a, b]);
        self.result(modifiers, a - b)
    }

    /// `a · b`, to nearest.
    #[inline(always)]
    pub fn mul(self, modifiers: Modifiers, a: u16, b: u16) -> u16 {
        let [a, b] = self.operands(modifiers, [a, b]);
        self.result(modifiers, a * b)
    }

    /// `a · b + c`, rounded once, to nearest.
    #[inline(always)]
    pub fn fma(self, modifiers: Modifiers, a: u16, b: u16, c: u16) -> u16 {
        let [a, b, c] = self.operands(modifiers, [a, b, c]);
        // The product is exact in f64; two roundings to odd keep the sum on its side of every half.
        let sum = odd_sum(f64::from(a) * f64::from(b), f64::from(c));
        self.result(modifiers, odd_single(sum))
    }

    /// `−a`: the sign bit turned, whatever the rest.
    #[inline(always)]
    pub fn neg(self, ftz: bool, a: u16) -> u16 {
        (if ftz { self.flush(a) } else { a }) ^ 0x8000
    }

    /// `|a|`: the sign bit cleared, whatever the rest.
    #[inline(always)]
    pub fn abs(self, ftz: bool, a: u16) -> u16 {
        (if ftz { self.flush(a) } else { a }) & 0x7fff
    }

    #[inline(always)]
    fn operands<const N: usize>(self, modifiers: Modifiers, codes: [u16; N]) -> [f32; N] {
        codes.map(|code| {
            self.to_f32(if modifiers.ftz {
                self.flush(code)
            } else {
                code
            })
        })
    }

    #[inline(always)]
    fn result(self, modifiers: Modifiers, x: f32) -> u16 {
        let x = if modifiers.sat { saturate(x) } else { x };
        let code = self.from_f32(x);
        let code = if modifiers.ftz {
            self.flush(code)
        } else {
            code
        };
        if modifiers.relu && code > 0x8000 && code & 0x7fff <= self.infinity() {
            return 0;
        }
        if modifiers.relu && code == 0x8000 {
            0
        } else {
            code
        }
    }
}

/// A packed instruction: `operation` on the lower and on the upper halves of 32-bit registers.
#[inline(always)]
pub fn packed<const N: usize>(registers: [u32; N], operation: impl Fn([u16; N]) -> u16) -> u32 {
    let low = operation(registers.map(|r| r as u16));
    let high = operation(registers.map(|r| (r >> 16) as u16));
    u32::from(high) << 16 | u32::from(low)
}

/// Modifiers of `min` and `max`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MinMax {
    /// `.ftz`: subnormal operands and results to zero of the same sign; f64 has none.
    pub ftz: bool,
    /// `.NaN`: any NaN operand makes the result the canonical NaN.
    pub nan: bool,
    /// `.xorsign.abs`: of the magnitudes; the sign is the exclusive or of the operands' signs.
    pub xorsign_abs: bool,
}

impl Half {
    /// `min` (ISA, "Half Precision Floating Point Instructions: min").
    #[inline(always)]
    pub fn min(self, modifiers: MinMax, a: u16, b: u16) -> u16 {
        self.select(modifiers, a, b, |a, b| a < b)
    }

    /// `max` (ISA, "Half Precision Floating Point Instructions: max").
    #[inline(always)]
    pub fn max(self, modifiers: MinMax, a: u16, b: u16) -> u16 {
        self.select(modifiers, a, b, |a, b| a > b)
    }

    #[inline(always)]
    fn select(self, m: MinMax, a: u16, b: u16, first: impl Fn(i16, i16) -> bool) -> u16 {
        let [a, b] = [a, b].map(|x| if m.ftz { self.flush(x) } else { x });
        let sign = (a ^ b) & 0x8000;
        let [a, b] = [a, b].map(|x| if m.xorsign_abs { x & 0x7fff } else { x });
        let [a_nan, b_nan] = [a, b].map(|x| x & 0x7fff > self.infinity());
        if a_nan && b_nan || m.nan && (a_nan || b_nan) {
            return HALF_NAN;
        }
        // As integers of two's complement codes order as their values do, −0 below +0.
        let order = |x: u16| (x ^ ((x as i16 >> 15) as u16 & 0x7fff)) as i16;
        let picked = if b_nan || !a_nan && first(order(a), order(b)) {
            a
        } else {
            b
        };
        if m.xorsign_abs { picked | sign } else { picked }
    }
}
