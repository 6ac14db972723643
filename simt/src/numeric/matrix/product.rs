//! The product under `mma` and `wgmma`: plain matrices of f32.
//!
//! Order of the sum: from C on, k ascending, one fused multiply-add in f32 each. Products of elements
//! of at most 11 significant bits are exact in it. Hardware sums in groups whose order and rounding the
//! ISA leaves open ("accumulation … with at least single precision"); this order is the simplest that
//! is as precise, and it does not depend on the host or on the instruction's shape.

use crate::numeric::isa::per_isa;

/// Rows and columns of D held in vectors while k runs.
const ROWS: usize = 8;
const COLUMNS: usize = 8;

per_isa! {
    /// `d += a · b` with `a` of `m × k`, `b` of `k × n` and `d` of `m × n`, all by rows.
    ///
    /// # Panics
    /// Where a slice is shorter than its matrix, or `m` or `n` no multiple of 8.
    pub fn accumulate(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], d: &mut [f32]) {
        let whole = m.is_multiple_of(ROWS) && n.is_multiple_of(COLUMNS);
        assert!(whole, "{m} × {n} is not made of 8 × 8 blocks");
        for j in (0..n).step_by(COLUMNS) {
            for i in (0..m).step_by(ROWS) {
                let mut sums = [[0f32; COLUMNS]; ROWS];
                for (r, sums) in sums.iter_mut().enumerate() {
                    sums.copy_from_slice(&d[(i + r) * n + j..][..COLUMNS]);
                }
                for step in 0..k {
                    let b: &[f32; COLUMNS] = b[step * n + j..][..COLUMNS].try_into().expect("eight");
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let a = a[(i + r) * k + step];
                        for (sum, b) in sums.iter_mut().zip(b) {
                            *sum = a.mul_add(*b, *sum);
                        }
                    }
                }
                for (r, sums) in sums.iter().enumerate() {
                    d[(i + r) * n + j..][..COLUMNS].copy_from_slice(sums);
                }
            }
        }
    }
}

per_isa! { narrow
    /// `d += a · b` of eight rows and eight columns by rows, in the order of [`accumulate`].
    pub fn accumulate_block(a: &[[f32; 16]; 8], b: &[[f32; 8]; 16], d: &mut [f32; 64]) {
        let mut sums = [[0f32; COLUMNS]; ROWS];
        for (sums, d) in sums.iter_mut().zip(d.chunks_exact(COLUMNS)) {
            sums.copy_from_slice(d);
        }
        for (step, b) in b.iter().enumerate() {
            for (sums, a) in sums.iter_mut().zip(a) {
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = a[step].mul_add(*b, *sum);
                }
            }
        }
        for (sums, d) in sums.iter().zip(d.chunks_exact_mut(COLUMNS)) {
            d.copy_from_slice(sums);
        }
    }
}
