//! Element types of matrix operands, and how registers hold them.

use crate::numeric::format::{E2M1, E2M3, E3M2, E4M3, E5M2};
use crate::numeric::narrow::f16_to_f32;

/// Element type of the multiplicands A and B.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// `.f16`.
    F16,
    /// `.bf16`.
    Bf16,
    /// `.tf32`: a 32-bit register whose low 13 bits are ignored.
    Tf32,
    /// `.f64`: one register of 64 bits.
    F64,
    /// `.e4m3`.
    E4m3,
    /// `.e5m2`.
    E5m2,
    /// `.e3m2`, in the low six bits of a byte.
    E3m2,
    /// `.e2m3`, in the low six bits of a byte.
    E2m3,
    /// `.e2m1` of `.kind::f8f6f4`, in the central four bits of a byte.
    E2m1,
    /// `.s8`.
    S8,
    /// `.u8`.
    U8,
    /// `.s4`.
    S4,
    /// `.u4`.
    U4,
    /// `.b1`.
    B1,
}

impl Element {
    /// Bits an element takes in a register and in shared memory.
    #[inline(always)]
    pub const fn bits(self) -> usize {
        match self {
            Element::F64 => 64,
            Element::Tf32 => 32,
            Element::F16 | Element::Bf16 => 16,
            Element::S4 | Element::U4 => 4,
            Element::B1 => 1,
            _ => 8,
        }
    }

    /// Elements of a register: of 32 bits, but of 64 for `.f64`.
    #[inline(always)]
    pub const fn per_register(self) -> usize {
        match self {
            Element::F64 => 1,
            _ => 32 / self.bits(),
        }
    }

    /// The value of floating-point element `i` of a register, exact; NaN is some NaN.
    /// Integer types and f64 have none.
    #[inline(always)]
    pub fn float(self, register: u32, i: usize) -> f32 {
        let byte = register >> (8 * i) & 0xff;
        match self {
            Element::F16 => f16_to_f32((register >> (16 * i)) as u16),
            Element::Bf16 => f32::from_bits(register >> (16 * i) << 16),
            Element::Tf32 => f32::from_bits(register & !0x1fff),
            Element::E4m3 => E4M3.to_f32(byte),
            Element::E5m2 => E5M2.to_f32(byte),
            Element::E3m2 => E3M2.to_f32(byte & 0x3f),
            Element::E2m3 => E2M3.to_f32(byte & 0x3f),
            Element::E2m1 => E2M1.to_f32(byte >> 2 & 0xf),
            _ => 0.0,
        }
    }
}
