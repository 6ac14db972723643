//! f32 and f64 arithmetic in every mode against exact big-integer results.

use crate::inputs::{f32s, f64s};
use crate::operation::{MODES, OPERATIONS, Operation, Operation::*, expected};
use crate::reference as exact;
use proptest::prelude::*;
use simt::numeric::{Rounding, double, single};

fn check_single(
    op: Operation,
    rounding: Rounding,
    [a, b, c]: [f32; 3],
) -> Result<(), TestCaseError> {
    let got = match op {
        Add => single::add(rounding, a, b),
        Sub => single::sub(rounding, a, b),
        Mul => single::mul(rounding, a, b),
        Fma => single::fma(rounding, a, b, c),
        Div => single::div(rounding, a, b),
        Rcp => single::rcp(rounding, a),
        Sqrt => single::sqrt(rounding, a),
    };
    let expected = expected(&exact::F32, op, rounding, [a, b, c].map(f64::from));
    let expected = expected.unwrap_or(0x7fff_ffff);
    prop_assert_eq!(
        u64::from(got.to_bits()),
        expected,
        "{:?} {:?} {:e} {:e} {:e}",
        op,
        rounding,
        a,
        b,
        c
    );
    Ok(())
}

fn check_double(
    op: Operation,
    rounding: Rounding,
    [a, b, c]: [f64; 3],
) -> Result<(), TestCaseError> {
    let got = match op {
        Add => double::add(rounding, a, b),
        Sub => double::sub(rounding, a, b),
        Mul => double::mul(rounding, a, b),
        Fma => double::fma(rounding, a, b, c),
        Div => double::div(rounding, a, b),
        Rcp => double::rcp(rounding, a),
        Sqrt => double::sqrt(rounding, a),
    };
    let operands = match op {
        Rcp | Sqrt => 1,
        Fma => 3,
        _ => 2,
    };
    // The payload of the first NaN operand, quieted.
    let passed = [a, b, c].into_iter().take(operands).find(|x| x.is_nan());
    let nan = passed.map_or(0xfff8 << 48, |x| x.to_bits() | 1 << 51);
    let expected = expected(&exact::F64, op, rounding, [a, b, c]).unwrap_or(nan);
    prop_assert_eq!(
        got.to_bits(),
        expected,
        "{:?} {:?} {:e} {:e} {:e}",
        op,
        rounding,
        a,
        b,
        c
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn singles(operands in [f32s(), f32s(), f32s()]) {
        for op in OPERATIONS {
            for rounding in MODES {
                check_single(op, rounding, operands)?;
            }
        }
    }

    #[test]
    fn doubles(operands in [f64s(), f64s(), f64s()]) {
        for op in OPERATIONS {
            for rounding in MODES {
                check_double(op, rounding, operands)?;
            }
        }
    }

    // Sums that cancel nearly or wholly, and products that lie close to the third operand.
    #[test]
    fn cancellation(a in f32s(), b in f32s(), ulps in -3i32..4, x in f64s(), y in f64s()) {
        let near = |v: f32| f32::from_bits(v.to_bits().wrapping_add_signed(ulps));
        let near64 = |v: f64| f64::from_bits(v.to_bits().wrapping_add_signed(i64::from(ulps)));
        for rounding in MODES {
            check_single(Sub, rounding, [a, near(a), 0.0])?;
            check_single(Fma, rounding, [a, b, -near(a * b)])?;
            check_double(Sub, rounding, [x, near64(x), 0.0])?;
            check_double(Fma, rounding, [x, y, -near64(x * y)])?;
        }
    }
}

#[test]
fn flush_and_saturate() {
    let subnormal = f32::from_bits(0x007f_ffff);
    for (x, expected) in [
        (subnormal, 0.0f32),
        (-subnormal, -0.0),
        (1.0, 1.0),
        (-0.0, -0.0),
    ] {
        assert_eq!(single::flush(x).to_bits(), expected.to_bits());
    }
    assert_eq!(single::flush(f32::MIN_POSITIVE), f32::MIN_POSITIVE);
    assert!(single::flush(f32::NAN).is_nan());
    for (x, expected) in [
        (f32::NAN, 0.0f32),
        (-0.0, 0.0),
        (-3.0, 0.0),
        (0.25, 0.25),
        (7.0, 1.0),
        (f32::INFINITY, 1.0),
    ] {
        assert_eq!(single::saturate(x).to_bits(), expected.to_bits());
    }
}
