//! f32 and f64: arithmetic in every mode, minimum and maximum, signs.

use crate::harness::{Case, Kind, check};
use crate::operation::{MODES, Operation, expected};
use crate::reference::{F32, F64, Spec};
use simt::numeric::Rounding;

fn name(rounding: Rounding) -> &'static str {
    match rounding {
        Rounding::Rn => "rn",
        Rounding::Rz => "rz",
        Rounding::Rm => "rm",
        _ => "rp",
    }
}

/// A type: its name, bits, operands, format, and the NaN that instructions make.
struct Float {
    name: &'static str,
    width: u32,
    kind: Kind,
    spec: Spec,
    nan: u64,
}

const TYPES: [Float; 2] = [
    Float {
        name: "f32",
        width: 32,
        kind: Kind::F32,
        spec: F32,
        nan: 0x7fff_ffff,
    },
    Float {
        name: "f64",
        width: 64,
        kind: Kind::F64,
        spec: F64,
        nan: 0x7ff8_0000_0000_0000,
    },
];

/// Subnormal f32 numbers as zeros of their sign.
pub fn flushed(x: u64) -> u64 {
    if f32::from_bits(x as u32).is_subnormal() {
        x & 1 << 31
    } else {
        x
    }
}

/// To [0, 1]; a NaN is 0.
fn saturated(x: u64) -> u64 {
    let x = f32::from_bits(x as u32);
    u64::from(if x > 0.0 { x.min(1.0) } else { 0.0 }.to_bits())
}

#[test]
fn arithmetic() {
    let mut cases = Vec::new();
    for Float {
        name: of,
        width,
        kind,
        spec,
        nan,
    } in TYPES
    {
        for rounding in MODES {
            let mode = name(rounding);
            for (op, operation, operands) in [
                ("add", Operation::Add, "%a, %b"),
                ("sub", Operation::Sub, "%a, %b"),
                ("mul", Operation::Mul, "%a, %b"),
                ("fma", Operation::Fma, "%a, %b, %c"),
                ("mad", Operation::Fma, "%a, %b, %c"),
                ("div", Operation::Div, "%a, %b"),
                ("rcp", Operation::Rcp, "%a"),
                ("sqrt", Operation::Sqrt, "%a"),
            ] {
                let count = operands.matches('%').count();
                let result = move |x: [u64; 3]| {
                    let numbers = x.map(|x| spec.decode(x));
                    // f64 hands on the payload of its first NaN, quieted.
                    let given = x[..count].iter().find(|&&x| spec.decode(x).is_nan());
                    let nan = match (width, given) {
                        (32, _) => nan,
                        (_, given) => given.map_or(0xfff8 << 48, |x| x | 1 << 51),
                    };
                    expected(&spec, operation, rounding, numbers).unwrap_or(nan)
                };
                let text = format!("{op}.{mode}.{of} %d, {operands};");
                cases.push(Case::new(text, [width; 4], kind, move |x| Some(result(x))));
                if width == 64 {
                    continue;
                }
                let text = format!("{op}.{mode}.ftz.{of} %d, {operands};");
                let ftz = move |x: [u64; 3]| flushed(result(x.map(flushed)));
                cases.push(Case::new(text, [width; 4], kind, move |x| Some(ftz(x))));
                if matches!(op, "add" | "sub" | "mul" | "fma" | "mad") {
                    let text = format!("{op}.{mode}.sat.{of} %d, {operands};");
                    cases.push(Case::new(text, [width; 4], kind, move |x| {
                        Some(saturated(result(x)))
                    }));
                    let text = format!("{op}.{mode}.ftz.sat.{of} %d, {operands};");
                    cases.push(Case::new(text, [width; 4], kind, move |x| {
                        Some(saturated(ftz(x)))
                    }));
                }
            }
        }
    }
    check(&cases);
}

/// The lesser of two numbers, -0 below +0; a NaN only where both are.
fn least(spec: &Spec, nan: u64, a: u64, b: u64) -> u64 {
    let (x, y) = (spec.decode(a), spec.decode(b));
    match (x.is_nan(), y.is_nan()) {
        (true, true) => nan,
        (true, false) => b,
        (false, true) => a,
        _ if x < y || x == y && x.is_sign_negative() => a,
        _ => b,
    }
}

#[test]
fn minimum_maximum_and_signs() {
    let mut cases = Vec::new();
    for Float {
        name: of,
        width,
        kind,
        spec,
        nan,
    } in TYPES
    {
        let sign = 1u64 << (width - 1);
        let minus = move |x: u64| if spec.decode(x).is_nan() { x } else { x ^ sign };
        let min = move |a, b| least(&spec, nan, a, b);
        let max = move |a, b| minus(least(&spec, nan, minus(a), minus(b)));
        let mut case = |text: String, of: Box<dyn Fn([u64; 3]) -> Option<u64>>| {
            cases.push(Case::new(text, [width; 4], kind, of));
        };
        case(
            format!("min.{of} %d, %a, %b;"),
            Box::new(move |[a, b, _]| Some(min(a, b))),
        );
        case(
            format!("max.{of} %d, %a, %b;"),
            Box::new(move |[a, b, _]| Some(max(a, b))),
        );
        // What becomes of a NaN's bits is open.
        let number = move |x: u64| !spec.decode(x).is_nan();
        let signs = move |x: u64, result: u64| number(x).then_some(result);
        case(
            format!("abs.{of} %d, %a;"),
            Box::new(move |[a, ..]| signs(a, a & !sign)),
        );
        case(
            format!("neg.{of} %d, %a;"),
            Box::new(move |[a, ..]| signs(a, a ^ sign)),
        );
        let copied = move |[a, b, _]: [u64; 3]| Some(a & sign | b & !sign);
        case(format!("copysign.{of} %d, %a, %b;"), Box::new(copied));
        if width == 32 {
            let quiet = move |of: &dyn Fn(u64, u64) -> u64, a: u64, b: u64| {
                Some(if number(a) && number(b) {
                    of(a, b)
                } else {
                    nan
                })
            };
            let text = "min.NaN.f32 %d, %a, %b;".to_string();
            case(text, Box::new(move |[a, b, _]| quiet(&min, a, b)));
            let text = "max.NaN.f32 %d, %a, %b;".to_string();
            case(text, Box::new(move |[a, b, _]| quiet(&max, a, b)));
            let text = "min.ftz.f32 %d, %a, %b;".to_string();
            case(
                text,
                Box::new(move |[a, b, _]| Some(min(flushed(a), flushed(b)))),
            );
        }
    }
    check(&cases);
}
