//! Integer arithmetic, by wide integers.

use crate::harness::{Case, Kind, check, mask};

/// `.u16`, `.s16` and so on.
pub const TYPES: [(&str, u32, bool); 6] = [
    ("u16", 16, false),
    ("s16", 16, true),
    ("u32", 32, false),
    ("s32", 32, true),
    ("u64", 64, false),
    ("s64", 64, true),
];

/// The number that bits are.
pub fn number(bits: u64, width: u32, signed: bool) -> i128 {
    match signed {
        true => i128::from((bits << (64 - width)).cast_signed() >> (64 - width)),
        false => i128::from(bits & mask(width)),
    }
}

/// The low bits of a number.
pub fn low(number: i128, width: u32) -> u64 {
    number as u64 & mask(width)
}

/// The bits of the type's number that is nearest.
pub fn saturated(number: i128, width: u32, signed: bool) -> u64 {
    let (least, most) = match signed {
        true => (-1 << (width - 1), (1 << (width - 1)) - 1),
        false => (0, i128::from(mask(width))),
    };
    low(number.clamp(least, most), width)
}

/// A case of one type all through, of its numbers.
fn same(
    text: String,
    (width, signed): (u32, bool),
    of: impl Fn(i128, i128, i128) -> Option<i128> + 'static,
) -> Case {
    Case::new(text, [width; 4], Kind::Integer, move |operands| {
        let [a, b, c] = operands.map(|x| number(x, width, signed));
        Some(low(of(a, b, c)?, width))
    })
}

#[test]
fn arithmetic() {
    let mut cases = Vec::new();
    for (name, width, signed) in TYPES {
        let kind = (width, signed);
        let mut two = |op: &str, of: fn(i128, i128) -> Option<i128>| {
            let text = format!("{op}.{name} %d, %a, %b;");
            cases.push(same(text, kind, move |a, b, _| of(a, b)));
        };
        two("add", |a, b| Some(a + b));
        two("sub", |a, b| Some(a - b));
        two("mul.lo", |a, b| Some(a.wrapping_mul(b)));
        // Division by zero is open.
        two("div", |a, b| (b != 0).then(|| a / b));
        two("rem", |a, b| (b != 0).then(|| a % b));
        two("min", |a, b| Some(a.min(b)));
        two("max", |a, b| Some(a.max(b)));
        let text = |op: &str| format!("{op}.{name} %d, %a, %b, %c;");
        cases.push(same(text("mad.lo"), kind, |a, b, c| {
            Some(a.wrapping_mul(b).wrapping_add(c))
        }));
        cases.push(same(text("sad"), kind, |a, b, c| Some(c + (a - b).abs())));
        let high = move |a: i128, b: i128| match signed {
            true => (a * b) >> width,
            false => ((a as u128 * b as u128) >> width) as i128,
        };
        cases.push(same(
            format!("mul.hi.{name} %d, %a, %b;"),
            kind,
            move |a, b, _| Some(high(a, b)),
        ));
        cases.push(same(text("mad.hi"), kind, move |a, b, c| {
            Some(high(a, b) + c)
        }));
        if signed {
            cases.push(same(format!("abs.{name} %d, %a;"), kind, |a, _, _| {
                Some(a.abs())
            }));
            cases.push(same(format!("neg.{name} %d, %a;"), kind, |a, _, _| {
                Some(-a)
            }));
        }
        if width < 64 {
            let wide = move |x: [u64; 3]| [x[0], x[1]].map(|x| number(x, width, signed));
            let widths = [2 * width, width, width, 2 * width];
            let product = move |x| Some(low(wide(x).into_iter().product(), 2 * width));
            let text = format!("mul.wide.{name} %d, %a, %b;");
            cases.push(Case::new(text, widths, Kind::Integer, product));
            let sum = move |x: [u64; 3]| {
                let product: i128 = wide(x).into_iter().product();
                Some(low(product + number(x[2], 2 * width, signed), 2 * width))
            };
            let text = format!("mad.wide.{name} %d, %a, %b, %c;");
            cases.push(Case::new(text, widths, Kind::Integer, sum));
        }
    }
    check(&cases);
}

#[test]
fn saturation_and_24_bits() {
    let saturated = |x: i128| x.clamp(i32::MIN.into(), i32::MAX.into());
    let s32 = (32, true);
    let mut cases = vec![
        same("add.sat.s32 %d, %a, %b;".into(), s32, move |a, b, _| {
            Some(saturated(a + b))
        }),
        same("sub.sat.s32 %d, %a, %b;".into(), s32, move |a, b, _| {
            Some(saturated(a - b))
        }),
        same(
            "mad.hi.sat.s32 %d, %a, %b, %c;".into(),
            s32,
            move |a, b, c| Some(saturated(((a * b) >> 32) + c)),
        ),
    ];
    for (name, signed) in [("u32", false), ("s32", true)] {
        let product = move |a: i128, b: i128| {
            let [a, b] = [a, b].map(|x| number(x as u64, 24, signed));
            a * b
        };
        let kind = (32, signed);
        for (op, shift) in [("lo", 0), ("hi", 16)] {
            let text = format!("mul24.{op}.{name} %d, %a, %b;");
            cases.push(same(text, kind, move |a, b, _| {
                Some(product(a, b) >> shift)
            }));
            let text = format!("mad24.{op}.{name} %d, %a, %b, %c;");
            cases.push(same(text, kind, move |a, b, c| {
                Some((product(a, b) >> shift) + c)
            }));
        }
    }
    check(&cases);
}

/// Carries: the high half of sums of two registers each, `%a:%b + %c:%a` and so on.
#[test]
fn carries() {
    let mut cases = Vec::new();
    for (name, width) in [("u32", 32u32), ("s32", 32), ("u64", 64), ("s64", 64)] {
        let halves = move |x: [u64; 3]| x.map(|x| u128::from(x & mask(width)));
        let join = move |high: u128, low: u128| (high << (width / 2)) << (width / 2) | low;
        let high = move |x: u128| Some(((x >> (width / 2)) >> (width / 2)) as u64 & mask(width));
        let mut case = |text: String, of: Box<dyn Fn([u128; 3]) -> Option<u64>>| {
            cases.push(Case::new(text, [width; 4], Kind::Integer, move |x| {
                of(halves(x))
            }));
        };
        let text = format!("add.cc.{name} %d, %a, %c;\naddc.{name} %d, %b, %a;");
        case(
            text,
            Box::new(move |[a, b, c]| high(join(b, a).wrapping_add(join(a, c)))),
        );
        let text = format!("sub.cc.{name} %d, %a, %c;\nsubc.{name} %d, %b, %a;");
        case(
            text,
            Box::new(move |[a, b, c]| high(join(b, a).wrapping_sub(join(a, c)))),
        );
        // a · b + c:a
        let text = format!("mad.lo.cc.{name} %d, %a, %b, %a;\nmadc.hi.{name} %d, %a, %b, %c;");
        if name.starts_with('u') {
            case(
                text,
                Box::new(move |[a, b, c]| high((a * b).wrapping_add(join(c, a)))),
            );
        }
    }
    check(&cases);
}

#[test]
fn dot_products() {
    let mut cases = Vec::new();
    let part = |x: u64, at: u32, bits: u32, signed| number(x >> (at * bits), bits, signed);
    for (a_name, a_signed) in [("u32", false), ("s32", true)] {
        for (b_name, b_signed) in [("u32", false), ("s32", true)] {
            let text = format!("dp4a.{a_name}.{b_name} %d, %a, %b, %c;");
            cases.push(Case::new(text, [32; 4], Kind::Integer, move |[a, b, c]| {
                let products = (0..4).map(|i| part(a, i, 8, a_signed) * part(b, i, 8, b_signed));
                Some(low(products.sum::<i128>() + number(c, 32, true), 32))
            }));
            for (half, first) in [("lo", 0), ("hi", 2)] {
                let text = format!("dp2a.{half}.{a_name}.{b_name} %d, %a, %b, %c;");
                cases.push(Case::new(text, [32; 4], Kind::Integer, move |[a, b, c]| {
                    let of = |i| part(a, i, 16, a_signed) * part(b, first + i, 8, b_signed);
                    Some(low(of(0) + of(1) + number(c, 32, true), 32))
                }));
            }
        }
    }
    check(&cases);
}

/// Two numbers of 16 bits in a register.
#[test]
fn pairs() {
    let mut cases = Vec::new();
    for (name, signed) in [("u16x2", false), ("s16x2", true)] {
        for (op, of) in [
            ("add", (|a, b| a + b) as fn(i128, i128) -> i128),
            ("min", |a, b| a.min(b)),
            ("max", |a, b| a.max(b)),
        ] {
            let text = format!("{op}.{name} %d, %a, %b;");
            cases.push(Case::new(text, [32; 4], Kind::Integer, move |[a, b, _]| {
                let half = |at: u32| {
                    let [a, b] = [a, b].map(|x| number(x >> at, 16, signed));
                    low(of(a, b), 16) << at
                };
                Some(half(0) | half(16))
            }));
        }
    }
    check(&cases);
}
