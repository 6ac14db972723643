//! `min`, `max`, `copysign`, `testp`, comparisons of f32 and f64.

use crate::inputs::{f32s, f64s};
use proptest::prelude::*;
use simt::numeric::compare::{Comparison, compare, slct_f32, slct_s32};
use simt::numeric::minmax::*;

/// The ISA's pseudo-code on f64, which holds every single; NaN stands for the canonical one.
fn select(m: MinMax, maximum: bool, smallest_normal: f64, a: f64, b: f64) -> f64 {
    let flush = |x: f64| {
        if m.ftz && x.abs() < smallest_normal {
            0f64.copysign(x)
        } else {
            x
        }
    };
    let (mut a, mut b) = (flush(a), flush(b));
    let xorsign = a.is_sign_negative() != b.is_sign_negative();
    if m.xorsign_abs {
        (a, b) = (a.abs(), b.abs());
    }
    let picked = match (a.is_nan(), b.is_nan()) {
        (true, true) => f64::NAN,
        (true, false) | (false, true) if m.nan => f64::NAN,
        (true, false) => b,
        (false, true) => a,
        _ if a == 0.0 && b == 0.0 => {
            let minus = (a.is_sign_negative(), b.is_sign_negative());
            if if maximum {
                minus.0 && minus.1
            } else {
                minus.0 || minus.1
            } {
                -0.0
            } else {
                0.0
            }
        }
        _ if maximum => {
            if a > b {
                a
            } else {
                b
            }
        }
        _ => {
            if a < b {
                a
            } else {
                b
            }
        }
    };
    match m.xorsign_abs && !picked.is_nan() {
        true if xorsign => -picked.abs(),
        true => picked.abs(),
        false => picked,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50_000))]

    #[test]
    fn of_singles(a in f32s(), b in f32s(), ftz: bool, nan: bool, xorsign_abs: bool) {
        let m = MinMax { ftz, nan, xorsign_abs };
        for (got, maximum) in [(min_f32(m, a, b), false), (max_f32(m, a, b), true)] {
            let smallest = f64::from(f32::MIN_POSITIVE);
            let expected = select(m, maximum, smallest, f64::from(a), f64::from(b));
            let expected = if expected.is_nan() { 0x7fff_ffff } else { (expected as f32).to_bits() };
            prop_assert_eq!(got.to_bits(), expected, "{:?} {:e} {:e}", m, a, b);
        }
        prop_assert_eq!(copysign_f32(a, b).to_bits(), b.to_bits() & 0x7fff_ffff | a.to_bits() & 1 << 31);
    }

    #[test]
    fn of_doubles(a in f64s(), b in f64s(), nan: bool, xorsign_abs: bool) {
        let m = MinMax { ftz: false, nan, xorsign_abs };
        for (got, maximum) in [(min_f64(m, a, b), false), (max_f64(m, a, b), true)] {
            let expected = select(m, maximum, 0.0, a, b);
            if expected.is_nan() {
                prop_assert_eq!(got.to_bits(), 0xfff8 << 48);
            } else {
                prop_assert_eq!(got.to_bits(), expected.to_bits(), "{:?} {:e} {:e}", m, a, b);
            }
        }
        prop_assert_eq!(copysign_f64(a, b).to_bits(), b.to_bits() & !(1 << 63) | a.to_bits() & 1 << 63);
    }

    #[test]
    fn comparisons_of_floats(a in f32s(), b in f32s(), same: bool) {
        let b = if same { a } else { b };
        let unordered = a.is_nan() || b.is_nan();
        use Comparison::*;
        let ordered_forms = [(Eq, Equ), (Ne, Neu), (Lt, Ltu), (Le, Leu), (Gt, Gtu), (Ge, Geu)];
        // Values of numbers are compared as exact f64.
        let (x, y) = (f64::from(a), f64::from(b));
        let difference = if x == y { 0.0 } else { (x - y).signum() };
        for ((ordered, form), holds) in ordered_forms.into_iter().zip([
            difference == 0.0, difference != 0.0, difference < 0.0,
            difference <= 0.0, difference > 0.0, difference >= 0.0,
        ]) {
            prop_assert_eq!(compare(ordered, a, b), !unordered && holds, "{:?} {} {}", ordered, a, b);
            prop_assert_eq!(compare(form, a, b), unordered || holds, "{:?} {} {}", form, a, b);
        }
        prop_assert_eq!(compare(Num, a, b), !unordered);
        prop_assert_eq!(compare(Nan, a, b), unordered);
    }

    #[test]
    fn comparisons_of_integers(a: i32, b: i32) {
        for (a, b) in [(a, b), (a, a)] {
            let difference = i64::from(a) - i64::from(b);
            prop_assert_eq!(compare(Comparison::Ne, a, b), difference != 0);
            prop_assert_eq!(compare(Comparison::Lt, a, b), difference < 0);
            prop_assert_eq!(compare(Comparison::Ge, a, b), difference >= 0);
            prop_assert_eq!(compare(Comparison::Gt, a as u32, b as u32), a as u32 > b as u32);
        }
        prop_assert_eq!(slct_s32(1, 2, a), if a >= 0 { 1 } else { 2 });
    }

    #[test]
    fn properties(bits: u32) {
        let (exponent, fraction) = (bits >> 23 & 0xff, bits & 0x7f_ffff);
        let a = f32::from_bits(bits);
        let (infinite, nan) = (exponent == 255 && fraction == 0, exponent == 255 && fraction != 0);
        let subnormal = exponent == 0 && fraction != 0;
        prop_assert_eq!(testp_f32(Property::Finite, a), exponent != 255);
        prop_assert_eq!(testp_f32(Property::Infinite, a), infinite);
        prop_assert_eq!(testp_f32(Property::Number, a), !nan);
        prop_assert_eq!(testp_f32(Property::NotANumber, a), nan);
        prop_assert_eq!(testp_f32(Property::Normal, a), exponent != 255 && !subnormal);
        prop_assert_eq!(testp_f32(Property::Subnormal, a), subnormal);
    }
}

#[test]
fn edges_of_slct_and_testp() {
    for (c, first) in [
        (0.0, true),
        (-0.0, true),
        (1.0, true),
        (-1.0, false),
        (f32::NAN, false),
    ] {
        assert_eq!(slct_f32(1, 2, c), if first { 1 } else { 2 });
    }
    for x in [0.0, -0.0] {
        assert!(testp_f64(Property::Normal, x) && !testp_f64(Property::Subnormal, x));
    }
    assert!(testp_f64(Property::Subnormal, 5e-324));
}
