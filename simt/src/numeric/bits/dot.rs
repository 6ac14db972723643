//! `dp4a` and `dp2a` (ISA, "Integer Arithmetic Instructions").
//!
//! All sums wrap, so one result of 32 bits serves signed and unsigned destinations.

use super::multiply::Part;

/// Signedness of a packed operand: `.u32` or `.s32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Packed {
    /// Zero-extended elements.
    Unsigned,
    /// Sign-extended elements.
    Signed,
}

impl Packed {
    /// Byte `i` of `register`.
    #[inline(always)]
    fn byte(self, register: u32, i: u32) -> i32 {
        let byte = (register >> (8 * i)) as u8;
        match self {
            Packed::Unsigned => i32::from(byte),
            Packed::Signed => i32::from(byte as i8),
        }
    }

    /// Half `i` of `register`.
    #[inline(always)]
    fn half(self, register: u32, i: u32) -> i32 {
        let half = (register >> (16 * i)) as u16;
        match self {
            Packed::Unsigned => i32::from(half),
            Packed::Signed => i32::from(half as i16),
        }
    }
}

/// `dp4a`: `c` plus the products of four bytes each.
#[inline(always)]
pub fn dp4a(a_type: Packed, b_type: Packed, a: u32, b: u32, c: u32) -> u32 {
    (0..4).fold(c, |sum, i| {
        sum.wrapping_add((a_type.byte(a, i) * b_type.byte(b, i)) as u32)
    })
}

/// `dp2a`: `c` plus the products of the halves of `a` with the lower or upper two bytes of `b`.
#[inline(always)]
pub fn dp2a(part: Part, a_type: Packed, b_type: Packed, a: u32, b: u32, c: u32) -> u32 {
    let from = match part {
        Part::Lo => 0,
        Part::Hi => 2,
    };
    (0..2).fold(c, |sum, i| {
        sum.wrapping_add((a_type.half(a, i) * b_type.byte(b, from + i)) as u32)
    })
}
