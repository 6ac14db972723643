//! Integer products, carries, dot products and video instructions against wide integers.

use crate::bits::{bit, word};
use proptest::prelude::*;
use simt::numeric::bits::carry::*;
use simt::numeric::bits::dot::{Packed, dp2a, dp4a};
use simt::numeric::bits::multiply::*;
use simt::numeric::bits::shift::Overlong;
use simt::numeric::bits::video::{self, Destination, Operation, Selector, Sign};
use simt::numeric::compare::Comparison;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn products(a: i64, b: i64, c: i32, x: i32, y: i32) {
        let wide = i128::from(a) * i128::from(b);
        prop_assert_eq!(mul_hi_s64(a, b), (wide >> 64) as i64);
        prop_assert_eq!(mul_wide_s64(a, b), wide);
        let wide = u128::from(a as u64) * u128::from(b as u64);
        prop_assert_eq!(mul_hi_u64(a as u64, b as u64), (wide >> 64) as u64);
        let (short_a, short_b) = (a as i16, b as i16);
        let wide = i32::from(short_a) * i32::from(short_b);
        prop_assert_eq!(mul_wide_s16(short_a, short_b), wide);
        prop_assert_eq!(mul_hi_s16(short_a, short_b), (wide >> 16) as i16);
        let unsigned = u32::from(short_a as u16) * u32::from(short_b as u16);
        prop_assert_eq!(mul_hi_u16(short_a as u16, short_b as u16), (unsigned >> 16) as u16);
        prop_assert_eq!(i64::from(mul_hi_s32(x, y)), (i64::from(x) * i64::from(y)) >> 32);
        prop_assert_eq!(mul_hi_u32(x as u32, y as u32), ((u64::from(x as u32) * u64::from(y as u32)) >> 32) as u32);
        // Twenty-four bits: the sign is bit 23.
        let low = |v: i32| i64::from(v & 0xff_ffff) - if v >> 23 & 1 == 1 { 1 << 24 } else { 0 };
        let signed = low(x) * low(y);
        let unsigned = i64::from(x & 0xff_ffff) * i64::from(y & 0xff_ffff);
        prop_assert_eq!(mul24_s32(Part::Lo, x, y), signed as i32);
        prop_assert_eq!(mul24_s32(Part::Hi, x, y), (signed >> 16) as i32);
        prop_assert_eq!(mul24_u32(Part::Lo, x as u32, y as u32), unsigned as u32);
        prop_assert_eq!(mul24_u32(Part::Hi, x as u32, y as u32), (unsigned >> 16) as u32);
        let sum = (signed >> 16) + i64::from(c);
        let clamped = sum.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        prop_assert_eq!(mad24_s32(Part::Hi, false, x, y, c), sum as i32);
        prop_assert_eq!(i64::from(mad24_s32(Part::Hi, true, x, y, c)), clamped);
        prop_assert_eq!(mad24_u32(Part::Lo, x as u32, y as u32, c as u32), (unsigned as u32).wrapping_add(c as u32));
        let sum = ((i64::from(x) * i64::from(y)) >> 32) + i64::from(c);
        let clamped = sum.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        prop_assert_eq!(i64::from(mad_hi_sat_s32(x, y, c)), clamped);
        let distance = (i64::from(x) - i64::from(y)).abs();
        prop_assert_eq!(sad_s32(x, y, c), (distance + i64::from(c)) as i32);
        let distance = i64::from(x as u32).abs_diff(i64::from(y as u32));
        prop_assert_eq!(sad_u32(x as u32, y as u32, c as u32), (distance as u32).wrapping_add(c as u32));
        let distance = (i128::from(a) - i128::from(b)).abs();
        prop_assert_eq!(sad_s64(a, b, i64::from(c)), (distance + i128::from(c)) as i64);
    }

    #[test]
    fn carries(a: u64, b: u64, c: u64, carry: bool) {
        let one = u128::from(carry);
        for (a, b, c, mask) in [(a, b, c, u64::MAX), (a as u32 as u64, b as u32 as u64, c as u32 as u64, u32::MAX as u64)] {
            let top = u128::from(mask) + 1;
            let sum = u128::from(a) + u128::from(b) + one;
            // The borrow is what must be lent for the difference not to be negative.
            let difference = top + u128::from(a) - u128::from(b) - one;
            let expected_sum = ((sum % top) as u64, sum >= top);
            let expected_difference = ((difference % top) as u64, difference < top);
            let product = u128::from(a) * u128::from(b);
            let low = product % top + u128::from(c) + one;
            let high = product / top + u128::from(c) + one;
            let signed = |x: u64| i128::from(x) - if u128::from(x) * 2 >= top { top as i128 } else { 0 };
            let signed_high = (signed(a) * signed(b)).div_euclid(top as i128);
            let signed_high = signed_high.rem_euclid(top as i128) as u128 + u128::from(c) + one;
            let split = |x: u128| ((x % top) as u64, x >= top);
            if mask == u64::MAX {
                prop_assert_eq!(addc64(a, b, carry), expected_sum);
                prop_assert_eq!(subc64(a, b, carry), expected_difference);
                prop_assert_eq!(madc_u64(Part::Lo, a, b, c, carry), split(low));
                prop_assert_eq!(madc_u64(Part::Hi, a, b, c, carry), split(high));
                let (value, flag) = madc_s64(Part::Hi, a as i64, b as i64, c as i64, carry);
                prop_assert_eq!((value as u64, flag), split(signed_high));
            } else {
                let (a, b, c) = (a as u32, b as u32, c as u32);
                let wide = |(value, flag): (u32, bool)| (u64::from(value), flag);
                prop_assert_eq!(wide(addc32(a, b, carry)), expected_sum);
                prop_assert_eq!(wide(subc32(a, b, carry)), expected_difference);
                prop_assert_eq!(wide(madc_u32(Part::Lo, a, b, c, carry)), split(low));
                prop_assert_eq!(wide(madc_u32(Part::Hi, a, b, c, carry)), split(high));
                let (value, flag) = madc_s32(Part::Hi, a as i32, b as i32, c as i32, carry);
                prop_assert_eq!(wide((value as u32, flag)), split(signed_high));
                let (value, flag) = madc_s32(Part::Lo, a as i32, b as i32, c as i32, carry);
                prop_assert_eq!(wide((value as u32, flag)), split(low));
            }
        }
    }

    #[test]
    fn dots(a: u32, b: u32, c: u32) {
        let element = |packed, register: u32, width: u32, i: u32| {
            let value = i64::from(register >> (width * i)) & ((1 << width) - 1);
            let negative = packed == Packed::Signed && value >> (width - 1) == 1;
            value - if negative { 1 << width } else { 0 }
        };
        for a_type in [Packed::Unsigned, Packed::Signed] {
            for b_type in [Packed::Unsigned, Packed::Signed] {
                let four: i64 = (0..4).map(|i| element(a_type, a, 8, i) * element(b_type, b, 8, i)).sum();
                prop_assert_eq!(dp4a(a_type, b_type, a, b, c), (four + i64::from(c)) as u32);
                for (part, from) in [(Part::Lo, 0), (Part::Hi, 2)] {
                    let two: i64 =
                        (0..2).map(|i| element(a_type, a, 16, i) * element(b_type, b, 8, from + i)).sum();
                    prop_assert_eq!(dp2a(part, a_type, b_type, a, b, c), (two + i64::from(c)) as u32);
                }
            }
        }
    }

    #[test]
    fn videos(a: u32, b: u32, c: u32, part in 0u32..7, sat: bool, signed: bool) {
        let selector = match part {
            0..4 => Selector::Byte(part),
            4..6 => Selector::Half(part - 4),
            _ => Selector::Word,
        };
        let (width, low) = [(8, 0), (8, 8), (8, 16), (8, 24), (16, 0), (16, 16), (32, 0)][part as usize];
        let sign = if signed { Sign::Signed } else { Sign::Unsigned };
        let extract = |x: u32| {
            let value = word(width, |i| bit(u64::from(x), low + i)) as i64;
            value - if signed && value >> (width - 1) == 1 { 1 << width } else { 0 }
        };
        let (x, y) = (extract(a), extract(b));
        prop_assert_eq!(selector.extract(sign, a), x);
        let amount = |mode| if mode == Overlong::Clamp { y.clamp(0, 32) } else { y.rem_euclid(32) };
        let shift = Overlong::Wrap;
        let operations = [
            (Operation::Add, x + y),
            (Operation::Sub, x - y),
            (Operation::AbsDiff, if x > y { x - y } else { y - x }),
            (Operation::Min, if x < y { x } else { y }),
            (Operation::Max, if x < y { y } else { x }),
            (Operation::Set(Comparison::Le), i64::from(x <= y)),
            (Operation::Shl(shift), x * (1 << amount(shift))),
            (Operation::Shr(shift), x.div_euclid(1 << amount(shift))),
        ];
        let wide_c = if signed { i64::from(c as i32) } else { i64::from(c) };
        for (operation, value) in operations {
            let clamp = |width: u32| match (sat, signed) {
                (false, _) => value,
                (true, true) => value.clamp(-(1 << (width - 1)), (1 << (width - 1)) - 1),
                (true, false) => value.clamp(0, (1 << width) - 1),
            };
            let full = clamp(32);
            let run = |destination| video::video(operation, sign, sat, destination, x, y, c);
            prop_assert_eq!(run(Destination::Plain), full as u32);
            prop_assert_eq!(run(Destination::Add), (full + wide_c) as u32);
            prop_assert_eq!(run(Destination::Min), if full < wide_c { full } else { wide_c } as u32);
            prop_assert_eq!(run(Destination::Max), if full > wide_c { full } else { wide_c } as u32);
            let merged = word(32, |i| match i >= low && i < low + width {
                true => bit(clamp(width) as u64, i - low),
                false => bit(u64::from(c), i),
            });
            prop_assert_eq!(u64::from(run(Destination::Merge(selector))), merged);
        }
    }
}

#[test]
fn divisions() {
    assert_eq!((div_u64(7, 2), rem_u64(7, 2)), (3, 1));
    assert_eq!((div_s64(-7, 2), rem_s64(-7, 2)), (-3, -1));
    assert_eq!(
        (div_s64(i64::MIN, -1), rem_s64(i64::MIN, -1)),
        (i64::MIN, 0)
    );
    assert_eq!((div_u64(7, 0), rem_u64(7, 0)), (u64::MAX, 7));
    assert_eq!((div_s64(7, 0), rem_s64(7, 0)), (-1, 7));
}
