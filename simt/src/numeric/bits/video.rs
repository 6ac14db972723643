//! Scalar video instructions (ISA, "Scalar Video Instructions").

use super::shift::Overlong;
use crate::numeric::compare::{Comparison, compare};

/// Signedness of a video operand: `.u32` or `.s32`.
pub use super::dot::Packed as Sign;

/// `.asel`, `.bsel`, `.dsel`: the part of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    /// All of it.
    Word,
    /// `.h0`, `.h1`.
    Half(u32),
    /// `.b0` to `.b3`.
    Byte(u32),
}

impl Selector {
    /// Width and lowest bit.
    #[inline(always)]
    fn bits(self) -> (u32, u32) {
        match self {
            Selector::Word => (32, 0),
            Selector::Half(i) => (16, 16 * (i & 1)),
            Selector::Byte(i) => (8, 8 * (i & 3)),
        }
    }

    /// The selected part, sign- or zero-extended.
    #[inline(always)]
    pub fn extract(self, sign: Sign, register: u32) -> i64 {
        let (width, low) = self.bits();
        let top = u64::from(register >> low) << (64 - width);
        match sign {
            Sign::Signed => top as i64 >> (64 - width),
            Sign::Unsigned => (top >> (64 - width)) as i64,
        }
    }
}

/// Primary operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `vadd`.
    Add,
    /// `vsub`.
    Sub,
    /// `vabsdiff`.
    AbsDiff,
    /// `vmin`.
    Min,
    /// `vmax`.
    Max,
    /// `vshl`; `b` is unsigned.
    Shl(Overlong),
    /// `vshr`; `b` is unsigned.
    Shr(Overlong),
    /// `vset`.
    Set(Comparison),
}

/// What becomes of the intermediate result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// It is the result.
    Plain,
    /// `.add`: plus `c`.
    Add,
    /// `.min`: the smaller of it and `c`.
    Min,
    /// `.max`: the larger of it and `c`.
    Max,
    /// Its low bits replace this part of `c`.
    Merge(Selector),
}

/// The steps after the primary operation: `.sat`, then the secondary operation or merge with `c`,
/// which has the sign of `dtype`.
#[inline(always)]
pub fn finish(sign: Sign, sat: bool, destination: Destination, value: i64, c: u32) -> u32 {
    let part = match destination {
        Destination::Merge(part) => part,
        _ => Selector::Word,
    };
    let (width, low) = part.bits();
    let value = match sign {
        _ if !sat => value,
        Sign::Signed => value.clamp(-(1 << (width - 1)), (1 << (width - 1)) - 1),
        Sign::Unsigned => value.clamp(0, (1 << width) - 1),
    };
    let wide_c = Selector::Word.extract(sign, c);
    match destination {
        Destination::Plain => value as u32,
        Destination::Add => (value + wide_c) as u32,
        Destination::Min => value.min(wide_c) as u32,
        Destination::Max => value.max(wide_c) as u32,
        Destination::Merge(_) => {
            let mask = ((1u64 << width) - 1) as u32;
            (value as u32 & mask) << low | c & !(mask << low)
        }
    }
}

/// A scalar video instruction of operands that are already extracted.
#[inline(always)]
pub fn video(
    operation: Operation,
    sign: Sign,
    sat: bool,
    destination: Destination,
    a: i64,
    b: i64,
    c: u32,
) -> u32 {
    let amount = |mode| match mode {
        Overlong::Clamp => b.min(32),
        Overlong::Wrap => b & 31,
    };
    let value = match operation {
        Operation::Add => a + b,
        Operation::Sub => a - b,
        Operation::AbsDiff => (a - b).abs(),
        Operation::Min => a.min(b),
        Operation::Max => a.max(b),
        Operation::Shl(mode) => a.wrapping_shl(amount(mode) as u32),
        Operation::Shr(mode) => a >> amount(mode),
        Operation::Set(comparison) => i64::from(compare(comparison, a, b)),
    };
    finish(sign, sat, destination, value, c)
}
