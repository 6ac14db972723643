//! Reductions over one row: maximum, sum of exponentials, squares, dot product.
//!
//! Rust does not reorder float additions, so sums are kept in a fixed number of lanes, which the
//! compiler maps to vector registers. Lanes and blocks are the same for every instruction set, and so
//! are the results.

use super::math::exp;
use crate::per_isa;

/// Partial results kept side by side: two AVX-512 or four AVX2 registers of f32.
const LANES: usize = 32;
/// Elements summed in f32 before the sum moves on in f64.
pub const BLOCK: usize = 1024;

/// `Σ f(x)` of at most [`BLOCK`] elements.
///
/// Elementwise work and summation are loops of their own, as the compiler vectorises either alone.
#[inline(always)]
pub fn sum_block(x: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut terms = [0.0f32; BLOCK];
    for (term, &v) in terms.iter_mut().zip(x) {
        *term = f(v);
    }
    sum_terms(&terms, x.len())
}

/// The sum of the first `len` terms, where all behind them are 0.
#[inline(always)]
pub fn sum_terms(terms: &[f32; BLOCK], len: usize) -> f64 {
    let mut lanes = [0.0f32; LANES];
    for chunk in terms[..len.next_multiple_of(LANES)].chunks_exact(LANES) {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane += v;
        }
    }
    fold(lanes, |a, b| a + b).into()
}

/// Lanes to one value, by halves.
#[inline(always)]
fn fold<T: Copy, const N: usize>(mut lanes: [T; N], f: impl Fn(T, T) -> T) -> T {
    let mut half = N / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = f(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// The largest of `N` elements, a power of 2.
#[inline(always)]
pub fn max_of<const N: usize>(x: &[f32; N]) -> f32 {
    fold(*x, larger)
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

per_isa! {
    /// The largest element; −∞ for an empty row. NaNs are passed over.
    pub fn max(x: &[f32]) -> f32 {
        let mut lanes = [f32::NEG_INFINITY; 2 * LANES];
        let mut chunks = x.chunks_exact(2 * LANES);
        for chunk in &mut chunks {
            for (lane, &v) in lanes.iter_mut().zip(chunk) {
                *lane = larger(*lane, v);
            }
        }
        for (lane, &v) in lanes.iter_mut().zip(chunks.remainder()) {
            *lane = larger(*lane, v);
        }
        fold(lanes, larger)
    }
}

per_isa! {
    /// `Σ exp(x − shift)`.
    pub fn sum_exp(x: &[f32], shift: f32) -> f64 {
        x.chunks(BLOCK).map(|block| sum_block(block, |v| exp(v - shift))).sum()
    }
}

per_isa! {
    /// `x ← factor · exp(x − shift)`.
    pub fn exp_scaled(x: &mut [f32], shift: f32, factor: f32) {
        for v in x {
            *v = factor * exp(*v - shift);
        }
    }
}

per_isa! {
    /// `Σ x²`, in f64 throughout, so that no finite row overflows.
    pub fn sum_of_squares(x: &[f32]) -> f64 {
        let mut lanes = [0.0f64; LANES];
        let mut chunks = x.chunks_exact(LANES);
        for chunk in &mut chunks {
            for (lane, &v) in lanes.iter_mut().zip(chunk) {
                *lane += f64::from(v) * f64::from(v);
            }
        }
        for (lane, &v) in lanes.iter_mut().zip(chunks.remainder()) {
            *lane += f64::from(v) * f64::from(v);
        }
        fold(lanes, |a, b| a + b)
    }
}

per_isa! {
    /// `Σ a·b` over rows of one length, in f64.
    pub fn dot(a: &[f32], b: &[f32]) -> f64 {
        let mut lanes = [0.0f64; LANES];
        let (mut left, mut right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        for (x, y) in (&mut left).zip(&mut right) {
            for ((lane, &x), &y) in lanes.iter_mut().zip(x).zip(y) {
                *lane += f64::from(x) * f64::from(y);
            }
        }
        for ((lane, &x), &y) in lanes.iter_mut().zip(left.remainder()).zip(right.remainder()) {
            *lane += f64::from(x) * f64::from(y);
        }
        fold(lanes, |a, b| a + b)
    }
}

per_isa! {
    /// Number of elements above `limit`.
    pub fn count_above(x: &[f32], limit: f32) -> u32 {
        x.iter().map(|&v| u32::from(v > limit)).sum()
    }
}
