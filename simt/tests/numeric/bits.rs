//! Bit and integer instructions against the ISA's prose, written as loops over bits.

use proptest::prelude::*;
use simt::numeric::bits::carry::*;
use simt::numeric::bits::dot::{Packed, dp2a, dp4a};
use simt::numeric::bits::field::*;
use simt::numeric::bits::logic::{cnot, lop3};
use simt::numeric::bits::multiply::*;
use simt::numeric::bits::permute::{Permute, prmt};
use simt::numeric::bits::shift::*;
use simt::numeric::bits::video::{self, Destination, Operation, Selector, Sign};
use simt::numeric::compare::Comparison;

fn bit(x: u64, i: u32) -> bool {
    i < 64 && x >> i & 1 == 1
}

/// A word whose bit `i` is `f(i)`.
fn word(width: u32, f: impl Fn(u32) -> bool) -> u64 {
    (0..width).map(|i| u64::from(f(i)) << i).sum()
}

/// Amounts, positions and lengths: mostly around the word's width.
fn amounts() -> impl Strategy<Value = u32> {
    prop_oneof![3 => 0u32..70, 1 => 250u32..262, 1 => any::<u32>()]
}

/// Words with few, many or random bits set.
fn words() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        any::<u32>().prop_map(u64::from),
        (any::<u64>(), any::<u64>()).prop_map(|(a, b)| a & b & b.rotate_left(17)),
        (0u32..64).prop_map(|i| 1 << i),
        (0u32..64).prop_map(|i| !(1 << i)),
        Just(0),
        Just(u64::MAX),
    ]
}

/// The ISA's loop for `bfe`, on 32 or 64 bits.
fn bfe(width: u32, signed: bool, a: u64, b: u32, c: u32) -> u64 {
    let (position, length, msb) = (b & 0xff, c & 0xff, width - 1);
    let sign = signed && length != 0 && bit(a, (position + length - 1).min(msb));
    word(width, |i| {
        if i < length && position + i <= msb {
            bit(a, position + i)
        } else {
            sign
        }
    })
}

/// The ISA's loop for `bfi`.
fn bfi(width: u32, a: u64, b: u64, c: u32, d: u32) -> u64 {
    let (position, length) = (c & 0xff, d & 0xff);
    word(width, |i| {
        if i >= position && i < position + length {
            bit(a, i - position)
        } else {
            bit(b, i)
        }
    })
}

/// The ISA's loop for `bfind`.
fn bfind(width: u32, signed: bool, shift_amount: bool, a: u64) -> u32 {
    let sign = signed && bit(a, width - 1);
    match (0..width).rev().find(|&i| bit(a, i) != sign) {
        None => u32::MAX,
        Some(i) if shift_amount => width - 1 - i,
        Some(i) => i,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn logic(a: u32, b: u32, c: u32, table: u8) {
        let expected = word(32, |i| {
            let [a, b, c] = [a, b, c].map(|x| u8::from(bit(u64::from(x), i)));
            table >> (4 * a + 2 * b + c) & 1 == 1
        });
        prop_assert_eq!(u64::from(lop3(a, b, c, table)), expected);
        // The ISA's recipe: the function applied to these three constants gives its table.
        prop_assert_eq!(lop3(a, b, c, 0xf0 & 0xcc & 0xaa), a & b & c);
        prop_assert_eq!(lop3(a, b, c, (0xf0 | 0xcc) ^ 0xaa), (a | b) ^ c);
        prop_assert_eq!(cnot(u64::from(a)), u64::from(a == 0));
    }

    #[test]
    fn shifts(a in words(), b: u32, amount in amounts()) {
        for width in [16, 32, 64] {
            let left = word(width, |i| i >= amount && bit(a, i - amount));
            let right = word(width, |i| i.saturating_add(amount) < width && bit(a, i + amount));
            let signed = word(width, |i| bit(a, i.saturating_add(amount).min(width - 1)));
            let got = match width {
                16 => [shl16(a as u16, amount).into(), shr16(a as u16, amount).into(),
                    (sar16(a as i16, amount) as u16).into()],
                32 => [shl32(a as u32, amount).into(), shr32(a as u32, amount).into(),
                    (sar32(a as i32, amount) as u32).into()],
                _ => [shl64(a, amount), shr64(a, amount), sar64(a as i64, amount) as u64],
            };
            prop_assert_eq!(got, [left, right, signed], "{} bits by {}", width, amount);
        }
        let both = u64::from(b) << 32 | a & 0xffff_ffff;
        for (mode, n) in [(Overlong::Clamp, amount.min(32)), (Overlong::Wrap, amount % 32)] {
            let left = word(32, |i| bit(both, i + 32 - n));
            let right = word(32, |i| bit(both, i + n));
            prop_assert_eq!(u64::from(shf_l(mode, a as u32, b, amount)), left);
            prop_assert_eq!(u64::from(shf_r(mode, a as u32, b, amount)), right);
        }
    }

    #[test]
    fn permutations(a: u32, b: u32, selector: u32) {
        let bytes: Vec<u32> = (0..8).map(|i| (if i < 4 { a >> (8 * i) } else { b >> (8 * (i - 4)) }) & 0xff).collect();
        let join = |picked: [usize; 4]| {
            // The ISA's tables list bytes from d.b3 down to d.b0.
            let [b3, b2, b1, b0] = picked.map(|i| bytes[i]);
            b3 << 24 | b2 << 16 | b1 << 8 | b0
        };
        let generic = (0..4).map(|i| {
            let nibble = selector >> (4 * i) & 0xf;
            let byte = bytes[(nibble & 7) as usize];
            let byte = if nibble & 8 == 0 { byte } else if byte & 0x80 != 0 { 0xff } else { 0 };
            byte << (8 * i)
        }).sum::<u32>();
        prop_assert_eq!(prmt(Permute::Bytes, a, b, selector), generic);
        // Rows: selector 0 to 3, of the ISA's table of modes.
        let tables: [(Permute, [[usize; 4]; 4]); 6] = [
            (Permute::F4e, [[3, 2, 1, 0], [4, 3, 2, 1], [5, 4, 3, 2], [6, 5, 4, 3]]),
            (Permute::B4e, [[5, 6, 7, 0], [6, 7, 0, 1], [7, 0, 1, 2], [0, 1, 2, 3]]),
            (Permute::Rc8, [[0; 4], [1; 4], [2; 4], [3; 4]]),
            (Permute::Ecl, [[3, 2, 1, 0], [3, 2, 1, 1], [3, 2, 2, 2], [3, 3, 3, 3]]),
            (Permute::Ecr, [[0, 0, 0, 0], [1, 1, 1, 0], [2, 2, 1, 0], [3, 2, 1, 0]]),
            (Permute::Rc16, [[1, 0, 1, 0], [3, 2, 3, 2], [1, 0, 1, 0], [3, 2, 3, 2]]),
        ];
        for (mode, rows) in tables {
            let expected = join(rows[(selector & 3) as usize]);
            prop_assert_eq!(prmt(mode, a, b, selector), expected, "{:?} {:#x}", mode, selector);
        }
    }

    #[test]
    fn fields(a in words(), b in words(), position in amounts(), length in amounts()) {
        let (p, n) = (position, length);
        prop_assert_eq!(u64::from(bfe_u32(a as u32, p, n)), bfe(32, false, a, p, n));
        prop_assert_eq!(u64::from(bfe_s32(a as i32, p, n) as u32), bfe(32, true, a, p, n));
        prop_assert_eq!(bfe_u64(a, p, n), bfe(64, false, a, p, n));
        prop_assert_eq!(bfe_s64(a as i64, p, n) as u64, bfe(64, true, a, p, n));
        prop_assert_eq!(u64::from(bfi32(a as u32, b as u32, p, n)), bfi(32, a, b, p, n));
        prop_assert_eq!(bfi64(a, b, p, n), bfi(64, a, b, p, n));
        for shift_amount in [false, true] {
            prop_assert_eq!(bfind_u32(shift_amount, a as u32), bfind(32, false, shift_amount, a));
            prop_assert_eq!(bfind_s32(shift_amount, a as i32), bfind(32, true, shift_amount, a));
            prop_assert_eq!(bfind_u64(shift_amount, a), bfind(64, false, shift_amount, a));
            prop_assert_eq!(bfind_s64(shift_amount, a as i64), bfind(64, true, shift_amount, a));
        }
    }

    #[test]
    fn nth_set_bit(mask in words(), base in 0u32..32, offset in -40i32..41) {
        let mask = mask as u32;
        let set = |i: &i32| bit(u64::from(mask), *i as u32);
        let base_bit = base as i32;
        let found = match offset {
            0 => Some(base_bit).filter(set),
            1.. => (base_bit..32).filter(set).nth(offset as usize - 1),
            _ => (0..=base_bit).rev().filter(set).nth(offset.unsigned_abs() as usize - 1),
        };
        prop_assert_eq!(fns(mask, base, offset), found.map_or(u32::MAX, |i| i as u32));
    }

    #[test]
    fn masks_and_extensions(a: u32, b in amounts(), c in amounts()) {
        for mode in [Overlong::Clamp, Overlong::Wrap] {
            let wraps = mode == Overlong::Wrap;
            let bits = if wraps { b % 32 } else { b.min(32) };
            let zero_extended = word(32, |i| i < bits && bit(u64::from(a), i));
            prop_assert_eq!(u64::from(szext_u32(mode, a, b)), zero_extended);
            let sign = bits > 0 && bit(u64::from(a), bits.max(1) - 1);
            let sign_extended = word(32, |i| if i < bits { bit(u64::from(a), i) } else { sign });
            prop_assert_eq!(u64::from(szext_s32(mode, a as i32, b) as u32), sign_extended);
            let (from, width) = if wraps { (b % 32, c % 32) } else { (b, c.min(32)) };
            let mask = word(32, |i| i >= from && u64::from(i) < u64::from(from) + u64::from(width));
            prop_assert_eq!(u64::from(bmsk(mode, b, c)), mask, "{:?} {} {}", mode, b, c);
        }
    }

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
fn examples_of_the_isa() {
    assert_eq!(fns(0xaaaa_aaaa, 3, 1), 3);
    assert_eq!(fns(0xaaaa_aaaa, 3, -1), 3);
    assert_eq!(fns(0xaaaa_aaaa, 2, 1), 3);
    assert_eq!(fns(0xaaaa_aaaa, 2, -1), 1);
    assert_eq!(bmsk(Overlong::Wrap, 1, 2), 0x6);
    assert_eq!(szext_u32(Overlong::Wrap, 0xffff_ffff, 0), 0);
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
