//! `mma.m8n8k4` of `.f16`: four products of 8 × 8 × 4 by one warp.

use super::super::fragment::{Layout, Position, quad};
use crate::numeric::half::Half;
use crate::numeric::single::canonical;

/// Type of C or of D.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Accumulator {
    /// `.f16`: four registers of pairs.
    F16,
    /// `.f32`: eight registers.
    F32,
}

impl Accumulator {
    fn position(self, lane: usize, i: usize) -> Position {
        match self {
            Accumulator::F16 => quad::c_f16(lane, i),
            Accumulator::F32 => quad::c_f32(lane, i),
        }
    }
}

/// `mma.sync.aligned.m8n8k4.alayout.blayout.dtype.f16.f16.ctype`. Sums as the other shapes do: from C
/// on, k ascending, fused in f32, rounded to `.f16` at the end.
///
/// # Panics
/// Where `c` or `d` has fewer registers than its type needs.
#[allow(clippy::too_many_arguments)]
pub fn mma_quad(
    a_layout: Layout,
    b_layout: Layout,
    a: &[[u32; 32]; 2],
    b: &[[u32; 32]; 2],
    c_type: Accumulator,
    c: &[[u32; 32]],
    d_type: Accumulator,
    d: &mut [[u32; 32]],
) {
    let half = |registers: &[[u32; 32]], lane: usize, i: usize| {
        Half::F16.to_f32((registers[i / 2][lane] >> (16 * (i % 2))) as u16)
    };
    let mut a_tiles = [[[0f32; 4]; 8]; 4];
    let mut b_tiles = [[[0f32; 8]; 4]; 4];
    let mut d_tiles = [[[0f32; 8]; 8]; 4];
    for lane in 0..32 {
        let product = quad::product(lane);
        for i in 0..4 {
            let (row, k) = quad::a(a_layout, lane, i);
            a_tiles[product][row][k] = half(a, lane, i);
            let (k, column) = quad::b(b_layout, lane, i);
            b_tiles[product][k][column] = half(b, lane, i);
        }
        for i in 0..8 {
            let (row, column) = c_type.position(lane, i);
            d_tiles[product][row][column] = match c_type {
                Accumulator::F16 => half(c, lane, i),
                Accumulator::F32 => f32::from_bits(c[i][lane]),
            };
        }
    }
    for ((a, b), d) in a_tiles.iter().zip(&b_tiles).zip(&mut d_tiles) {
        for (a, d) in a.iter().zip(d) {
            for (a, b) in a.iter().zip(b) {
                for (b, d) in b.iter().zip(d.iter_mut()) {
                    *d = a.mul_add(*b, *d);
                }
            }
        }
    }
    for lane in 0..32 {
        let value = |i: usize| {
            let (row, column) = d_type.position(lane, i);
            d_tiles[quad::product(lane)][row][column]
        };
        match d_type {
            Accumulator::F32 => {
                (0..8).for_each(|i| d[i][lane] = canonical(value(i)).to_bits());
            }
            Accumulator::F16 => (0..4).for_each(|i| {
                let [low, high] = [2 * i, 2 * i + 1].map(|i| Half::F16.from_f32(value(i)));
                d[i][lane] = u32::from(high) << 16 | u32::from(low);
            }),
        }
    }
}
