//! The `.approx` instructions, within the error bounds of the PTX ISA.
//!
//! Everything is computed in f64 by polynomials of this crate and rounded once, so that results are
//! nearly always the nearest single, the same on every host, and loops over lanes vectorise.
//! On hardware the last bits differ: a kernel must not rely on them.

mod divide;
mod exponential;
mod logarithm;
mod tanh;
mod trigonometric;

pub use divide::{div, div_full, rcp, rcp_f64, rsqrt, rsqrt_f64, rsqrt_gross_f64, sqrt};
pub use exponential::{ex2, ex2_bf16, ex2_f16};
pub use logarithm::lg2;
pub use tanh::{tanh, tanh_half};
pub use trigonometric::{cos, sin};

/// `Σ coefficients[i] · x^i`.
#[inline(always)]
fn polynomial<const N: usize>(coefficients: [f64; N], x: f64) -> f64 {
    coefficients
        .into_iter()
        .rev()
        .fold(0.0, |sum, c| sum * x + c)
}

/// `x` rounded to an integer, to nearest even, for |x| below 2^51: without the library call that
/// `f64::round_ties_even` is where the processor lacks the instruction.
#[inline(always)]
fn nearest(x: f64) -> f64 {
    const SHIFT: f64 = 1.5 * (1u64 << 52) as f64;
    (x + SHIFT) - SHIFT
}
