//! Register fragments of `wgmma.mma_async` (ISA, "Register Fragments" of
//! "Asynchronous Warpgroup Level Matrix Multiply-Accumulate Operation").
//!
//! A warpgroup of 128 threads holds 64 rows; each warp has 16 of them, laid out as in
//! `mma.m16n8`: A as `m16n8k16` (k8, k32, k256), D as blocks of `m16n8` side by side.

use super::fragment::{self, Position, Shape};

/// Row and column of element `i` of A in registers, of `thread` 0 to 127 in the warpgroup.
#[inline(always)]
pub fn a(per_register: usize, thread: usize, i: usize) -> Position {
    let shape = Shape::new(16, 8, 8 * per_register);
    let (row, column) = fragment::a(shape, per_register, thread % 32, i);
    (row + 16 * (thread / 32), column)
}

/// Row and column of element `i` of D, of `thread` 0 to 127 in the warpgroup.
///
/// Elements 4j to 4j + 3 are the block of columns 8j to 8j + 7; packed `.f16` counts the same.
#[inline(always)]
pub fn d(thread: usize, i: usize) -> Position {
    let (row, column) = fragment::c(thread % 32, i % 4);
    (row + 16 * (thread / 32), column + 8 * (i / 4))
}
