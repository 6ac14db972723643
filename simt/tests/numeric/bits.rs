//! Bit instructions against the ISA's prose, written as loops over bits.

use proptest::prelude::*;
use simt::numeric::bits::field::*;
use simt::numeric::bits::logic::{cnot, lop3};
use simt::numeric::bits::permute::{Permute, prmt};
use simt::numeric::bits::shift::*;

pub fn bit(x: u64, i: u32) -> bool {
    i < 64 && x >> i & 1 == 1
}

/// A word whose bit `i` is `f(i)`.
pub fn word(width: u32, f: impl Fn(u32) -> bool) -> u64 {
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
