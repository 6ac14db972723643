//! f16 and bf16 arithmetic against exact results.

use crate::reference::{self as exact, Exact, Spec};
use proptest::prelude::*;
use simt::numeric::Rounding;
use simt::numeric::half::{Half, MinMax, Modifiers, packed};

const NONE: Modifiers = Modifiers {
    ftz: false,
    sat: false,
    relu: false,
};
const TYPES: [(Half, Spec); 2] = [(Half::F16, exact::F16), (Half::Bf16, exact::BF16)];

/// `a · b + c` by definition; zero signs as IEEE 754 has them to nearest.
fn fma(spec: &Spec, a: f64, b: f64, c: f64) -> u16 {
    // Specials follow f64's, whose exponents hold every product.
    let plain = a * b + c;
    if plain.is_nan() {
        return 0x7fff;
    }
    let infinity = spec.finite_codes().end as u16;
    if plain.is_infinite() {
        return infinity | if plain < 0.0 { 0x8000 } else { 0 };
    }
    let product = Exact::of(a).times(&Exact::of(b));
    let signs = (
        a.is_sign_negative() != b.is_sign_negative(),
        c.is_sign_negative(),
    );
    let (negative, value) = exact::sum((signs.0, product), (signs.1, Exact::of(c)));
    let negative = if value.is_zero() {
        signs.0 && signs.1
    } else {
        negative
    };
    exact::round(spec, Rounding::Rn, false, negative, &value) as u16
}

/// Codes at the borders of the format.
fn edges(spec: &Spec) -> Vec<u16> {
    let codes = spec.finite_codes();
    let one = codes.clone().find(|&c| spec.decode(c) == 1.0).unwrap();
    let normal = 1 << spec.fraction_bits;
    let magnitudes = [
        0,
        1,
        normal - 1,
        normal + 1,
        one,
        one + 1,
        codes.end - 1,
        codes.end,
        codes.end + 1,
    ];
    magnitudes
        .into_iter()
        .flat_map(|m| [m as u16, m as u16 | 0x8000])
        .collect()
}

#[test]
fn every_code_with_every_edge() {
    for (half, spec) in TYPES {
        let value = |code: u16| spec.decode(u64::from(code));
        for a in 0..=u16::MAX {
            for b in edges(&spec).into_iter().filter(|b| b & 0x8000 == 0) {
                let (x, y) = (value(a), value(b));
                let added = fma(&spec, x, 1.0, y);
                assert_eq!(half.add(NONE, a, b), added, "{half:?} {x:e} + {y:e}");
                assert_eq!(
                    half.sub(NONE, a, b),
                    fma(&spec, x, 1.0, -y),
                    "{half:?} {x:e} - {y:e}"
                );
                // A product keeps its sign when it underflows to zero; the addend must not change it.
                let zero = if x.is_sign_negative() { -0.0 } else { 0.0 };
                let product = fma(&spec, x, y, zero);
                assert_eq!(half.mul(NONE, a, b), product, "{half:?} {x:e} · {y:e}");
                let negated = if product == 0x7fff {
                    product
                } else {
                    product ^ 0x8000
                };
                assert_eq!(
                    half.mul(NONE, a, b | 0x8000),
                    negated,
                    "{half:?} {x:e} · -{y:e}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn fused(a: u16, b: u16, c: u16, ulps in -2i16..3, near: bool) {
        for (half, spec) in TYPES {
            // Half of the addends cancel the product nearly.
            let c = match near {
                true => half.mul(NONE, a, b).wrapping_add_signed(ulps) ^ 0x8000,
                false => c,
            };
            let [x, y, z] = [a, b, c].map(|code| spec.decode(u64::from(code)));
            let expected = fma(&spec, x, y, z);
            prop_assert_eq!(half.fma(NONE, a, b, c), expected, "{:?} {:e} {:e} {:e}", half, x, y, z);
        }
    }

    #[test]
    fn modifiers(a: u16, b: u16, c: u16) {
        for (half, spec) in TYPES {
            let normal = 1u16 << spec.fraction_bits;
            let flush = |x: u16| if x & 0x7fff < normal { x & 0x8000 } else { x };
            let infinity = spec.finite_codes().end as u16;
            let one = half.from_f32(1.0);
            let plain = half.fma(NONE, a, b, c);
            let flushed = flush(half.fma(NONE, flush(a), flush(b), flush(c)));
            prop_assert_eq!(half.fma(Modifiers { ftz: true, ..NONE }, a, b, c), flushed);
            let relu = match plain {
                0x8000.. if plain & 0x7fff <= infinity => 0,
                _ => plain,
            };
            prop_assert_eq!(half.fma(Modifiers { relu: true, ..NONE }, a, b, c), relu);
            let sat = match plain {
                0x8000.. => 0,
                _ if plain > infinity => 0,
                _ => plain.min(one),
            };
            prop_assert_eq!(half.fma(Modifiers { sat: true, ..NONE }, a, b, c), sat);
        }
    }
}

#[test]
fn sign_operations_and_packing() {
    for (half, spec) in TYPES {
        let normal = 1u16 << spec.fraction_bits;
        for a in 0..=u16::MAX {
            let flushed = if a & 0x7fff < normal { a & 0x8000 } else { a };
            assert_eq!(half.neg(false, a), a ^ 0x8000);
            assert_eq!(half.neg(true, a), flushed ^ 0x8000);
            assert_eq!(half.abs(false, a), a & 0x7fff);
            assert_eq!(half.abs(true, a), flushed & 0x7fff);
        }
    }
    let sum = packed([0x0003_0001, 0x0200_0100], |[a, b]| a + b);
    assert_eq!(sum, 0x0203_0101);
}

/// The ISA's pseudo-code of `min` and `max` on f64 values.
fn select(spec: &Spec, m: MinMax, maximum: bool, a: u16, b: u16) -> u16 {
    let flush = |x: u16| match x & 0x7fff {
        low if m.ftz && low < 1 << spec.fraction_bits => x & 0x8000,
        _ => x,
    };
    let (mut a, mut b) = (flush(a), flush(b));
    let xorsign = (a ^ b) & 0x8000;
    if m.xorsign_abs {
        (a, b) = (a & 0x7fff, b & 0x7fff);
    }
    let (x, y) = (spec.decode(u64::from(a)), spec.decode(u64::from(b)));
    let picked = match (x.is_nan(), y.is_nan()) {
        (true, true) => return 0x7fff,
        (true, false) | (false, true) if m.nan => return 0x7fff,
        (true, false) => b,
        (false, true) => a,
        _ if x == y && maximum => {
            if a & 0x8000 == 0 {
                a
            } else {
                b
            }
        }
        _ if x == y => {
            if a & 0x8000 != 0 {
                a
            } else {
                b
            }
        }
        _ if (x > y) == maximum => a,
        _ => b,
    };
    if m.xorsign_abs {
        picked & 0x7fff | xorsign
    } else {
        picked
    }
}

#[test]
fn min_and_max_of_every_code_with_every_edge() {
    for (half, spec) in TYPES {
        for a in 0..=u16::MAX {
            for &b in &edges(&spec) {
                for bits in 0..8 {
                    let m = MinMax {
                        ftz: bits & 1 != 0,
                        nan: bits & 2 != 0,
                        xorsign_abs: bits & 4 != 0,
                    };
                    assert_eq!(
                        half.min(m, a, b),
                        select(&spec, m, false, a, b),
                        "{m:?} {a:#x} {b:#x}"
                    );
                    assert_eq!(
                        half.max(m, a, b),
                        select(&spec, m, true, a, b),
                        "{m:?} {a:#x} {b:#x}"
                    );
                }
            }
        }
    }
}
