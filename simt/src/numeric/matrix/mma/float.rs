//! Floating-point `mma` of the shapes m16n8 and, for f64, m8n8.
//!
//! Fragments are unpacked to f32 tiles on the stack, which vectors then multiply
//! ([`product`](super::super::product) says in which order).

use super::super::element::Element;
use super::super::fragment::{self, Shape};
use super::super::product;
use crate::numeric::double;
use crate::numeric::half::Half;
use crate::numeric::isa::per_isa;
use crate::numeric::rounding::Rounding;
use crate::numeric::single::canonical;

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
    let half = |register: u32, i: usize| Half::F16.to_f32((register >> (16 * i)) as u16).to_bits();
    let mut wide = [0, 1, 2, 3].map(|i: usize| d[i / 2].map(|register| half(register, i % 2)));
    mma_f32(shape, a_type, b_type, a, b, &mut wide);
    for (i, d) in d.iter_mut().enumerate() {
        *d = std::array::from_fn(|lane| {
            let code = |j: usize| Half::F16.from_f32(f32::from_bits(wide[2 * i + j][lane]));
            u32::from(code(1)) << 16 | u32::from(code(0))
        });
    }
}

type Registers<'a> = &'a [[u32; 32]];

per_isa! {
    fn k4(a_type: Element, b_type: Element, a: Registers<'_>, b: Registers<'_>, d: &mut [[u32; 32]; 4]) {
        multiply::<4>(a_type, b_type, a, b, d)
    }
}
per_isa! {
    fn k8(a_type: Element, b_type: Element, a: Registers<'_>, b: Registers<'_>, d: &mut [[u32; 32]; 4]) {
        multiply::<8>(a_type, b_type, a, b, d)
    }
}
per_isa! {
    fn k16(a_type: Element, b_type: Element, a: Registers<'_>, b: Registers<'_>, d: &mut [[u32; 32]; 4]) {
        multiply::<16>(a_type, b_type, a, b, d)
    }
}
per_isa! {
    fn k32(a_type: Element, b_type: Element, a: Registers<'_>, b: Registers<'_>, d: &mut [[u32; 32]; 4]) {
        multiply::<32>(a_type, b_type, a, b, d)
    }
}

#[inline(always)]
fn multiply<const K: usize>(
    a_type: Element,
    b_type: Element,
    a: Registers<'_>,
    b: Registers<'_>,
    d: &mut [[u32; 32]; 4],
) {
    let a_tile = unpack_a::<K>(a_type, a);
    let b_tile = unpack_b::<K>(b_type, b);
    let mut d_tile = [[0f32; 8]; 16];
    // Pairs of a row, as `fragment::c` says, written so that it vectorises.
    for row in 0..16 {
        for rank in 0..4 {
            let (lane, i) = (row % 8 * 4 + rank, row / 8 * 2);
            d_tile[row][2 * rank] = f32::from_bits(d[i][lane]);
            d_tile[row][2 * rank + 1] = f32::from_bits(d[i + 1][lane]);
        }
    }
    product::block(0, &a_tile, &b_tile, &mut d_tile);
    product::block(8, &a_tile, &b_tile, &mut d_tile);
    for row in 0..16 {
        for rank in 0..4 {
            let (lane, i) = (row % 8 * 4 + rank, row / 8 * 2);
            d[i][lane] = canonical(d_tile[row][2 * rank]).to_bits();
            d[i + 1][lane] = canonical(d_tile[row][2 * rank + 1]).to_bits();
        }
    }
}

/// Calls a function with the constant of a floating-point element type, so that its loops are
/// compiled for that type.
macro_rules! with_constant {
    ($element:expr, $function:ident::<$k:ident>($($arg:expr),*)) => {
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

#[inline(always)]
fn unpack_a<const K: usize>(element: Element, registers: Registers<'_>) -> [[f32; K]; 16] {
    with_constant!(element, fill_a::<K>(registers))
}

#[inline(always)]
fn unpack_b<const K: usize>(element: Element, registers: Registers<'_>) -> [[f32; 8]; K] {
    with_constant!(element, fill_b::<K>(registers))
}

/// `fragment::a` written as loops over runs of `4 · E` adjacent columns.
#[inline(always)]
fn fill_a<const K: usize, const E: usize>(
    registers: Registers<'_>,
    value: impl Fn(u32, usize) -> f32,
) -> [[f32; K]; 16] {
    let blocks = K / (4 * E);
    assert!(
        registers.len() == 2 * blocks,
        "{} registers of A",
        registers.len()
    );
    let mut tile = [[0f32; K]; 16];
    for along in 0..blocks {
        for row in 0..16 {
            let register = &registers[2 * along + row / 8];
            for rank in 0..4 {
                for e in 0..E {
                    tile[row][(4 * along + rank) * E + e] = value(register[row % 8 * 4 + rank], e);
                }
            }
        }
    }
    tile
}

/// `fragment::b` written as loops over rows of 8 columns.
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
        for rank in 0..4 {
            let words: [u32; 8] = std::array::from_fn(|column| register[4 * column + rank]);
            for e in 0..E {
                tile[(4 * along + rank) * E + e] = words.map(|word| value(word, e));
            }
        }
    }
    tile
}

/// `mma.sync` of `.f64`, m8n8k4 and m16n8k4, k8, k16: one fused multiply-add for each k, ascending,
/// in the given rounding.
///
/// # Panics
/// Where an operand has not the registers that its shape needs.
pub fn mma_f64(
    shape: Shape,
    rounding: Rounding,
    a: &[[u64; 32]],
    b: &[[u64; 32]],
    d: &mut [[u64; 32]],
) {
    assert!(
        shape.m <= 16 && shape.n == 8 && shape.k <= 16,
        "no mma of f64 has {shape:?}"
    );
    let (mut a_tile, mut b_tile) = ([[0f64; 16]; 16], [[0f64; 8]; 16]);
    for lane in 0..32 {
        for (i, register) in a[..shape.a_registers(1)].iter().enumerate() {
            let (row, k) = fragment::a(shape, 1, lane, i);
            a_tile[row][k] = f64::from_bits(register[lane]);
        }
        for (i, register) in b[..shape.b_registers(1)].iter().enumerate() {
            let (k, column) = fragment::b(1, lane, i);
            b_tile[k][column] = f64::from_bits(register[lane]);
        }
    }
    for (i, register) in d[..shape.c_elements()].iter_mut().enumerate() {
        for (lane, d) in register.iter_mut().enumerate() {
            let (row, column) = fragment::c(lane, i);
            let products = a_tile[row].iter().zip(&b_tile).take(shape.k);
            let sum = products.fold(f64::from_bits(*d), |sum, (a, b)| {
                double::fma(rounding, *a, b[column], sum)
            });
            *d = sum.to_bits();
        }
    }
}
