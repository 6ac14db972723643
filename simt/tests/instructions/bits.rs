//! Logic, shifts, fields and permutations, bit by bit.

use crate::harness::{Case, Kind, check, mask};
use crate::integers::number;

fn case(text: impl Into<String>, widths: [u32; 4], of: impl Fn([u64; 3]) -> u64 + 'static) -> Case {
    let width = widths[0];
    Case::new(text, widths, Kind::Integer, move |x| {
        Some(of(x) & mask(width))
    })
}

/// A word whose bit `i` is `of(i)`.
fn bits(width: u32, of: impl Fn(u32) -> bool) -> u64 {
    (0..width).map(|i| u64::from(of(i)) << i).sum()
}

/// Bit `i` of a word; none beyond it.
fn bit(x: u64, i: u32) -> bool {
    i < 64 && x >> i & 1 == 1
}

#[test]
fn logic() {
    let mut cases = Vec::new();
    for width in [16, 32, 64] {
        for (op, of) in [
            ("and", (|a, b| a & b) as fn(bool, bool) -> bool),
            ("or", |a, b| a | b),
            ("xor", |a, b| a ^ b),
        ] {
            let text = format!("{op}.b{width} %d, %a, %b;");
            cases.push(case(text, [width; 4], move |[a, b, _]| {
                bits(width, |i| of(bit(a, i), bit(b, i)))
            }));
        }
        cases.push(case(
            format!("not.b{width} %d, %a;"),
            [width; 4],
            |[a, ..]| !a,
        ));
        cases.push(case(
            format!("cnot.b{width} %d, %a;"),
            [width; 4],
            |[a, ..]| u64::from(a == 0),
        ));
    }
    for table in 0..=255u32 {
        let text = format!("lop3.b32 %d, %a, %b, %c, {table};");
        cases.push(case(text, [32; 4], move |[a, b, c]| {
            bits(32, |i| {
                let row =
                    u32::from(bit(a, i)) * 4 + u32::from(bit(b, i)) * 2 + u32::from(bit(c, i));
                table >> row & 1 == 1
            })
        }));
    }
    check(&cases);
}

#[test]
fn shifts() {
    let mut cases = Vec::new();
    for width in [16, 32, 64] {
        let widths = [width, width, 32, 32];
        let shift = |x: u64| (x & mask(32)) as u32;
        cases.push(case(
            format!("shl.b{width} %d, %a, %b;"),
            widths,
            move |[a, b, _]| {
                bits(width, |i| {
                    i.checked_sub(shift(b)).is_some_and(|from| bit(a, from))
                })
            },
        ));
        for (kind, signed) in [("b", false), ("u", false), ("s", true)] {
            let text = format!("shr.{kind}{width} %d, %a, %b;");
            cases.push(case(text, widths, move |[a, b, _]| {
                let sign = signed && bit(a, width - 1);
                bits(width, |i| match i.checked_add(shift(b)) {
                    Some(from) if from < width => bit(a, from),
                    _ => sign,
                })
            }));
        }
    }
    for (mode, clamp) in [("wrap", false), ("clamp", true)] {
        let amount = move |c: u64| match clamp {
            true => (c & mask(32)).min(32) as u32,
            false => c as u32 & 31,
        };
        // The 64 bits of %b over %a.
        let joined = |a: u64, b: u64| b << 32 | a;
        let text = format!("shf.l.{mode}.b32 %d, %a, %b, %c;");
        cases.push(case(text, [32; 4], move |[a, b, c]| {
            bits(32, |i| bit(joined(a, b), 32 + i - amount(c)))
        }));
        let text = format!("shf.r.{mode}.b32 %d, %a, %b, %c;");
        cases.push(case(text, [32; 4], move |[a, b, c]| {
            bits(32, |i| bit(joined(a, b), i + amount(c)))
        }));
    }
    check(&cases);
}

#[test]
fn fields() {
    let mut cases = Vec::new();
    for (width, signed) in [(32, false), (32, true), (64, false), (64, true)] {
        let name = format!("{}{width}", if signed { "s" } else { "u" });
        let last = width - 1;
        // Position and length are the low bytes of their registers.
        let byte = |x: u64| (x & 255) as u32;
        let text = format!("bfe.{name} %d, %a, %b, %c;");
        cases.push(case(text, [width, width, 32, 32], move |[a, b, c]| {
            let (at, length) = (byte(b), byte(c));
            let top = match length {
                0 => 0,
                length => (at + length - 1).min(last),
            };
            let sign = signed && length > 0 && bit(a, top);
            bits(width, |i| {
                if i < length && at + i <= last {
                    bit(a, at + i)
                } else {
                    sign
                }
            })
        }));
        let text = format!("bfind.{name} %d, %a;");
        let found = move |a: u64| {
            let other = signed && bit(a, last);
            (0..width).rev().find(|&i| bit(a, i) != other)
        };
        cases.push(case(text, [32, width, 32, 32], move |[a, ..]| {
            found(a).map_or(mask(32), u64::from)
        }));
        let text = format!("bfind.shiftamt.{name} %d, %a;");
        cases.push(case(text, [32, width, 32, 32], move |[a, ..]| {
            found(a).map_or(mask(32), |i| u64::from(last - i))
        }));
    }
    for width in [32u32, 64] {
        let byte = |x: u64| (x & 255) as u32;
        let text = format!("bfi.b{width} %d, %a, %b, %c, 7;");
        cases.push(case(text, [width, width, width, 32], move |[a, b, c]| {
            let at = byte(c);
            bits(width, |i| {
                if i >= at && i - at < 7 {
                    bit(a, i - at)
                } else {
                    bit(b, i)
                }
            })
        }));
        cases.push(case(
            format!("brev.b{width} %d, %a;"),
            [width; 4],
            move |[a, ..]| bits(width, |i| bit(a, width - 1 - i)),
        ));
        let count = move |a: u64| (0..width).filter(|&i| bit(a, i)).count() as u64;
        let zeros = move |a: u64| (0..width).rev().take_while(|&i| !bit(a, i)).count() as u64;
        let to_word = [32, width, 32, 32];
        cases.push(case(
            format!("popc.b{width} %d, %a;"),
            to_word,
            move |[a, ..]| count(a),
        ));
        cases.push(case(
            format!("clz.b{width} %d, %a;"),
            to_word,
            move |[a, ..]| zeros(a),
        ));
    }
    for (mode, clamp) in [("wrap", false), ("clamp", true)] {
        let size = move |b: u64| {
            if clamp {
                b.min(32) as u32
            } else {
                b as u32 & 31
            }
        };
        cases.push(case(
            format!("szext.{mode}.u32 %d, %a, %b;"),
            [32; 4],
            move |[a, b, _]| bits(32, |i| i < size(b) && bit(a, i)),
        ));
        cases.push(case(
            format!("szext.{mode}.s32 %d, %a, %b;"),
            [32; 4],
            move |[a, b, _]| match size(b) {
                0 => 0,
                size => number(a, size, true) as u64,
            },
        ));
        cases.push(case(
            format!("bmsk.{mode}.b32 %d, %a, %b;"),
            [32; 4],
            move |[a, b, _]| {
                let at = if clamp { a.min(32) } else { a & 31 };
                let length = u64::from(size(b));
                bits(32, |i| u64::from(i) >= at && u64::from(i) < at + length)
            },
        ));
    }
    check(&cases);
}

#[test]
fn permutations() {
    let byte = |a: u64, b: u64, at: u64| {
        let byte = (b << 32 | a) >> (8 * (at & 7)) & 255;
        // The high bit of a selector asks for the byte's sign.
        if at & 8 == 0 {
            byte
        } else if byte & 128 == 0 {
            0
        } else {
            255
        }
    };
    let word = move |[a, b, _]: [u64; 3], selectors: [u64; 4]| {
        let parts = selectors.into_iter().enumerate();
        parts.map(|(i, at)| byte(a, b, at) << (8 * i)).sum::<u64>()
    };
    let mut cases = vec![case("prmt.b32 %d, %a, %b, %c;", [32; 4], move |x| {
        word(x, [0, 4, 8, 12].map(|at| x[2] >> at & 15))
    })];
    // Table of the modes in the ISA, for the low bits 0 to 3 of the selector.
    let modes: [(&str, [[u64; 4]; 4]); 6] = [
        (
            "f4e",
            [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 6]],
        ),
        (
            "b4e",
            [[0, 7, 6, 5], [1, 0, 7, 6], [2, 1, 0, 7], [3, 2, 1, 0]],
        ),
        ("rc8", [[0; 4], [1; 4], [2; 4], [3; 4]]),
        ("ecl", [[0, 1, 2, 3], [1, 1, 2, 3], [2, 2, 2, 3], [3; 4]]),
        ("ecr", [[0; 4], [0, 1, 1, 1], [0, 1, 2, 2], [0, 1, 2, 3]]),
        (
            "rc16",
            [[0, 1, 0, 1], [2, 3, 2, 3], [0, 1, 0, 1], [2, 3, 2, 3]],
        ),
    ];
    for (mode, table) in modes {
        cases.push(case(
            format!("prmt.b32.{mode} %d, %a, %b, %c;"),
            [32; 4],
            move |x| word(x, table[(x[2] & 3) as usize]),
        ));
    }
    check(&cases);
}
