//! Bit fields and bit searches (ISA, "Integer Arithmetic Instructions": `bfe` to `bmsk`).
//!
//! `popc`, `clz` and `brev` are `count_ones`, `leading_zeros` and `reverse_bits`.

use super::shift::Overlong;

/// What `bfind` and `fns` give where no bit is found.
pub const NOT_FOUND: u32 = u32::MAX;

macro_rules! fields {
    ($bfe_u:ident, $bfe_s:ident, $bfi:ident, $bfind_u:ident, $bfind_s:ident, $unsigned:ty, $signed:ty) => {
        /// `bfe` of an unsigned type: `length` bits from `position`, zero-extended.
        #[inline(always)]
        pub fn $bfe_u(a: $unsigned, position: u32, length: u32) -> $unsigned {
            let (position, length) = (position & 0xff, length & 0xff);
            let moved = if position < <$unsigned>::BITS {
                a >> position
            } else {
                0
            };
            let mask: $unsigned = if length < <$unsigned>::BITS {
                (1 << length) - 1
            } else {
                <$unsigned>::MAX
            };
            moved & mask
        }

        /// `bfe` of a signed type: sign-extended from the field's top bit, or from the operand's
        /// where the field reaches beyond it.
        #[inline(always)]
        pub fn $bfe_s(a: $signed, position: u32, length: u32) -> $signed {
            let (position, length) = (position & 0xff, length & 0xff);
            let moved = a >> position.min(<$signed>::BITS - 1);
            match length {
                0 => 0,
                _ if length < <$signed>::BITS => {
                    let unused = <$signed>::BITS - length;
                    moved << unused >> unused
                }
                _ => moved,
            }
        }

        /// `bfi f, a, b, position, length`: the low `length` bits of `a` laid over `b`.
        #[inline(always)]
        pub fn $bfi(a: $unsigned, b: $unsigned, position: u32, length: u32) -> $unsigned {
            let (position, length) = (position & 0xff, length & 0xff);
            let mask: $unsigned = if length < <$unsigned>::BITS {
                (1 << length) - 1
            } else {
                <$unsigned>::MAX
            };
            if position >= <$unsigned>::BITS {
                return b;
            }
            b & !(mask << position) | (a & mask) << position
        }

        /// `bfind` of an unsigned type: position of the highest 1.
        #[inline(always)]
        pub fn $bfind_u(shift_amount: bool, a: $unsigned) -> u32 {
            match a.leading_zeros() {
                <$unsigned>::BITS => NOT_FOUND,
                zeros if shift_amount => zeros,
                zeros => <$unsigned>::BITS - 1 - zeros,
            }
        }

        /// `bfind` of a signed type: position of the highest bit that differs from the sign.
        #[inline(always)]
        pub fn $bfind_s(shift_amount: bool, a: $signed) -> u32 {
            $bfind_u(shift_amount, (a ^ a >> (<$signed>::BITS - 1)) as $unsigned)
        }
    };
}

fields!(bfe_u32, bfe_s32, bfi32, bfind_u32, bfind_s32, u32, i32);
fields!(bfe_u64, bfe_s64, bfi64, bfind_u64, bfind_s64, u64, i64);

/// `fns.b32`: the |offset|-th set bit from `base` on, upwards for positive offsets, downwards for
/// negative; `base` itself counts. Offset 0 asks for bit `base` only.
#[inline(always)]
pub fn fns(mask: u32, base: u32, offset: i32) -> u32 {
    let base = base & 31;
    if offset == 0 {
        return if mask >> base & 1 != 0 {
            base
        } else {
            NOT_FOUND
        };
    }
    // Downwards is upwards in the reversed word.
    let (mut bits, from) = if offset > 0 {
        (mask >> base << base, 0)
    } else {
        (mask.reverse_bits() >> (31 - base) << (31 - base), 31)
    };
    for _ in 1..offset.unsigned_abs().min(33) {
        bits &= bits.wrapping_sub(1);
    }
    if bits == 0 {
        NOT_FOUND
    } else {
        bits.trailing_zeros().abs_diff(from)
    }
}

/// `szext.u32`: the low `bits` bits, zero-extended.
#[inline(always)]
pub fn szext_u32(mode: Overlong, a: u32, bits: u32) -> u32 {
    match (mode, bits) {
        (Overlong::Clamp, 32..) => a,
        _ => a & ((1 << (bits & 31)) - 1),
    }
}

/// `szext.s32`: the low `bits` bits, sign-extended.
#[inline(always)]
pub fn szext_s32(mode: Overlong, a: i32, bits: u32) -> i32 {
    match (mode, bits, bits & 31) {
        (Overlong::Clamp, 32.., _) => a,
        (_, _, 0) => 0,
        (_, _, n) => a << (32 - n) >> (32 - n),
    }
}

/// `bmsk.b32`: `width` ones from bit `position` on.
#[inline(always)]
pub fn bmsk(mode: Overlong, position: u32, width: u32) -> u32 {
    let (position, width) = match mode {
        Overlong::Clamp if position >= 32 => return 0,
        Overlong::Clamp => (position, width.min(32)),
        Overlong::Wrap => (position & 31, width & 31),
    };
    (((1u64 << width) - 1) << position) as u32
}
