//! Approximations against f64 mathematics, with the error bounds and special values of the PTX ISA.

use crate::reference as exact;
use simt::numeric::approx;
use simt::numeric::half::Half;
use std::f64::consts::{PI, TAU};

/// Singles over the whole range, a few thousand to each binade, and the neighbours of the powers of 2.
fn all_singles() -> impl Iterator<Item = f32> {
    let spread = (0..u64::from(u32::MAX))
        .step_by(1021)
        .map(|bits| bits as u32);
    let powers = (0..=255u32).flat_map(|e| [e << 23, (e << 23).wrapping_sub(1), (e << 23) + 1]);
    let powers = powers.flat_map(|bits| [bits, bits | 1 << 31]);
    spread
        .chain(powers)
        .map(f32::from_bits)
        .filter(|x| x.is_finite())
}

/// Unit in the last place of the single nearest to `x`.
fn ulp(x: f64) -> f64 {
    let nearest = (x.abs() as f32).min(f32::MAX);
    f64::from(nearest) - f64::from(nearest.next_down()).min(f64::from(nearest))
        + if nearest == 0.0 {
            f64::from(f32::from_bits(1))
        } else {
            0.0
        }
}

/// `x` with its subnormals flushed.
fn flushed(ftz: bool, x: f32) -> f32 {
    if ftz && x.is_subnormal() {
        0f32.copysign(x)
    } else {
        x
    }
}

/// Without and with `.ftz`.
const BOTH: [bool; 2] = [false, true];

/// Checks `f` on every single against `reference`: the error in units that `unit` gives for the exact
/// result, subnormal operands and results flushed with `.ftz`.
fn check(
    name: &str,
    modes: &[bool],
    f: impl Fn(bool, f32) -> f32,
    reference: impl Fn(f64) -> f64,
    unit: impl Fn(f64, f64) -> f64,
) {
    for &ftz in modes {
        for x in all_singles() {
            let operand = f64::from(flushed(ftz, x));
            let (got, expected) = (f(ftz, x), reference(operand));
            if expected.is_nan() {
                assert_eq!(got.to_bits(), 0x7fff_ffff, "{name} {ftz} {x:e}");
                continue;
            }
            if ftz {
                assert!(!got.is_subnormal(), "{name} {x:e} gives {got:e}");
            }
            if got == expected as f32 || got == flushed(ftz, expected as f32) {
                assert!(got != 0.0 || got.is_sign_negative() == expected.is_sign_negative());
                continue;
            }
            let error = (f64::from(got) - expected).abs();
            let bound = unit(operand, expected);
            assert!(
                error <= bound,
                "{name} {ftz} {x:e}: {got:e}, exactly {expected:e}"
            );
        }
    }
}

#[test]
fn exponential() {
    check("ex2", &BOTH, approx::ex2, f64::exp2, |_, y| 2.0 * ulp(y));
}

#[test]
fn logarithm() {
    let bound = |x: f64, y: f64| 2f64.powi(-22) * if x > 0.5 && x < 2.0 { 1.0 } else { y.abs() };
    check("lg2", &BOTH, approx::lg2, f64::log2, bound);
}

#[test]
fn reciprocals_and_roots() {
    check("rcp", &BOTH, approx::rcp, f64::recip, |_, y| ulp(y));
    // A relative bound cannot hold below the last place of subnormals; roots do not reach them.
    check("sqrt", &BOTH, approx::sqrt, f64::sqrt, |_, y| {
        y * 2f64.powi(-23)
    });
    let root = |x: f64| {
        if x == 0.0 {
            f64::INFINITY.copysign(x)
        } else {
            x.sqrt().recip()
        }
    };
    check("rsqrt", &BOTH, approx::rsqrt, root, |_, y| {
        y * 2f64.powf(-22.9)
    });
}

#[test]
fn sine_and_cosine() {
    let bound = |x: f64, _: f64| match x.abs() {
        ..=TAU => 2f64.powf(-20.5),
        x if x <= 100.0 * PI => 2f64.powf(-14.7),
        // No bound is given; what is returned stays a sine.
        _ => 2.0,
    };
    check("sin", &BOTH, approx::sin, f64::sin, bound);
    check("cos", &BOTH, approx::cos, f64::cos, bound);
    for x in all_singles() {
        assert!(
            approx::sin(false, x).abs() <= 1.0 && approx::cos(false, x).abs() <= 1.0,
            "{x:e}"
        );
    }
}

#[test]
fn hyperbolic_tangent() {
    check(
        "tanh",
        &[false],
        |_, x| approx::tanh(x),
        f64::tanh,
        |_, y| y.abs() * 2f64.powi(-11),
    );
    for bits in (1..0x0080_0000u32).step_by(997) {
        assert_eq!(
            approx::tanh(f32::from_bits(bits)).to_bits(),
            bits,
            "subnormals pass"
        );
    }
}

#[test]
fn special_values() {
    type Case = (fn(bool, f32) -> f32, [f32; 4]);
    let nan = f32::NAN;
    let (inf, zero) = (f32::INFINITY, 0f32);
    // Results of −∞, −0, +0, +∞ in the ISA's tables.
    let cases: [Case; 8] = [
        (approx::ex2, [zero, 1.0, 1.0, inf]),
        (approx::lg2, [nan, -inf, -inf, inf]),
        (approx::rcp, [-zero, -inf, inf, zero]),
        (approx::sqrt, [nan, -zero, zero, inf]),
        (approx::rsqrt, [nan, -inf, inf, zero]),
        (approx::sin, [nan, -zero, zero, nan]),
        (approx::cos, [nan, 1.0, 1.0, nan]),
        (|_, x| approx::tanh(x), [-1.0, -zero, zero, 1.0]),
    ];
    for (which, (f, results)) in cases.into_iter().enumerate() {
        for ftz in [false, true] {
            for (x, expected) in [-inf, -zero, zero, inf].into_iter().zip(results) {
                let expected = if expected.is_nan() {
                    0x7fff_ffff
                } else {
                    expected.to_bits()
                };
                assert_eq!(f(ftz, x).to_bits(), expected, "case {which}, {x}");
            }
            assert_eq!(f(ftz, nan).to_bits(), 0x7fff_ffff);
            assert_eq!(f(ftz, -nan).to_bits(), 0x7fff_ffff);
        }
    }
    for f in [approx::lg2, approx::sqrt, approx::rsqrt] {
        assert!(f(false, -1.0).is_nan() && f(false, -f32::from_bits(1)).is_nan());
    }
}

#[test]
fn quotients() {
    let singles: Vec<f32> = all_singles().step_by(1999).collect();
    for &a in &singles {
        for &b in &singles {
            for ftz in [false, true] {
                let [x, y] = [a, b].map(|x| f64::from(flushed(ftz, x)));
                let expected = x / y;
                let full = approx::div_full(ftz, a, b);
                let fast = approx::div(ftz, a, b);
                if expected.is_nan() {
                    assert!(full.is_nan() && fast.is_nan());
                    continue;
                }
                let near = |got: f32| {
                    got == expected as f32
                        || got == flushed(ftz, got) && got == flushed(ftz, expected as f32)
                        || (f64::from(got) - expected).abs() <= 2.0 * ulp(expected)
                };
                assert!(near(full), "div.full {a:e} / {b:e}: {full:e}");
                match y.abs() {
                    huge if huge > 2f64.powi(126) => {
                        assert_eq!(fast, 0.0, "{a:e} / {b:e}");
                        assert_eq!(fast.is_sign_negative(), expected.is_sign_negative());
                    }
                    // a · (1/b) loses what the reciprocal's range cannot hold.
                    tiny if tiny < 2f64.powi(-126) => {}
                    _ => assert!(near(fast), "div.approx {a:e} / {b:e}: {fast:e}"),
                }
            }
        }
    }
    assert!(approx::div(false, f32::INFINITY, 1e38).is_nan());
    assert_eq!(approx::div(false, f32::INFINITY, 2.0), f32::INFINITY);
    assert_eq!(approx::div(true, -1.0, 0.0), -f32::INFINITY);
}

#[test]
fn gross_doubles() {
    let upper = |x: f64| f64::from_bits(x.to_bits() & !0xffff_ffff);
    for field in (1u64..2047).step_by(3) {
        for fraction in [0u64, 1, 0xfffff, 0x80000, 0x12345, 0xabcde] {
            for low in [0u64, 0xffff_ffff] {
                let x = f64::from_bits(field << 52 | fraction << 32 | low);
                for (got, expected) in [
                    (approx::rcp_f64(x), upper(x).recip()),
                    (approx::rsqrt_gross_f64(x), upper(x).sqrt().recip()),
                ] {
                    assert_eq!(got.to_bits() & 0xffff_ffff, 0);
                    if expected.is_normal() {
                        assert!((got / expected - 1.0).abs() <= 2f64.powi(-21), "{x:e}");
                    } else {
                        assert_eq!(got, 0.0, "{x:e}");
                    }
                }
                let full = approx::rsqrt_f64(x);
                assert!(
                    (full / x.sqrt().recip() - 1.0).abs() <= 2f64.powi(-51),
                    "{x:e}"
                );
            }
        }
    }
    let nan = 0x7fff_ffff_0000_0000;
    let tiny = f64::from_bits(1);
    for (x, reciprocal, root) in [
        (f64::NEG_INFINITY, -0.0, f64::NAN),
        (-tiny, f64::NEG_INFINITY, f64::NEG_INFINITY),
        (-0.0, f64::NEG_INFINITY, f64::NEG_INFINITY),
        (0.0, f64::INFINITY, f64::INFINITY),
        (tiny, f64::INFINITY, f64::INFINITY),
        (f64::INFINITY, 0.0, 0.0),
        (f64::NAN, f64::NAN, f64::NAN),
    ] {
        let bits = |x: f64| if x.is_nan() { nan } else { x.to_bits() };
        assert_eq!(approx::rcp_f64(x).to_bits(), bits(reciprocal), "{x:e}");
        assert_eq!(approx::rsqrt_gross_f64(x).to_bits(), bits(root), "{x:e}");
    }
    assert_eq!(approx::rsqrt_gross_f64(-4.0).to_bits(), nan);
}

#[test]
fn every_half() {
    let (f16, bf16) = (exact::F16, exact::BF16);
    let value = |spec: &exact::Spec, code: u16| spec.decode(u64::from(code));
    let smallest = 2f64.powi(-126);
    for code in 0..=u16::MAX {
        let x = value(&f16, code);
        let (y, t) = (approx::ex2_f16(code), approx::tanh_half(Half::F16, code));
        if x.is_nan() {
            assert_eq!((y, t), (0x7fff, 0x7fff));
        } else {
            let expected = x.exp2();
            let y = value(&f16, y);
            // The last place of subnormals is coarser than the relative bound.
            let bound = (expected * 2f64.powf(-9.9)).max(2f64.powi(-25));
            let overflow = expected >= 65520.0 && y == f64::INFINITY;
            assert!(
                overflow || (y - expected).abs() <= bound,
                "ex2.f16 {x}: {y}"
            );
            assert!(
                (value(&f16, t) - x.tanh()).abs() <= 2f64.powf(-10.987),
                "tanh.f16 {x}"
            );
        }
        let x = value(&bf16, code);
        let (y, t) = (approx::ex2_bf16(code), approx::tanh_half(Half::Bf16, code));
        if x.is_nan() {
            assert_eq!((y, t), (0x7fff, 0x7fff));
        } else {
            let expected = if x.abs() < smallest { 1.0 } else { x.exp2() };
            let y = value(&bf16, y);
            if expected < smallest {
                assert!(y == 0.0 || y == smallest, "ex2.bf16 {x}: {y}");
            } else {
                let infinite = expected.is_infinite() || expected > bf16.max;
                assert!(
                    infinite && y == f64::INFINITY || (y / expected - 1.0).abs() <= 2f64.powi(-7),
                    "ex2.bf16 {x}: {y}"
                );
            }
            assert!(
                (value(&bf16, t) - x.tanh()).abs() <= 2f64.powi(-8),
                "tanh.bf16 {x}"
            );
        }
    }
}
