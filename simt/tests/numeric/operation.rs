//! Arithmetic by definition: exact operands, exact result, rounded once.

use crate::reference::{self as exact, Exact, Spec};
use simt::numeric::Rounding;

/// Operation of up to three operands; unused ones are ignored.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    Add,
    Sub,
    Mul,
    Fma,
    Div,
    Rcp,
    Sqrt,
}
use Operation::*;

pub const OPERATIONS: [Operation; 7] = [Add, Sub, Mul, Fma, Div, Rcp, Sqrt];
pub const MODES: [Rounding; 4] = [Rounding::Rn, Rounding::Rz, Rounding::Rm, Rounding::Rp];

/// A result: not a number, or a code.
pub fn expected(
    spec: &Spec,
    op: Operation,
    rounding: Rounding,
    [a, b, c]: [f64; 3],
) -> Option<u64> {
    let infinity = |negative: bool| {
        let code = spec.finite_codes().end;
        Some(code | u64::from(negative) << (spec.bits() - 1))
    };
    let zero = |negative: bool| Some(u64::from(negative) << (spec.bits() - 1));
    let round =
        |negative, value: Exact| Some(exact::round(spec, rounding, false, negative, &value));
    match op {
        Add => total(
            spec,
            rounding,
            (a.is_sign_negative(), part(a)?),
            (b.is_sign_negative(), part(b)?),
        ),
        Sub => expected(spec, Add, rounding, [a, -b, c]),
        Mul | Fma => {
            let negative = a.is_sign_negative() != b.is_sign_negative();
            let product = match (part(a)?, part(b)?) {
                (Part::Infinite, Part::Finite(x)) | (Part::Finite(x), Part::Infinite)
                    if x.is_zero() =>
                {
                    return None;
                }
                (Part::Finite(a), Part::Finite(b)) => Part::Finite(a.times(&b)),
                _ => Part::Infinite,
            };
            match (op, product) {
                (Fma, product) => total(
                    spec,
                    rounding,
                    (negative, product),
                    (c.is_sign_negative(), part(c)?),
                ),
                (_, Part::Infinite) => infinity(negative),
                (_, Part::Finite(x)) => round(negative, x),
            }
        }
        Div => {
            let negative = a.is_sign_negative() != b.is_sign_negative();
            match (part(a)?, part(b)?) {
                (Part::Infinite, Part::Infinite) => None,
                (Part::Infinite, _) => infinity(negative),
                (_, Part::Infinite) => zero(negative),
                (Part::Finite(a), Part::Finite(b)) => match (a.is_zero(), b.is_zero()) {
                    (true, true) => None,
                    (_, true) => infinity(negative),
                    _ => round(negative, a.over(&b)),
                },
            }
        }
        Rcp => expected(spec, Div, rounding, [1.0, a, c]),
        Sqrt => match part(a)? {
            Part::Finite(x) if x.is_zero() => zero(a.is_sign_negative()),
            _ if a.is_sign_negative() => None,
            Part::Infinite => infinity(false),
            Part::Finite(x) => round(false, Exact { root: true, ..x }),
        },
    }
}

enum Part {
    Finite(Exact),
    Infinite,
}

/// `None` for NaN.
fn part(x: f64) -> Option<Part> {
    match x {
        _ if x.is_nan() => None,
        _ if x.is_infinite() => Some(Part::Infinite),
        _ => Some(Part::Finite(Exact::of(x))),
    }
}

fn total(spec: &Spec, rounding: Rounding, a: (bool, Part), b: (bool, Part)) -> Option<u64> {
    let sign = |negative: bool| u64::from(negative) << (spec.bits() - 1);
    let infinity = spec.finite_codes().end;
    match (a.1, b.1) {
        (Part::Infinite, Part::Infinite) if a.0 != b.0 => None,
        (Part::Infinite, _) => Some(infinity | sign(a.0)),
        (_, Part::Infinite) => Some(infinity | sign(b.0)),
        (Part::Finite(x), Part::Finite(y)) => {
            let (negative, value) = exact::sum((a.0, x), (b.0, y));
            if value.is_zero() {
                // IEEE 754, 6.3: equal signs stay, a difference is +0 but toward −∞.
                let negative = if a.0 == b.0 {
                    a.0
                } else {
                    rounding == Rounding::Rm
                };
                return Some(sign(negative));
            }
            Some(exact::round(spec, rounding, false, negative, &value))
        }
    }
}
