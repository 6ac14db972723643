//! `setp`, `set`, `selp`, `slct` and predicates, for every type and comparison.

use crate::floats::flushed;
use crate::harness::{Case, FLOATS, Kind, check, mask};
use crate::integers::{TYPES, number};
use std::cmp::Ordering;

/// Whether a comparison holds, of an order or of none (a NaN is there).
fn holds(comparison: &str, order: Option<Ordering>) -> bool {
    // With a `u` behind it, it holds of a NaN too.
    let (plain, unordered) = match comparison {
        "num" => return order.is_some(),
        "nan" => return order.is_none(),
        "ltu" | "leu" | "gtu" | "geu" | "equ" | "neu" => (&comparison[..2], true),
        other => (other, false),
    };
    let Some(order) = order else {
        return unordered;
    };
    match plain {
        "eq" => order.is_eq(),
        "ne" => order.is_ne(),
        "lt" | "lo" => order.is_lt(),
        "le" | "ls" => order.is_le(),
        "gt" | "hi" => order.is_gt(),
        _ => order.is_ge(),
    }
}

const FLOAT: [&str; 14] = [
    "eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan",
];

fn f32(x: u64) -> f64 {
    f32::from_bits(x as u32).into()
}

/// 1 or 0 of a comparison that sets `%p`.
fn chosen(
    text: &str,
    width: u32,
    kind: Kind,
    of: impl Fn(u64, u64, u64) -> bool + 'static,
) -> Case {
    let text = format!("{text}\nselp.b32 %d, 1, 0, %p;");
    Case::new(text, [32, width, width, 32], kind, move |[a, b, c]| {
        Some(of(a, b, c).into())
    })
}

#[test]
fn integers() {
    let mut cases = Vec::new();
    for (name, width, signed) in TYPES {
        let order = move |a, b| Some(number(a, width, signed).cmp(&number(b, width, signed)));
        let unsigned: &[&str] = if signed {
            &[]
        } else {
            &["lo", "ls", "hi", "hs"]
        };
        for &comparison in ["eq", "ne", "lt", "le", "gt", "ge"].iter().chain(unsigned) {
            let text = format!("setp.{comparison}.{name} %p, %a, %b;");
            cases.push(chosen(&text, width, Kind::Integer, move |a, b, _| {
                holds(comparison, order(a, b))
            }));
        }
    }
    for width in [16, 32, 64] {
        for comparison in ["eq", "ne"] {
            let text = format!("setp.{comparison}.b{width} %p, %a, %b;");
            let of = move |a: u64, b: u64, _| holds(comparison, Some(a.cmp(&b)));
            cases.push(chosen(&text, width, Kind::Integer, of));
        }
    }
    check(&cases);
}

#[test]
fn floats() {
    let mut cases = Vec::new();
    for (name, width, kind, spec) in FLOATS {
        let value = move |x| spec.decode(x);
        for comparison in FLOAT {
            let of = move |a, b, _| holds(comparison, value(a).partial_cmp(&value(b)));
            cases.push(chosen(
                &format!("setp.{comparison}.{name} %p, %a, %b;"),
                width,
                kind,
                of,
            ));
            if width == 32 {
                // Subnormal operands count as zeros.
                let of =
                    move |a, b, _| holds(comparison, f32(flushed(a)).partial_cmp(&f32(flushed(b))));
                cases.push(chosen(
                    &format!("setp.{comparison}.ftz.f32 %p, %a, %b;"),
                    width,
                    kind,
                    of,
                ));
            }
        }
    }
    check(&cases);
}

/// With another predicate: `setp.lt.and.u32 %p|%q, %a, %b, %p`.
#[test]
fn combinations() {
    let mut cases = Vec::new();
    let other = |c: u64| c & 1 == 1;
    let before = "and.b32 %x, %c, 1;\nsetp.ne.u32 %p, %x, 0;";
    for (op, of) in [
        ("and", (|a, b| a & b) as fn(bool, bool) -> bool),
        ("or", |a, b| a | b),
        ("xor", |a, b| a ^ b),
    ] {
        for (sign, negated) in [("", false), ("!", true)] {
            let text = format!("{before}\nsetp.lt.{op}.u32 %p|%q, %a, %b, {sign}%p;");
            let first = move |a: u64, b: u64, c: u64| of(a < b, other(c) ^ negated);
            cases.push(chosen(&text, 32, Kind::Integer, first));
            // The second is that of the opposite comparison.
            let second = move |a: u64, b: u64, c: u64| of(a >= b, other(c) ^ negated);
            let text = format!("{text}\nmov.pred %p, %q;");
            cases.push(chosen(&text, 32, Kind::Integer, second));
        }
        let text = format!("{before}\nsetp.gt.u32 %q, %a, %b;\n{op}.pred %p, %p, %q;");
        cases.push(chosen(&text, 32, Kind::Integer, move |a, b, c| {
            of(other(c), a > b)
        }));
    }
    let text = format!("{before}\nnot.pred %p, %p;");
    cases.push(chosen(&text, 32, Kind::Integer, move |_, _, c| !other(c)));
    check(&cases);
}

#[test]
fn selections() {
    let mut cases = Vec::new();
    for width in [16, 32, 64] {
        for letter in ["b", "u", "s", "f"]
            .iter()
            .filter(|&&l| l != "f" || width > 16)
        {
            let text = format!("setp.lt.s32 %p, %c, 0;\nselp.{letter}{width} %d, %a, %b, %p;");
            let of = |[a, b, c]: [u64; 3]| Some(if c >> 31 == 1 { a } else { b });
            cases.push(Case::new(
                text,
                [width, width, width, 32],
                Kind::Integer,
                of,
            ));
            if width > 16 {
                let text = format!("slct.{letter}{width}.s32 %d, %a, %b, %c;");
                let of = |[a, b, c]: [u64; 3]| Some(if c >> 31 == 0 { a } else { b });
                cases.push(Case::new(
                    text,
                    [width, width, width, 32],
                    Kind::Integer,
                    of,
                ));
                let text = format!("slct.{letter}{width}.f32 %d, %a, %b, %c;");
                // -0 is not negative, and a NaN takes the second.
                let of = |[a, b, c]: [u64; 3]| Some(if f32(c) >= 0.0 { a } else { b });
                cases.push(Case::new(
                    text,
                    [width, width, width, 32],
                    Kind::Integer,
                    of,
                ));
            }
        }
    }
    for (to, yes) in [
        ("u32", mask(32)),
        ("s32", mask(32)),
        ("f32", 1f32.to_bits().into()),
    ] {
        let text = format!("set.lt.{to}.s32 %d, %a, %b;");
        let of = move |[a, b, _]: [u64; 3]| {
            let less = number(a, 32, true) < number(b, 32, true);
            Some(if less { yes } else { 0 })
        };
        cases.push(Case::new(text, [32; 4], Kind::Integer, of));
        let text = format!("set.geu.{to}.f32 %d, %a, %b;");
        let of = move |[a, b, _]: [u64; 3]| {
            let not_less = holds("geu", f32(a).partial_cmp(&f32(b)));
            Some(if not_less { yes } else { 0 })
        };
        cases.push(Case::new(text, [32; 4], Kind::F32, of));
    }
    check(&cases);
}

#[test]
fn classes() {
    let mut cases = Vec::new();
    for (name, width, kind, spec) in &FLOATS[2..] {
        let (width, kind, spec) = (*width, *kind, *spec);
        let value = move |x| spec.decode(x);
        let subnormal = move |x: u64| match width {
            32 => f32::from_bits(x as u32).is_subnormal(),
            _ => value(x).is_subnormal(),
        };
        type Class = Box<dyn Fn(u64) -> bool>;
        let classes: [(&str, Class); 6] = [
            ("finite", Box::new(move |x| value(x).is_finite())),
            ("infinite", Box::new(move |x| value(x).is_infinite())),
            ("number", Box::new(move |x| !value(x).is_nan())),
            ("notanumber", Box::new(move |x| value(x).is_nan())),
            (
                "normal",
                // Zeros are.
                Box::new(move |x| value(x).is_finite() && !subnormal(x)),
            ),
            ("subnormal", Box::new(subnormal)),
        ];
        for (class, of) in classes {
            let text = format!("testp.{class}.{name} %p, %a;");
            cases.push(chosen(&text, width, kind, move |a, _, _| of(a)));
        }
    }
    check(&cases);
}
