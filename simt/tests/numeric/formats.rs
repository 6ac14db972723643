//! Narrow formats: every code decoded, and every border between neighbouring codes rounded.

use crate::inputs::{f32s, near_singles};
use crate::reference::{self as exact, Exact, Spec};
use proptest::prelude::*;
use simt::numeric::format::{self, Format};
use simt::numeric::narrow::{self, Saturation, narrow};
use simt::numeric::{Rounding, single};

const FORMATS: [(Format, Spec); 8] = [
    (format::F16, exact::F16),
    (format::BF16, exact::BF16),
    (format::TF32, exact::TF32),
    (format::E5M2, exact::E5M2),
    (format::E4M3, exact::E4M3),
    (format::E3M2, exact::E3M2),
    (format::E2M3, exact::E2M3),
    (format::E2M1, exact::E2M1),
];

#[test]
fn every_code_has_its_value() {
    for (format, spec) in FORMATS {
        for code in 0..1u64 << spec.bits() {
            let (got, expected) = (format.to_f32(code as u32), spec.decode(code));
            if expected.is_nan() {
                assert_eq!(got.to_bits(), 0x7fff_ffff, "{spec:?} {code:#x}");
            } else {
                assert_eq!(
                    f64::from(got).to_bits(),
                    expected.to_bits(),
                    "{spec:?} {code:#x}"
                );
            }
        }
    }
    for code in 0..=u16::MAX {
        let generic = format::F16.to_f32(u32::from(code));
        assert_eq!(
            narrow::f16_to_f32(code).to_bits(),
            generic.to_bits(),
            "f16 {code:#x}"
        );
        let generic = format::BF16.to_f32(u32::from(code));
        assert_eq!(
            narrow::bf16_to_f32(code).to_bits(),
            generic.to_bits(),
            "bf16 {code:#x}"
        );
    }
}

/// What a value strictly between two neighbouring magnitudes, below, on or above their middle,
/// rounds to: the lower (false) or the upper (true).
fn rounds_up(rounding: Rounding, negative: bool, side: i32, lower_is_odd: bool) -> bool {
    match rounding {
        Rounding::Rn => side > 0 || side == 0 && lower_is_odd,
        Rounding::Rna => side >= 0,
        Rounding::Rz => false,
        Rounding::Rm => negative,
        Rounding::Rp => !negative,
    }
}

#[test]
fn every_border_between_codes_rounds_by_definition() {
    for (format, spec) in FORMATS {
        let codes = spec.finite_codes();
        let sign = 1u64 << (spec.bits() - 1);
        for code in codes.clone() {
            let low = spec.decode(code);
            // Beyond the largest finite number lies what would come next.
            let high = match code + 1 < codes.end {
                true => spec.decode(code + 1),
                false => low + (low - spec.decode(code - 1)),
            };
            let middle = (low + high) / 2.0;
            let inside = [
                (low.next_up(), -1),
                (middle.next_down(), -1),
                (middle, 0),
                (middle.next_up(), 1),
                (high.next_down(), 1),
            ];
            for (negative, rounding) in Rounding::ALL
                .into_iter()
                .flat_map(|r| [(false, r), (true, r)])
            {
                let signed = |x: f64| if negative { -x } else { x };
                let signed_code = |code: u64| if negative { code | sign } else { code };
                let check = |x: f64, expected: u64| {
                    let got = narrow(format, rounding, Saturation::NONE, signed(x));
                    assert_eq!(
                        u64::from(got),
                        signed_code(expected),
                        "{spec:?} {rounding:?} {x:e}"
                    );
                };
                check(low, code);
                for (x, side) in inside {
                    let up = rounds_up(rounding, negative, side, code & 1 == 1);
                    // Without infinity the largest number stays.
                    let above = if code + 1 < codes.end || spec.infinity {
                        code + 1
                    } else {
                        code
                    };
                    check(x, if up { above } else { code });
                }
            }
        }
    }
}

#[test]
fn specials_and_saturation() {
    let satfinite = Saturation {
        satfinite: true,
        ..Saturation::NONE
    };
    let relu = Saturation {
        relu: true,
        ..Saturation::NONE
    };
    let sat = Saturation {
        sat: true,
        ..Saturation::NONE
    };
    for (format, spec) in FORMATS {
        let max = spec.finite_codes().end - 1;
        let sign = 1u64 << (spec.bits() - 1);
        let nan = if spec.nans > 0 { sign - 1 } else { max };
        let one = (0..max).find(|&c| spec.decode(c) == 1.0).unwrap();
        let infinity = if spec.infinity { max + 1 } else { max };
        for rounding in Rounding::ALL {
            let get = |s, x| u64::from(narrow(format, rounding, s, x));
            for s in [Saturation::NONE, satfinite, relu] {
                assert_eq!(get(s, f64::NAN), nan, "{spec:?}");
                assert_eq!(get(s, -f64::NAN), nan, "{spec:?}");
            }
            assert_eq!(get(Saturation::NONE, f64::INFINITY), infinity);
            assert_eq!(get(Saturation::NONE, f64::NEG_INFINITY), infinity | sign);
            assert_eq!(get(Saturation::NONE, -0.0), sign);
            assert_eq!(get(satfinite, f64::INFINITY), max);
            assert_eq!(get(satfinite, f64::NEG_INFINITY), max | sign);
            assert_eq!(get(satfinite, spec.max * 4.0), max);
            assert_eq!(get(satfinite, -spec.max * 4.0), max | sign);
            for x in [-0.0, -1.0, -1e-300, f64::NEG_INFINITY] {
                assert_eq!(get(relu, x), 0, "{spec:?} relu {x}");
                assert_eq!(get(sat, x), 0, "{spec:?} sat {x}");
            }
            assert_eq!(get(relu, 1.0), one);
            assert_eq!(get(sat, f64::NAN), 0);
            for x in [1.0, 1.5, f64::INFINITY] {
                assert_eq!(get(sat, x), one, "{spec:?} sat {x}");
            }
        }
    }
    let tf32_nan = narrow::f32_to_tf32(Rounding::Rna, Saturation::NONE, f32::NAN);
    assert_eq!(tf32_nan, 0x7fff_ffff);
    assert_eq!(
        narrow::f32_to_tf32(Rounding::Rna, Saturation::NONE, 1.0),
        1f32.to_bits()
    );
}

#[test]
fn fast_paths_agree_with_exact_rounding_around_every_code() {
    type Fast = fn(f32) -> u16;
    let paths: [(Fast, Spec); 2] = [(narrow::f16_rn, exact::F16), (narrow::bf16_rn, exact::BF16)];
    for (fast, spec) in paths {
        for code in spec.finite_codes() {
            let low = spec.decode(code) as f32;
            let high = spec.decode(code + 1) as f32;
            let middle = if high.is_finite() {
                low / 2.0 + high / 2.0
            } else {
                low * 1.0005
            };
            let beside = |x: f32| [x, x.next_up(), x.next_down()];
            for x in beside(low).into_iter().chain(beside(middle)) {
                for x in [x, -x] {
                    let value = Exact::of(f64::from(x));
                    let expected =
                        exact::round(&spec, Rounding::Rn, false, x.is_sign_negative(), &value);
                    assert_eq!(u64::from(fast(x)), expected, "{spec:?} {x:e}");
                }
            }
        }
        for nan in [0x7f80_0001, 0x7fff_ffff, 0xffc0_0000u32] {
            assert_eq!(fast(f32::from_bits(nan)), 0x7fff);
        }
        assert_eq!(spec.decode(u64::from(fast(f32::INFINITY))), f64::INFINITY);
        assert_eq!(
            spec.decode(u64::from(fast(-f32::INFINITY))),
            f64::NEG_INFINITY
        );
    }
}

#[test]
fn ue8m0_is_the_power_below_or_above() {
    for bits in (0..=0x7f80_0000u32)
        .step_by(0x1fff)
        .chain(0..64)
        .chain(0x7f7f_fff0..0x7f80_0001)
    {
        for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
            let magnitude = f64::from(x).abs();
            let below = (0..=254)
                .rev()
                .find(|&e| 2f64.powi(e - 127) <= magnitude)
                .unwrap_or(0);
            let above = (0..=254).find(|&e| 2f64.powi(e - 127) >= magnitude);
            let finite = |overflow| {
                if x.is_infinite() {
                    overflow
                } else {
                    below as u8
                }
            };
            assert_eq!(narrow::ue8m0(Rounding::Rz, false, x), finite(0xff), "{x:e}");
            assert_eq!(narrow::ue8m0(Rounding::Rz, true, x), finite(0xfe), "{x:e}");
            let up = |overflow| above.map_or(overflow, |e| e as u8);
            assert_eq!(narrow::ue8m0(Rounding::Rp, false, x), up(0xff), "{x:e}");
            assert_eq!(narrow::ue8m0(Rounding::Rp, true, x), up(0xfe), "{x:e}");
        }
    }
    assert_eq!(narrow::ue8m0(Rounding::Rz, true, f32::NAN), 0xff);
    for code in 0..=254u8 {
        let value = exact::BF16.decode(u64::from(narrow::ue8m0_to_bf16(code)));
        assert_eq!(value, 2f64.powi(i32::from(code) - 127));
    }
    assert_eq!(narrow::ue8m0_to_bf16(0xff), 0x7fff);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn singles_from_doubles(x in near_singles(), rounding in 0usize..5) {
        let rounding = Rounding::ALL[rounding];
        let got = single::from_f64(rounding, x);
        if x.is_nan() {
            prop_assert_eq!(got.to_bits(), 0x7fff_ffff);
        } else if x.is_infinite() {
            prop_assert_eq!(f64::from(got), x);
        } else {
            let negative = x.is_sign_negative();
            let expected = exact::round(&exact::F32, rounding, false, negative, &Exact::of(x));
            prop_assert_eq!(u64::from(got.to_bits()), expected, "{:?} {:e}", rounding, x);
        }
    }

    #[test]
    fn narrow_from_any_single(x in f32s(), which in 0usize..8, rounding in 0usize..5, finite: bool) {
        prop_assume!(x.is_finite());
        let ((format, spec), rounding) = (FORMATS[which], Rounding::ALL[rounding]);
        let saturation = Saturation { satfinite: finite, ..Saturation::NONE };
        let got = narrow(format, rounding, saturation, f64::from(x));
        let value = Exact::of(f64::from(x));
        let expected = exact::round(&spec, rounding, finite, x.is_sign_negative(), &value);
        prop_assert_eq!(u64::from(got), expected, "{:?} {:?} {:e}", spec, rounding, x);
    }
}
