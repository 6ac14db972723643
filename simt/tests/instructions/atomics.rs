//! `atom` and `red` on global and shared memory: what was there is given, what comes is there.

use crate::floats::flushed;
use crate::harness::{Case, Kind, check, mask};
use crate::integers::{low, number};

type Operation = fn(i128, i128) -> i128;

/// What an operation gives and leaves of what was there and its operand, as numbers of its type.
const OPERATIONS: [(&str, &str, Operation); 22] = [
    ("add", "u32", |a, b| a + b),
    ("add", "s32", |a, b| a + b),
    ("add", "u64", |a, b| a + b),
    ("min", "u32", |a, b| a.min(b)),
    ("min", "s32", |a, b| a.min(b)),
    ("min", "u64", |a, b| a.min(b)),
    ("min", "s64", |a, b| a.min(b)),
    ("max", "u32", |a, b| a.max(b)),
    ("max", "s32", |a, b| a.max(b)),
    ("max", "u64", |a, b| a.max(b)),
    ("max", "s64", |a, b| a.max(b)),
    ("and", "b32", |a, b| a & b),
    ("and", "b64", |a, b| a & b),
    ("or", "b32", |a, b| a | b),
    ("or", "b64", |a, b| a | b),
    ("xor", "b32", |a, b| a ^ b),
    ("xor", "b64", |a, b| a ^ b),
    ("exch", "b32", |_, b| b),
    ("exch", "b64", |_, b| b),
    // Up to the operand, then from 0; down from it.
    ("inc", "u32", |a, b| if a >= b { 0 } else { a + 1 }),
    ("dec", "u32", |a, b| if a == 0 || a > b { b } else { a - 1 }),
    ("add", "f32", |a, b| {
        let [a, b] = [a, b].map(|x| f32::from_bits(x as u32));
        i128::from((a + b).to_bits())
    }),
];

/// A thread's own place: its operands are there in global memory, and 8 bytes are its in shared memory.
fn places(width: u32) -> [(&'static str, String); 2] {
    let own = format!(
        "shl.b32 %x, %tid, 3;\nmov.u32 %tid, s;\nadd.u32 %x, %x, %tid;\nst.shared.b{width} [%x], %a;"
    );
    [("global", "mov.b64 %y, %in;".into()), ("shared", own)]
}

#[test]
fn old_and_new() {
    let mut cases = Vec::new();
    for (op, name, of) in OPERATIONS {
        let width: u32 = name[1..].parse().unwrap();
        let kind = if name == "f32" {
            Kind::F32
        } else {
            Kind::Integer
        };
        let signed = name.starts_with('s');
        for (space, place) in places(width) {
            let at = if space == "global" { "%y" } else { "%x" };
            // Sums of f32 in global memory, not those in shared memory, take subnormal numbers for zeros.
            let flushes = space == "global" && name == "f32";
            let taken = move |x: u64| if flushes { flushed(x) } else { x };
            let new = move |[a, b, _]: [u64; 3]| {
                let nan = |x: u64| name == "f32" && f32::from_bits(x as u32).is_nan();
                let [x, y] = [a, b].map(|x| number(taken(x), width, signed));
                let result = taken(low(of(x, y), width));
                (!nan(a) && !nan(b) && !nan(result)).then_some(result)
            };
            let text = format!("{place}\natom.{space}.{op}.{name} %d, [{at}], %b;");
            cases.push(Case::new(text.clone(), [width; 4], kind, |[a, ..]| Some(a)));
            let text = format!("{text}\nld.{space}.b{width} %d, [{at}];");
            cases.push(Case::new(text, [width; 4], kind, new));
            if op != "exch" {
                let text = format!(
                    "{place}\nred.{space}.{op}.{name} [{at}], %b;\nld.{space}.b{width} %d, [{at}];"
                );
                cases.push(Case::new(text, [width; 4], kind, new));
            }
        }
    }
    check(&cases);
}

#[test]
fn compare_and_swap() {
    let mut cases = Vec::new();
    for width in [32, 64] {
        for (space, place) in places(width) {
            let at = if space == "global" { "%y" } else { "%x" };
            // Half of the threads compare with what is there.
            let compare = format!(
                "{place}\nsetp.lt.s{width} %p, %c, 0;\n@%p mov.b{width} %b, %a;\n\
                 atom.{space}.cas.b{width} %d, [{at}], %b, %c;"
            );
            cases.push(Case::new(
                compare.clone(),
                [width; 4],
                Kind::Integer,
                |[a, ..]| Some(a),
            ));
            let text = format!("{compare}\nld.{space}.b{width} %d, [{at}];");
            let of = move |[a, b, c]: [u64; 3]| {
                let swapped = c >> (width - 1) == 1 || a == b;
                Some(if swapped { c & mask(width) } else { a })
            };
            cases.push(Case::new(text, [width; 4], Kind::Integer, of));
        }
    }
    check(&cases);
}
