//! Numbers as the GPU computes them: pure functions of one lane, for matrices of a warp's registers.
//!
//! Written from the PTX ISA ("Parallel Thread Execution ISA", sections named in each file); nothing
//! here knows programs, memory or threads. Codes of 16 bits and less are integers: an f16 is a `u16`.
//! `.ftz` is [`single::flush`] on operands and result; order: operands flushed, computed, result
//! flushed, then `.sat`.

pub mod approx;
pub mod bits;
pub mod compare;
pub mod double;
pub mod format;
pub mod half;
pub mod integer;
mod isa;
pub mod matrix;
pub mod minmax;
pub mod narrow;
pub mod rounding;
pub mod single;

pub use rounding::{IntegerRounding, Rounding};
