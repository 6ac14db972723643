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

/// A product and its block: at most `$most` rows (fewer: `$fewer`) by two vectors of `$width` columns, as the
/// registers of an instruction set hold.
#[cfg(target_arch = "x86_64")]
macro_rules! products {
    (
        $product:ident, $block:ident, $features:literal, $width:literal, $most:literal, [$($fewer:literal)*],
        $zero:ident, $load:ident, $store:ident, $splat:ident, $multiply_add:ident
    ) => {
        #[target_feature(enable = $features)]
        unsafe fn $product(
            rows: usize,
            depth: usize,
            a: Left<'_>,
            b: &[f32],
            out: &mut [f32],
            stride: usize,
            accumulate: bool,
        ) {
            for row in (0..rows).step_by($most) {
                let a = Left {
                    data: &a.data[row * a.row..],
                    ..a
                };
                for col in (0..LANES).step_by(2 * $width) {
                    let (b, out) = (&b[col..], &mut out[row * stride + col..]);
                    // SAFETY: the caller checked the lengths for all rows.
                    unsafe {
                        match rows - row {
                            $($fewer => $block::<$fewer>(depth, a, b, out, stride, accumulate),)*
                            _ => $block::<$most>(depth, a, b, out, stride, accumulate),
                        }
                    }
                }
            }
        }

        #[target_feature(enable = $features)]
        unsafe fn $block<const M: usize>(
            depth: usize,
            left: Left<'_>,
            b: &[f32],
            out: &mut [f32],
            stride: usize,
            accumulate: bool,
        ) {
            let mut sums = [[$zero(); 2]; M];
            let (a, b, out) = (left.data.as_ptr(), b.as_ptr(), out.as_mut_ptr());
            // SAFETY: the caller checked the lengths for `M` rows.
            unsafe {
                if accumulate {
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let row = out.add(i * stride);
                        *sum = [$load(row), $load(row.add($width))];
                    }
                }
                for l in 0..depth {
                    let line = b.add(l * LANES);
                    let (b0, b1) = ($load(line), $load(line.add($width)));
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let x = $splat(*a.add(i * left.row + l * left.step));
                        sum[0] = $multiply_add(x, b0, sum[0]);
                        sum[1] = $multiply_add(x, b1, sum[1]);
                    }
                }
                for (i, sum) in sums.iter().enumerate() {
                    let row = out.add(i * stride);
                    $store(row, sum[0]);
                    $store(row.add($width), sum[1]);
                }
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
products!(
    product_avx512, block_avx512, "avx512f", 16, 12, [1 2 3 4 5 6 7 8 9 10 11],
    _mm512_setzero_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_fmadd_ps
);
#[cfg(target_arch = "x86_64")]
products!(
    product_avx2, block_avx2, "avx2,fma", 8, 6, [1 2 3 4 5],
    _mm256_setzero_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_fmadd_ps
);

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
