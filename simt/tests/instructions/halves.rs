//! f16 and bf16, alone and two in a register.

use crate::harness::{Case, Kind, check};
use crate::operation::{Operation, expected};
use crate::reference::{BF16, F16, Spec};
use simt::numeric::Rounding;

/// The only NaN of both formats.
const NAN: u64 = 0x7fff;

const TYPES: [(&str, Kind, Spec); 2] = [("f16", Kind::F16, F16), ("bf16", Kind::Bf16, BF16)];

/// Cases of one number and of two side by side.
fn both(
    cases: &mut Vec<Case>,
    (op, name, operands, kind): (&str, &str, &str, Kind),
    of: impl Fn([u64; 3]) -> Option<u64> + Clone + 'static,
) {
    let text = format!("{op}.{name} %d, {operands};");
    cases.push(Case::new(text, [16; 4], kind, of.clone()));
    let text = format!("{op}.{name}x2 %d, {operands};");
    cases.push(Case::new(text, [32; 4], kind, move |x| {
        Some(of(x.map(|x| x & 0xffff))? | of(x.map(|x| x >> 16))? << 16)
    }));
}

#[test]
fn arithmetic() {
    let mut cases = Vec::new();
    for (name, kind, spec) in TYPES {
        for (op, operation, operands) in [
            ("add.rn", Operation::Add, "%a, %b"),
            ("add", Operation::Add, "%a, %b"),
            ("sub", Operation::Sub, "%a, %b"),
            ("mul", Operation::Mul, "%a, %b"),
            ("fma.rn", Operation::Fma, "%a, %b, %c"),
        ] {
            let result = move |x: [u64; 3]| {
                let numbers = x.map(|x| spec.decode(x));
                expected(&spec, operation, Rounding::Rn, numbers).unwrap_or(NAN)
            };
            both(&mut cases, (op, name, operands, kind), move |x| {
                Some(result(x))
            });
            if op == "fma.rn" {
                let relu = move |x| match result(x) {
                    NAN => NAN,
                    negative if negative >> 15 == 1 => 0,
                    result => result,
                };
                both(
                    &mut cases,
                    ("fma.rn.relu", name, operands, kind),
                    move |x| Some(relu(x)),
                );
            }
            if name == "f16" && op != "add.rn" {
                let one = 0x3c00;
                let saturated = move |x| match result(x) {
                    NAN => 0,
                    negative if negative >> 15 == 1 => 0,
                    result => result.min(one),
                };
                let op = format!("{op}.sat");
                both(&mut cases, (&op, name, operands, kind), move |x| {
                    Some(saturated(x))
                });
            }
        }
    }
    check(&cases);
}

#[test]
fn minimum_maximum_and_signs() {
    let mut cases = Vec::new();
    for (name, kind, spec) in TYPES {
        let value = move |x: u64| spec.decode(x);
        // -0 is below +0; a number is preferred to a NaN.
        let first = move |a: u64, b: u64, least: bool| match (value(a).is_nan(), value(b).is_nan())
        {
            (true, true) => NAN,
            (true, false) => b,
            (false, true) => a,
            _ if value(a) == value(b) => {
                if (a >> 15 == 1) == least {
                    a
                } else {
                    b
                }
            }
            _ if (value(a) < value(b)) == least => a,
            _ => b,
        };
        for (op, least) in [("min", true), ("max", false)] {
            both(&mut cases, (op, name, "%a, %b", kind), move |[a, b, _]| {
                Some(first(a, b, least))
            });
            let quiet = move |a, b| match value(a).is_nan() || value(b).is_nan() {
                true => NAN,
                false => first(a, b, least),
            };
            let op = format!("{op}.NaN");
            both(&mut cases, (&op, name, "%a, %b", kind), move |[a, b, _]| {
                Some(quiet(a, b))
            });
        }
        // What becomes of a NaN's bits is open.
        let number = move |x: u64| !value(x).is_nan();
        both(&mut cases, ("abs", name, "%a", kind), move |[a, ..]| {
            number(a).then_some(a & 0x7fff)
        });
        both(&mut cases, ("neg", name, "%a", kind), move |[a, ..]| {
            number(a).then_some(a ^ 0x8000)
        });
    }
    check(&cases);
}
