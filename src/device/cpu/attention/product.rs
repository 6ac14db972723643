//! Small products in the first-level cache.

use super::tiles::LANES;
use crate::device::cpu::Isa;
use crate::per_isa;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// A small left factor: element `(i, l)` is `data[i * row + l * step]`.
#[derive(Clone, Copy)]
pub struct Left<'a> {
    pub data: &'a [f32],
    pub row: usize,
    pub step: usize,
}

/// `out[rows][LANES] (+)= a[rows][depth] · b[depth][LANES]`, rows of `out` `stride` apart. Every
/// element is one chain of multiply-adds in the order of depth.
#[allow(clippy::too_many_arguments)]
pub fn product(
    isa: Isa,
    rows: usize,
    depth: usize,
    a: Left<'_>,
    b: &[f32],
    out: &mut [f32],
    stride: usize,
    accumulate: bool,
) {
    if rows == 0 {
        return;
    }
    let a_needed = if depth == 0 {
        0
    } else {
        (rows - 1) * a.row + (depth - 1) * a.step + 1
    };
    assert!(a.data.len() >= a_needed && b.len() >= depth * LANES);
    assert!(out.len() >= (rows - 1) * stride + LANES);
    #[cfg(target_arch = "x86_64")]
    if isa >= Isa::Avx512 {
        // SAFETY: lengths are checked, and the `Isa` is only made where the processor has it.
        unsafe { product_avx512(rows, depth, a, b, out, stride, accumulate) };
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if isa == Isa::Avx2 {
        // SAFETY: as above.
        unsafe { product_avx2(rows, depth, a, b, out, stride, accumulate) };
        return;
    }
    product_plain(isa, rows, depth, a, b, out, stride, accumulate);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn product_avx512(
    rows: usize,
    depth: usize,
    a: Left<'_>,
    b: &[f32],
    out: &mut [f32],
    stride: usize,
    accumulate: bool,
) {
    const BLOCK: usize = 12;
    let mut row = 0;
    while row < rows {
        let (from, to) = (&a.data[row * a.row..], &mut out[row * stride..]);
        // SAFETY: the caller checked the lengths for all rows.
        unsafe {
            match (rows - row).min(BLOCK) {
                1 => block::<1>(depth, from, a.row, a.step, b, to, stride, accumulate),
                2 => block::<2>(depth, from, a.row, a.step, b, to, stride, accumulate),
                3 => block::<3>(depth, from, a.row, a.step, b, to, stride, accumulate),
                4 => block::<4>(depth, from, a.row, a.step, b, to, stride, accumulate),
                5 => block::<5>(depth, from, a.row, a.step, b, to, stride, accumulate),
                6 => block::<6>(depth, from, a.row, a.step, b, to, stride, accumulate),
                7 => block::<7>(depth, from, a.row, a.step, b, to, stride, accumulate),
                8 => block::<8>(depth, from, a.row, a.step, b, to, stride, accumulate),
                9 => block::<9>(depth, from, a.row, a.step, b, to, stride, accumulate),
                10 => block::<10>(depth, from, a.row, a.step, b, to, stride, accumulate),
                11 => block::<11>(depth, from, a.row, a.step, b, to, stride, accumulate),
                _ => block::<12>(depth, from, a.row, a.step, b, to, stride, accumulate),
            }
        }
        row += BLOCK;
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[allow(clippy::too_many_arguments)]
unsafe fn block<const M: usize>(
    depth: usize,
    a: &[f32],
    a_row: usize,
    a_step: usize,
    b: &[f32],
    out: &mut [f32],
    stride: usize,
    accumulate: bool,
) {
    let mut sums = [[_mm512_setzero_ps(); 2]; M];
    let (a, b, out) = (a.as_ptr(), b.as_ptr(), out.as_mut_ptr());
    // SAFETY: the caller checked the lengths for `M` rows.
    unsafe {
        if accumulate {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = [
                    _mm512_loadu_ps(out.add(i * stride)),
                    _mm512_loadu_ps(out.add(i * stride + 16)),
                ];
            }
        }
        for l in 0..depth {
            let b0 = _mm512_loadu_ps(b.add(l * LANES));
            let b1 = _mm512_loadu_ps(b.add(l * LANES + 16));
            for (i, sum) in sums.iter_mut().enumerate() {
                let x = _mm512_set1_ps(*a.add(i * a_row + l * a_step));
                sum[0] = _mm512_fmadd_ps(x, b0, sum[0]);
                sum[1] = _mm512_fmadd_ps(x, b1, sum[1]);
            }
        }
        for (i, sum) in sums.iter().enumerate() {
            _mm512_storeu_ps(out.add(i * stride), sum[0]);
            _mm512_storeu_ps(out.add(i * stride + 16), sum[1]);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn product_avx2(
    rows: usize,
    depth: usize,
    a: Left<'_>,
    b: &[f32],
    out: &mut [f32],
    stride: usize,
    accumulate: bool,
) {
    const BLOCK: usize = 6;
    for row in (0..rows).step_by(BLOCK) {
        for col in [0, LANES / 2] {
            let (a_data, b) = (&a.data[row * a.row..], &b[col..]);
            let out = &mut out[row * stride + col..];
            // SAFETY: the caller checked the lengths for all rows.
            unsafe {
                match (rows - row).min(BLOCK) {
                    1 => half::<1>(depth, a_data, a.row, a.step, b, out, stride, accumulate),
                    2 => half::<2>(depth, a_data, a.row, a.step, b, out, stride, accumulate),
                    3 => half::<3>(depth, a_data, a.row, a.step, b, out, stride, accumulate),
                    4 => half::<4>(depth, a_data, a.row, a.step, b, out, stride, accumulate),
                    5 => half::<5>(depth, a_data, a.row, a.step, b, out, stride, accumulate),
                    _ => half::<6>(depth, a_data, a.row, a.step, b, out, stride, accumulate),
                }
            }
        }
    }
}

/// `M` rows by half a panel: sixteen registers hold 6 × 16 sums.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[allow(clippy::too_many_arguments)]
unsafe fn half<const M: usize>(
    depth: usize,
    a: &[f32],
    a_row: usize,
    a_step: usize,
    b: &[f32],
    out: &mut [f32],
    stride: usize,
    accumulate: bool,
) {
    let mut sums = [[_mm256_setzero_ps(); 2]; M];
    let (a, b, out) = (a.as_ptr(), b.as_ptr(), out.as_mut_ptr());
    // SAFETY: the caller checked the lengths for `M` rows.
    unsafe {
        if accumulate {
            for (i, sum) in sums.iter_mut().enumerate() {
                let row = out.add(i * stride);
                *sum = [_mm256_loadu_ps(row), _mm256_loadu_ps(row.add(8))];
            }
        }
        for l in 0..depth {
            let line = b.add(l * LANES);
            let (b0, b1) = (_mm256_loadu_ps(line), _mm256_loadu_ps(line.add(8)));
            for (i, sum) in sums.iter_mut().enumerate() {
                let x = _mm256_set1_ps(*a.add(i * a_row + l * a_step));
                sum[0] = _mm256_fmadd_ps(x, b0, sum[0]);
                sum[1] = _mm256_fmadd_ps(x, b1, sum[1]);
            }
        }
        for (i, sum) in sums.iter().enumerate() {
            _mm256_storeu_ps(out.add(i * stride), sum[0]);
            _mm256_storeu_ps(out.add(i * stride + 8), sum[1]);
        }
    }
}

per_isa! {
    /// The same product as the compiler vectorises it, two rows at a time.
    fn product_plain(
        rows: usize,
        depth: usize,
        a: Left<'_>,
        b: &[f32],
        out: &mut [f32],
        stride: usize,
        accumulate: bool,
    ) {
        let mut row = 0;
        while row < rows {
            let two = row + 1 < rows;
            let mut sums = [[0.0f32; LANES]; 2];
            if accumulate {
                sums[0].copy_from_slice(&out[row * stride..][..LANES]);
                if two {
                    sums[1].copy_from_slice(&out[(row + 1) * stride..][..LANES]);
                }
            }
            let second = if two { row + 1 } else { row };
            for (l, b) in b.chunks_exact(LANES).take(depth).enumerate() {
                let x = a.data[row * a.row + l * a.step];
                let y = a.data[second * a.row + l * a.step];
                for j in 0..LANES {
                    sums[0][j] += x * b[j];
                    sums[1][j] += y * b[j];
                }
            }
            out[row * stride..][..LANES].copy_from_slice(&sums[0]);
            if two {
                out[(row + 1) * stride..][..LANES].copy_from_slice(&sums[1]);
            }
            row += 2;
        }
    }
}
