//! Sums with carry (ISA, "Extended-Precision Integer Arithmetic Instructions").
//!
//! Each returns the value and the new `CC.CF`. The forms without carry-in are called with `false`.
//! Signed types give the same bits except in the upper half of a product.

use super::multiply::Part;

macro_rules! carries {
    ($addc:ident, $subc:ident, $madc_u:ident, $madc_s:ident, $unsigned:ty, $signed:ty, $wide_u:ty, $wide_s:ty) => {
        /// `add.cc`, `addc`: `a + b + carry`.
        #[inline(always)]
        pub fn $addc(a: $unsigned, b: $unsigned, carry: bool) -> ($unsigned, bool) {
            let (sum, first) = a.overflowing_add(b);
            let (sum, second) = sum.overflowing_add(<$unsigned>::from(carry));
            (sum, first || second)
        }

        /// `sub.cc`, `subc`: `a − (b + borrow)`; the flag holds the borrow.
        #[inline(always)]
        pub fn $subc(a: $unsigned, b: $unsigned, borrow: bool) -> ($unsigned, bool) {
            let (difference, first) = a.overflowing_sub(b);
            let (difference, second) = difference.overflowing_sub(<$unsigned>::from(borrow));
            (difference, first || second)
        }

        /// `mad.cc`, `madc` of unsigned types: a half of `a · b`, plus `c` and the carry.
        #[inline(always)]
        pub fn $madc_u(
            part: Part,
            a: $unsigned,
            b: $unsigned,
            c: $unsigned,
            carry: bool,
        ) -> ($unsigned, bool) {
            let half = match part {
                Part::Lo => a.wrapping_mul(b),
                Part::Hi => {
                    ((<$wide_u>::from(a) * <$wide_u>::from(b)) >> <$unsigned>::BITS) as $unsigned
                }
            };
            $addc(half, c, carry)
        }

        /// `mad.cc`, `madc` of signed types.
        #[inline(always)]
        pub fn $madc_s(
            part: Part,
            a: $signed,
            b: $signed,
            c: $signed,
            carry: bool,
        ) -> ($signed, bool) {
            let half = match part {
                Part::Lo => a.wrapping_mul(b),
                Part::Hi => {
                    ((<$wide_s>::from(a) * <$wide_s>::from(b)) >> <$signed>::BITS) as $signed
                }
            };
            let (sum, carry) = $addc(half as $unsigned, c as $unsigned, carry);
            (sum as $signed, carry)
        }
    };
}

carries!(addc32, subc32, madc_u32, madc_s32, u32, i32, u64, i64);
carries!(addc64, subc64, madc_u64, madc_s64, u64, i64, u128, i128);
