//! `cvt` between all types.

use crate::harness::{Case, FLOATS, Kind, check};
use crate::integers::{TYPES, low, number, saturated};
use crate::reference::{self as exact, BF16, Exact, F16, F32, F64, Spec};
use simt::numeric::Rounding;

const MODES: [(&str, Rounding); 4] = [
    ("rn", Rounding::Rn),
    ("rz", Rounding::Rz),
    ("rm", Rounding::Rm),
    ("rp", Rounding::Rp),
];

#[test]
fn integers_of_integers() {
    let mut cases = Vec::new();
    for (to, to_width, to_signed) in TYPES {
        for (from, from_width, from_signed) in TYPES {
            let widths = [to_width, from_width, 32, 32];
            let value = move |x: u64| number(x, from_width, from_signed);
            let text = format!("cvt.{to}.{from} %d, %a;");
            let of = move |[a, ..]: [u64; 3]| Some(low(value(a), to_width));
            cases.push(Case::new(text, widths, Kind::Integer, of));
            let text = format!("cvt.sat.{to}.{from} %d, %a;");
            let of = move |[a, ..]: [u64; 3]| Some(saturated(value(a), to_width, to_signed));
            cases.push(Case::new(text, widths, Kind::Integer, of));
        }
    }
    check(&cases);
}

/// A number rounded to a whole one by the mode's definition.
fn whole(x: f64, mode: &str) -> f64 {
    match mode {
        "rni" => x.round_ties_even(),
        "rzi" => x.trunc(),
        "rmi" => x.floor(),
        _ => x.ceil(),
    }
}

#[test]
fn integers_of_floats() {
    let mut cases = Vec::new();
    for (from, from_width, kind, spec) in FLOATS.into_iter().filter(|f| f.0 != "bf16") {
        for (to, width, signed) in TYPES {
            for mode in ["rni", "rzi", "rmi", "rpi"] {
                let text = format!("cvt.{mode}.{to}.{from} %d, %a;");
                let of = move |[a, ..]: [u64; 3]| {
                    let x = spec.decode(a);
                    // Of a NaN the ISA leaves it open for some types.
                    (!x.is_nan()).then(|| saturated(whole(x, mode) as i128, width, signed))
                };
                cases.push(Case::new(text, [width, from_width, 32, 32], kind, of));
            }
        }
    }
    check(&cases);
}

#[test]
fn floats_of_integers() {
    let mut cases = Vec::new();
    for (to, to_width, _, spec) in FLOATS.into_iter().filter(|f| f.0 != "bf16") {
        for (from, width, signed) in TYPES {
            for (mode, rounding) in MODES {
                let text = format!("cvt.{mode}.{to}.{from} %d, %a;");
                let of = move |[a, ..]: [u64; 3]| {
                    let x = number(a, width, signed);
                    let magnitude = Exact::ratio(x.unsigned_abs().into(), 1u8.into());
                    Some(exact::round(&spec, rounding, false, x < 0, &magnitude))
                };
                cases.push(Case::new(
                    text,
                    [to_width, width, 32, 32],
                    Kind::Integer,
                    of,
                ));
            }
        }
    }
    check(&cases);
}

/// A float in another format; none for a NaN, whose bits differ from format to format.
fn converted(from: Spec, to: Spec, rounding: Rounding, x: u64) -> Option<u64> {
    let value = from.decode(x);
    let negative = value.is_sign_negative();
    if value.is_nan() {
        return None;
    }
    if value.is_infinite() {
        return Some(to.finite_codes().end | u64::from(negative) << (to.bits() - 1));
    }
    Some(exact::round(
        &to,
        rounding,
        false,
        negative,
        &Exact::of(value),
    ))
}

#[test]
fn floats_of_floats() {
    let mut cases = Vec::new();
    for (from, from_width, kind, from_spec) in FLOATS {
        for (to, to_width, _, to_spec) in FLOATS {
            if from == to || [from, to] == ["f16", "bf16"] || [from, to] == ["bf16", "f16"] {
                continue;
            }
            let widths = [to_width, from_width, 32, 32];
            if to_width > from_width {
                let of = move |[a, ..]: [u64; 3]| converted(from_spec, to_spec, Rounding::Rn, a);
                cases.push(Case::new(
                    format!("cvt.{to}.{from} %d, %a;"),
                    widths,
                    kind,
                    of,
                ));
                continue;
            }
            // bf16 is rounded from f32 to the nearest or toward zero; f16 also from f64.
            let modes: &[_] = if to == "bf16" { &MODES[..2] } else { &MODES };
            if to == "bf16" && from != "f32" {
                continue;
            }
            for &(mode, rounding) in modes {
                let of = move |[a, ..]: [u64; 3]| converted(from_spec, to_spec, rounding, a);
                cases.push(Case::new(
                    format!("cvt.{mode}.{to}.{from} %d, %a;"),
                    widths,
                    kind,
                    of,
                ));
            }
        }
        if from != "bf16" {
            for mode in ["rni", "rzi", "rmi", "rpi"] {
                let of = move |[a, ..]: [u64; 3]| {
                    let x = from_spec.decode(a);
                    let result = whole(x, mode);
                    let code = |x: f64| converted(F64, from_spec, Rounding::Rn, x.to_bits());
                    (!x.is_nan()).then(|| code(result))?
                };
                let text = format!("cvt.{mode}.{from}.{from} %d, %a;");
                cases.push(Case::new(text, [from_width, from_width, 32, 32], kind, of));
            }
        }
    }
    check(&cases);
}

/// Two numbers into one register, the first on top.
#[test]
fn pairs_of_floats() {
    let mut cases = Vec::new();
    for (name, spec) in [("f16x2", F16), ("bf16x2", BF16)] {
        for (mode, rounding) in &MODES[..2] {
            let (mode, rounding) = (*mode, *rounding);
            let text = format!("cvt.{mode}.{name}.f32 %d, %a, %b;");
            let of = move |[a, b, _]: [u64; 3]| {
                let half = |x| converted(F32, spec, rounding, x);
                Some(half(a)? << 16 | half(b)?)
            };
            cases.push(Case::new(text, [32; 4], Kind::F32, of));
            let text = format!("cvt.{mode}.relu.{name}.f32 %d, %a, %b;");
            let of = move |[a, b, _]: [u64; 3]| {
                let half =
                    |x| converted(F32, spec, rounding, x).map(|x| if x >> 15 == 1 { 0 } else { x });
                Some(half(a)? << 16 | half(b)?)
            };
            cases.push(Case::new(text, [32; 4], Kind::F32, of));
        }
    }
    check(&cases);
}
