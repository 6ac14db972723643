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
const BLOCK: usize = 1024;

#[inline(always)]
fn sum_blocks(x: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut total = 0.0;
    for block in x.chunks(BLOCK) {
        let mut lanes = [0.0f32; LANES];
        let mut chunks = block.chunks_exact(LANES);
        for chunk in &mut chunks {
            for (lane, &v) in lanes.iter_mut().zip(chunk) {
                *lane += f(v);
            }
        }
        for (lane, &v) in lanes.iter_mut().zip(chunks.remainder()) {
            *lane += f(v);
        }
        total += lanes.iter().map(|&v| f64::from(v)).sum::<f64>();
    }
    total
}

per_isa! {
    /// The largest element; −∞ for an empty row. NaNs are passed over.
    pub fn max(x: &[f32]) -> f32 {
        let mut lanes = [f32::NEG_INFINITY; 2 * LANES];
        let mut chunks = x.chunks_exact(2 * LANES);
        for chunk in &mut chunks {
            for (lane, &v) in lanes.iter_mut().zip(chunk) {
                *lane = if v > *lane { v } else { *lane };
            }
        }
        for (lane, &v) in lanes.iter_mut().zip(chunks.remainder()) {
            *lane = if v > *lane { v } else { *lane };
        }
        lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
}

per_isa! {
    /// `Σ exp(x − shift)`.
    pub fn sum_exp(x: &[f32], shift: f32) -> f64 {
        sum_blocks(x, |v| exp(v - shift))
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
        lanes.into_iter().sum()
    }
}

per_isa! {
    /// `Σ a·b` over rows of one length.
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
        lanes.into_iter().sum()
    }
}

per_isa! {
    /// Number of elements above `limit`.
    pub fn count_above(x: &[f32], limit: f32) -> u32 {
        x.iter().map(|&v| u32::from(v > limit)).sum()
    }
}
