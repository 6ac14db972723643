//! `mma` of 8-bit, 4-bit and single-bit integers, with accumulators of `.s32`.

use super::super::element::Element;
use super::super::fragment::Shape;
use super::tiles::transposed;
use crate::numeric::isa::per_isa;

/// `mma.sync` of `.s8`, `.u8`, `.s4`, `.u4`: shapes m8n8 and m16n8 with k of 16, 32 and 64.
///
/// The sum is exact; with `.satfinite` it is clamped to 32 bits at the end, otherwise it wraps.
///
/// # Panics
/// Where an operand has not the registers that its shape and type need.
#[inline]
pub fn mma_s32(
    shape: Shape,
    satfinite: bool,
    a_type: Element,
    b_type: Element,
    a: &[[u32; 32]],
    b: &[[u32; 32]],
    d: &mut [[u32; 32]],
) {
    assert!(a_type.bits() == b_type.bits(), "{a_type:?} with {b_type:?}");
    assert!(
        matches!((shape.m, shape.n), (8 | 16, 8)),
        "no mma of integers has {shape:?}"
    );
    match (a_type.bits(), shape.k) {
        (8, 16) => bytes16(shape, satfinite, a_type, b_type, a, b, d),
        (8, 32) => bytes32(shape, satfinite, a_type, b_type, a, b, d),
        (4, 32) => nibbles32(shape, satfinite, a_type, b_type, a, b, d),
        (4, 64) => nibbles64(shape, satfinite, a_type, b_type, a, b, d),
        _ => panic!("no mma of {a_type:?} has the shape {shape:?}"),
    }
}

type Registers<'a> = &'a [[u32; 32]];
type Accumulators<'a> = &'a mut [[u32; 32]];

macro_rules! compiled {
    ($name:ident, $k:literal, $e:literal) => {
        per_isa! {
            narrow fn $name(
                shape: Shape,
                satfinite: bool,
                a_type: Element,
                b_type: Element,
                a: Registers<'_>,
                b: Registers<'_>,
                d: Accumulators<'_>,
            ) {
                multiply::<$k, $e>(shape, satfinite, a_type, b_type, a, b, d)
            }
        }
    };
}
compiled!(bytes16, 16, 4);
compiled!(bytes32, 32, 4);
compiled!(nibbles32, 32, 8);
compiled!(nibbles64, 64, 8);

/// Element `e` of a word of `E`; `sign` is the weight of the sign bit of signed types, else 0.
#[inline(always)]
fn value<const E: usize>(sign: i32, word: u32, e: usize) -> i32 {
    let bits = 32 / E;
    let code = (word >> (bits * e)) as i32 & ((1 << bits) - 1);
    // Without a branch: codes from the sign's weight on wrap around to below zero.
    (code ^ sign) - sign
}

/// See [`value`].
#[inline(always)]
fn sign(element: Element) -> i32 {
    match element {
        Element::S8 => 0x80,
        Element::S4 => 0x8,
        _ => 0,
    }
}

#[inline(always)]
fn multiply<const K: usize, const E: usize>(
    shape: Shape,
    satfinite: bool,
    a_type: Element,
    b_type: Element,
    a: Registers<'_>,
    b: Registers<'_>,
    d: Accumulators<'_>,
) {
    let (rows, blocks) = (shape.m / 8, K / (4 * E));
    assert!(a.len() == rows * blocks && b.len() == blocks && d.len() == 2 * rows);
    let (a_sign, b_sign) = (sign(a_type), sign(b_type));
    let mut b_tile = [[0i32; 8]; K];
    for (along, register) in b.iter().enumerate() {
        for (rank, words) in transposed(register).iter().enumerate() {
            for e in 0..E {
                for (b, word) in b_tile[(4 * along + rank) * E + e].iter_mut().zip(words) {
                    *b = value::<E>(b_sign, *word, e);
                }
            }
        }
    }
    for (down, pair) in d.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        for row in 0..8 {
            let mut tile = [0i32; K];
            for along in 0..blocks {
                let words = &a[along * rows + down][4 * row..][..4];
                for (values, word) in tile[4 * E * along..].chunks_exact_mut(E).zip(words) {
                    for (e, a) in values.iter_mut().enumerate() {
                        *a = value::<E>(a_sign, *word, e);
                    }
                }
            }
            let sums = row_of_products(&tile, &b_tile);
            for (column, sum) in sums.into_iter().enumerate() {
                let c = &mut pair[column % 2][4 * row + column / 2];
                let (wrapped, clamped) = (
                    (*c as i32).wrapping_add(sum),
                    (*c as i32).saturating_add(sum),
                );
                *c = if satfinite { clamped } else { wrapped } as u32;
            }
        }
    }
}

/// A row of A times B.
#[inline(always)]
fn row_of_products<const K: usize>(a: &[i32; K], b: &[[i32; 8]; K]) -> [i32; 8] {
    let mut sums = [0; 8];
    for (a, b) in a.iter().zip(b) {
        for (sum, b) in sums.iter_mut().zip(b) {
            *sum += a * b;
        }
    }
    sums
}

/// `.bitOp` of `mma` with `.b1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BitOperation {
    /// `.xor.popc`.
    Xor,
    /// `.and.popc`.
    And,
}

/// `mma.sync` of `.b1`: shapes m8n8k128, m16n8k128 and m16n8k256. Adds the ones that remain of rows
/// of A combined with columns of B.
///
/// # Panics
/// Where an operand has not the registers that its shape needs.
pub fn mma_b1(
    shape: Shape,
    operation: BitOperation,
    a: &[[u32; 32]],
    b: &[[u32; 32]],
    d: &mut [[u32; 32]],
) {
    let down = shape.m / 8;
    let blocks = shape.k / 128;
    assert!(a.len() == down * blocks && b.len() == blocks && d.len() == 2 * down);
    for (row, column) in (0..shape.m).flat_map(|row| (0..8).map(move |column| (row, column))) {
        let mut ones = 0;
        for along in 0..blocks {
            for rank in 0..4 {
                let a = a[along * down + row / 8][row % 8 * 4 + rank];
                let b = b[along][column * 4 + rank];
                ones += match operation {
                    BitOperation::Xor => a ^ b,
                    BitOperation::And => a & b,
                }
                .count_ones();
            }
        }
        let c = &mut d[row / 8 * 2 + column % 2][row % 8 * 4 + column / 2];
        *c = c.wrapping_add(ones);
    }
}
