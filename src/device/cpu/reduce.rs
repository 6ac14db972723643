//! Reductions over one row: maximum, sum of exponentials, squares, dot product.
//!
//! A block of terms is written to the stack and folded by halves. Both are plain loops over arrays,
//! which the compiler vectorises for every instruction set (an iterator's `sum` or `fold` may stay a
//! function of its own, compiled for the lowest), and the order of the additions is fixed,
//! so all instruction sets and any number of threads give the same bits.

use super::math::exp;
use crate::per_isa;

/// Elements of a block. Sums run in f32 within a block (by halves: 10 roundings) and in f64 across.
pub const BLOCK: usize = 1024;

/// Folds the first `len` terms, all behind them neutral, by halves.
#[inline(always)]
fn fold<T: Copy>(terms: &mut [T; BLOCK], len: usize, f: impl Fn(T, T) -> T) -> T {
    let mut half = len.next_power_of_two() / 2;
    while half > 0 {
        let (front, back) = terms.split_at_mut(half);
        for (a, &b) in front.iter_mut().zip(&back[..half]) {
            *a = f(*a, b);
        }
        half /= 2;
    }
    terms[0]
}

/// The sum of the first `len` terms, where all behind them are 0.
#[inline(always)]
pub fn sum_terms(terms: &mut [f32; BLOCK], len: usize) -> f64 {
    fold(terms, len, |a, b| a + b).into()
}

/// `Σ f(x)` of at most [`BLOCK`] elements.
#[inline(always)]
pub fn sum_block(x: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut terms = [0.0; BLOCK];
    for (term, &v) in terms.iter_mut().zip(x) {
        *term = f(v);
    }
    sum_terms(&mut terms, x.len())
}

/// Partial sums of [`sum_of`] and [`dot_lanes`].
const LANES: usize = 32;

/// The sum of partial sums, by halves.
#[inline(always)]
pub fn sum_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// `Σ f(j)` for `j` below `len`, in f32: 32 partial sums.
#[inline(always)]
pub fn sum_of(len: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let whole = len / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane += f(start + i);
        }
    }
    for (lane, j) in lanes.iter_mut().zip(whole..len) {
        *lane += f(j);
    }
    sum_lanes(lanes)
}

/// `Σ a·b` in f32: 32 partial sums, for rows of a few thousand elements.
#[inline(always)]
pub fn dot_lanes(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (mut a, mut b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (a, b) in a.by_ref().zip(b.by_ref()) {
        for i in 0..LANES {
            lanes[i] += a[i] * b[i];
        }
    }
    for ((lane, a), b) in lanes.iter_mut().zip(a.remainder()).zip(b.remainder()) {
        *lane += a * b;
    }
    sum_lanes(lanes)
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

per_isa! {
    /// The largest element; −∞ for an empty row. NaNs are passed over.
    pub fn max(x: &[f32]) -> f32 {
        let mut max = f32::NEG_INFINITY;
        for block in x.chunks(BLOCK) {
            let mut terms = [f32::NEG_INFINITY; BLOCK];
            for (term, &v) in terms.iter_mut().zip(block) {
                *term = larger(*term, v);
            }
            max = larger(max, fold(&mut terms, block.len(), larger));
        }
        max
    }
}

per_isa! {
    /// `Σ exp(x − shift)`.
    pub fn sum_exp(x: &[f32], shift: f32) -> f64 {
        let mut sum = 0.0;
        for block in x.chunks(BLOCK) {
            sum += sum_block(block, |v| exp(v - shift));
        }
        sum
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
    /// `Σ a·b` over rows of one length, in f64 throughout, so that finite rows do not overflow.
    pub fn dot(a: &[f32], b: &[f32]) -> f64 {
        let mut sum = 0.0;
        for (a, b) in a.chunks(BLOCK).zip(b.chunks(BLOCK)) {
            let mut terms = [0.0; BLOCK];
            for ((term, &x), &y) in terms.iter_mut().zip(a).zip(b) {
                *term = f64::from(x) * f64::from(y);
            }
            sum += fold(&mut terms, a.len(), |x, y| x + y);
        }
        sum
    }
}

per_isa! {
    /// Number of elements above `limit`.
    pub fn count_above(x: &[f32], limit: f32) -> u32 {
        let mut count = 0;
        for &v in x {
            count += u32::from(v > limit);
        }
        count
    }
}

per_isa! {
    /// Whether an element lies in `low..high`.
    pub fn any_between(x: &[f32], low: f32, high: f32) -> bool {
        let mut any = false;
        for &v in x {
            any |= (low <= v) & (v < high);
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::Isa;

    #[test]
    fn any_length_on_any_instruction_set() {
        for len in [0, 1, 2, 3, 31, 33, 1000, 1023, 1024, 1025, 5000] {
            let x: Vec<f32> = (0..len).map(|i| ((i * 37) % 101) as f32 - 120.0).collect();
            let squares: f64 = x.iter().map(|v| f64::from(v * v)).sum();
            let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let exps: f64 = x.iter().map(|v| f64::from(v + 60.0).exp()).sum();
            for isa in Isa::ALL.into_iter().filter(|i| i.available()) {
                assert_eq!(dot(isa, &x, &x), squares);
                assert_eq!(max(isa, &x), largest);
                assert!((sum_exp(isa, &x, -60.0) - exps).abs() <= 1e-6 * exps);
                let above = x.iter().filter(|v| **v > -50.0).count();
                assert_eq!(count_above(isa, &x, -50.0) as usize, above);
                assert_eq!(any_between(isa, &x, -120.0, -119.0), len > 0);
                assert!(!any_between(isa, &x, 0.0, f32::INFINITY));
            }
        }
    }
}
