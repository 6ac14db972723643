//! `cvt` between integers and floats.

use crate::inputs::{f32s, f64s};
use crate::reference::{self as exact, Exact, Spec};
use num_bigint::BigUint;
use proptest::prelude::*;
use simt::numeric::format::{self, Format};
use simt::numeric::integer::{self, Integer};
use simt::numeric::{IntegerRounding, Rounding};

const TYPES: [Integer; 8] = [
    Integer {
        bits: 8,
        signed: true,
    },
    Integer {
        bits: 8,
        signed: false,
    },
    Integer {
        bits: 16,
        signed: true,
    },
    Integer {
        bits: 16,
        signed: false,
    },
    Integer {
        bits: 32,
        signed: true,
    },
    Integer {
        bits: 32,
        signed: false,
    },
    Integer {
        bits: 64,
        signed: true,
    },
    Integer {
        bits: 64,
        signed: false,
    },
];

/// The whole number that `x` rounds to, saturated to 127 bits.
fn rounded(rounding: IntegerRounding, x: f64) -> i128 {
    if x.abs() >= 1e30 {
        return if x > 0.0 { i128::MAX } else { -i128::MAX };
    }
    let exact = Exact::of(x);
    let floor: u128 = (&exact.num / &exact.den).try_into().unwrap();
    let rest: BigUint = &exact.num % &exact.den;
    let twice = &rest * 2u8;
    let negative = x < 0.0;
    let up = rest != BigUint::ZERO
        && match rounding {
            IntegerRounding::Rni => twice > exact.den || twice == exact.den && floor & 1 == 1,
            IntegerRounding::Rzi => false,
            IntegerRounding::Rmi => negative,
            IntegerRounding::Rpi => !negative,
        };
    let magnitude = (floor + u128::from(up)) as i128;
    if negative { -magnitude } else { magnitude }
}

fn check(x: f64, from_f64: bool) -> Result<(), TestCaseError> {
    for to in TYPES {
        let (low, high) = match to.signed {
            true => (-(1i128 << (to.bits - 1)), (1i128 << (to.bits - 1)) - 1),
            false => (0, (1i128 << to.bits) - 1),
        };
        for rounding in IntegerRounding::ALL {
            let expected = match x.is_nan() {
                true if !from_f64 && to.bits < 64 => 0,
                true if to.signed => low,
                true => 1i128 << (to.bits - 1),
                false => rounded(rounding, x).clamp(low, high),
            };
            let got = integer::from_float(to, rounding, from_f64, x);
            prop_assert_eq!(got, expected as u64, "{:?} {:?} {:e}", to, rounding, x);
        }
    }
    Ok(())
}

#[test]
fn every_half_to_every_integer() {
    for spec in [exact::F16, exact::BF16] {
        for code in 0..=u16::MAX {
            check(spec.decode(u64::from(code)), false).unwrap();
        }
    }
}

/// The float that an integral value of `format` is, as its code.
fn integral_code(spec: &Spec, rounding: IntegerRounding, code: u64) -> u64 {
    let x = spec.decode(code);
    let sign = code & 1 << (spec.bits() - 1);
    if x.is_nan() {
        return (1 << (spec.bits() - 1)) - 1;
    }
    if x.abs() >= 1e30 {
        return code;
    }
    let value = Exact::of(rounded(rounding, x) as f64);
    sign | exact::round(spec, Rounding::Rn, false, false, &value)
}

#[test]
fn every_half_to_integral_halves() {
    for (format, spec) in [(format::F16, exact::F16), (format::BF16, exact::BF16)] {
        for code in 0..=u16::MAX {
            for rounding in IntegerRounding::ALL {
                let got = integer::integral_half(format, rounding, code);
                let expected = integral_code(&spec, rounding, u64::from(code));
                assert_eq!(u64::from(got), expected, "{spec:?} {rounding:?} {code:#x}");
            }
        }
    }
}

const FLOATS: [(Format, Spec); 4] = [
    (format::F16, exact::F16),
    (format::BF16, exact::BF16),
    (format::F32, exact::F32),
    (format::F64, exact::F64),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn singles_to_integers(x in f32s(), small in -300.0f32..300.0) {
        check(f64::from(x), false)?;
        check(f64::from(small), false)?;
        // Halves and their neighbours.
        let half = (small as i32) as f32 + 0.5;
        check(f64::from(half), false)?;
        check(f64::from(half.next_down()), false)?;
        for rounding in IntegerRounding::ALL {
            let got = integer::integral_f32(rounding, x).to_bits();
            let expected = integral_code(&exact::F32, rounding, u64::from(x.to_bits()));
            prop_assert_eq!(u64::from(got), expected, "{:?} {:e}", rounding, x);
        }
    }

    #[test]
    fn doubles_to_integers(x in f64s(), border in 0u32..65, offset in -2i64..3) {
        check(x, true)?;
        for power in [2f64.powi(border as i32), -2f64.powi(border as i32)] {
            check(power + offset as f64, true)?;
            check(power + offset as f64 * 0.5, true)?;
            check(f64::from_bits(power.to_bits().wrapping_add_signed(offset)), true)?;
        }
        for rounding in IntegerRounding::ALL {
            if !x.is_nan() {
                let got = integer::integral(rounding, x).to_bits();
                let expected = integral_code(&exact::F64, rounding, x.to_bits());
                prop_assert_eq!(got, expected, "{:?} {:e}", rounding, x);
            }
        }
    }

    #[test]
    fn integers_to_floats(bits: u64, width in 0u32..64, which in 0usize..4, rounding in 0usize..4) {
        let ((format, spec), rounding) = (FLOATS[which], Rounding::ALL[rounding]);
        let value = (bits as i64) >> width;
        let magnitude = |x: u64| Exact::ratio(BigUint::from(x), BigUint::from(1u8));
        let code = |negative, x| exact::round(&spec, rounding, false, negative, &magnitude(x));
        let got = integer::from_signed(format, rounding, false, value);
        prop_assert_eq!(got, code(value < 0, value.unsigned_abs()), "{:?} {:?} {}", spec, rounding, value);
        let got = integer::from_unsigned(format, rounding, false, bits >> width);
        prop_assert_eq!(got, code(false, bits >> width), "{:?} {:?} {}", spec, rounding, bits >> width);
        let got = integer::from_signed(format, rounding, true, value);
        prop_assert_eq!(got, code(false, u64::from(value > 0)));
        let got = integer::from_unsigned(format, rounding, true, bits >> width);
        prop_assert_eq!(got, code(false, u64::from(bits >> width > 0)));
    }

    #[test]
    fn integers_to_integers(register: u64, from in 0usize..8, to in 0usize..8) {
        let (from, to) = (TYPES[from], TYPES[to]);
        let mut value = 0i128;
        for bit in 0..from.bits {
            let weight = 1i128 << bit;
            let top = from.signed && bit == from.bits - 1;
            value += i128::from(register >> bit & 1) * if top { -weight } else { weight };
        }
        prop_assert_eq!(from.value(register), value);
        let (low, high) = to.range();
        let clamped = if value < low { low } else if value > high { high } else { value };
        prop_assert_eq!(integer::saturate(to, value), clamped as u64);
        prop_assert_eq!(high - low + 1, 1i128 << to.bits);
    }
}
