//! `mma` of types of at most 32 bits, shapes m16n8.
//!
//! Fragments are unpacked to f32 tiles on the stack, which vectors then multiply
//! ([`product`](super::super::product) says in which order).

use super::super::element::Element;
use super::super::fragment::Shape;
use super::tiles;
use super::tiles::transposed;
use crate::numeric::half::Half;
use crate::numeric::isa::per_isa;

/// `mma.sync` with accumulators of `.f32`: four registers.
///
/// # Panics
/// Where the shape has not 16 × 8 accumulators, k is none of 4, 8, 16 and 32, or an operand has not
/// the registers that its type needs.
#[inline]
pub fn mma_f32(
    shape: Shape,
    a_type: Element,
    b_type: Element,
    a: &[[u32; 32]],
    b: &[[u32; 32]],
    d: &mut [[u32; 32]; 4],
) {
    assert!(
        (shape.m, shape.n) == (16, 8),
        "mma of f32 is m16n8, not {shape:?}"
    );
    match shape.k {
        4 => k4(a_type, b_type, a, b, d),
        8 => k8(a_type, b_type, a, b, d),
        16 => k16(a_type, b_type, a, b, d),
        32 => k32(a_type, b_type, a, b, d),
        _ => panic!("no mma of f32 has the shape {shape:?}"),
    }
}

/// `mma.sync` with accumulators of `.f16`: two registers of packed pairs. The sum runs in f32 and is
/// rounded once.
///
/// # Panics
/// As [`mma_f32`].
pub fn mma_f16(
    shape: Shape,
    a_type: Element,
    b_type: Element,
    a: &[[u32; 32]],
    b: &[[u32; 32]],
    d: &mut [[u32; 32]; 2],
) {
    let mut wide = [[0; 32]; 4];
    widen(d, &mut wide);
    mma_f32(shape, a_type, b_type, a, b, &mut wide);
    round(&wide, d);
}

per_isa! {
    fn widen(halves: &[[u32; 32]; 2], singles: &mut [[u32; 32]; 4]) {
        for (i, singles) in singles.iter_mut().enumerate() {
            for (single, pair) in singles.iter_mut().zip(&halves[i / 2]) {
                *single = Half::F16.to_f32((pair >> (16 * (i % 2))) as u16).to_bits();
            }
        }
    }
}
per_isa! {
    fn round(singles: &[[u32; 32]; 4], halves: &mut [[u32; 32]; 2]) {
        for (halves, [low, high]) in halves.iter_mut().zip(singles.as_chunks::<2>().0) {
            for ((pair, low), high) in halves.iter_mut().zip(low).zip(high) {
                let code = |x: u32| u32::from(Half::F16.from_f32(f32::from_bits(x)));
                *pair = code(*high) << 16 | code(*low);
            }
        }
    }
}

type Registers<'a> = &'a [[u32; 32]];

macro_rules! compiled {
    ($name:ident, $k:literal) => {
        per_isa! {
            narrow fn $name(
                a_type: Element,
                b_type: Element,
                a: Registers<'_>,
                b: Registers<'_>,
                d: &mut [[u32; 32]; 4],
            ) {
                let b_tile = with_constant!(b_type, fill_b::<$k>(b));
                with_constant!(a_type, multiply::<$k>(a, &b_tile, d))
            }
        }
    };
}

/// Calls a function with the constant of a floating-point element type, so that its loops are
/// compiled for that type.
macro_rules! with_constant {
    ($element:expr, $function:ident::<$k:literal>($($arg:expr),*)) => {
        match $element {
            Element::F16 => $function::<$k, 2>($($arg,)* |r, i| Element::F16.float(r, i)),
            Element::Bf16 => $function::<$k, 2>($($arg,)* |r, i| Element::Bf16.float(r, i)),
            Element::Tf32 => $function::<$k, 1>($($arg,)* |r, i| Element::Tf32.float(r, i)),
            Element::E4m3 => $function::<$k, 4>($($arg,)* |r, i| Element::E4m3.float(r, i)),
            Element::E5m2 => $function::<$k, 4>($($arg,)* |r, i| Element::E5m2.float(r, i)),
            Element::E3m2 => $function::<$k, 4>($($arg,)* |r, i| Element::E3m2.float(r, i)),
            Element::E2m3 => $function::<$k, 4>($($arg,)* |r, i| Element::E2m3.float(r, i)),
            Element::E2m1 => $function::<$k, 4>($($arg,)* |r, i| Element::E2m1.float(r, i)),
            other => panic!("{other:?} does not accumulate in f32"),
        }
    };
}

compiled!(k4, 4);
compiled!(k8, 8);
compiled!(k16, 16);
compiled!(k32, 32);

/// B by rows of 8 columns, as `fragment::b` says.
#[inline(always)]
fn fill_b<const K: usize, const E: usize>(
    registers: Registers<'_>,
    value: impl Fn(u32, usize) -> f32,
) -> [[f32; 8]; K] {
    let blocks = K / (4 * E);
    assert!(
        registers.len() == blocks,
        "{} registers of B",
        registers.len()
    );
    let mut tile = [[0f32; 8]; K];
    for (along, register) in registers.iter().enumerate() {
        for (rank, words) in transposed(register).iter().enumerate() {
            for e in 0..E {
                for (b, word) in tile[(4 * along + rank) * E + e].iter_mut().zip(words) {
                    *b = value(*word, e);
                }
            }
        }
    }
    tile
}

/// `d += a · b`, eight rows at a time.
///
/// A register of A is a block of 8 rows and `4 · E` columns, row after row, and a pair of accumulator
/// registers the even and the odd columns of 8 rows (`fragment::a`, `fragment::c`): both unpack in
/// the order in which their words lie.
#[inline(always)]
fn multiply<const K: usize, const E: usize>(
    a: Registers<'_>,
    b_tile: &[[f32; 8]; K],
    d: &mut [[u32; 32]; 4],
    value: impl Fn(u32, usize) -> f32,
) {
    let blocks = K / (4 * E);
    assert!(a.len() == 2 * blocks, "{} registers of A", a.len());
    for (down, pair) in d.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let mut sums = tiles::interleave(pair);
        for along in 0..blocks {
            let mut tile = [[0f32; E]; 32];
            for (values, word) in tile.iter_mut().zip(&a[2 * along + down]) {
                for (e, a) in values.iter_mut().enumerate() {
                    *a = value(*word, e);
                }
            }
            let b = &b_tile[4 * E * along..][..4 * E];
            tiles::eight_rows(tile.as_flattened(), b, &mut sums);
        }
        tiles::separate(&sums, pair);
    }
}
