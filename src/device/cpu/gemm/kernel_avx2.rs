//! Microkernels in AVX2: sixteen registers hold 6 × 16 sums, so a tile is four passes of 6 rows by half a
//! panel.

use super::{MR, NR, Tile};
use std::arch::x86_64::*;

macro_rules! passes {
    ($name:ident, $inner:ident) => {
        #[target_feature(enable = "avx2,fma")]
        pub unsafe fn $name(h: usize, depth: usize, a: &[f32], b: &[f32], tile: &mut Tile) {
            for row in (0..h).step_by(6) {
                for col in [0, 16] {
                    // SAFETY: the caller checked that panels hold `depth` lines.
                    unsafe {
                        match (h - row).min(6) {
                            1 => $inner::<1>(depth, &a[row..], &b[col..], tile, row, col),
                            2 => $inner::<2>(depth, &a[row..], &b[col..], tile, row, col),
                            3 => $inner::<3>(depth, &a[row..], &b[col..], tile, row, col),
                            4 => $inner::<4>(depth, &a[row..], &b[col..], tile, row, col),
                            5 => $inner::<5>(depth, &a[row..], &b[col..], tile, row, col),
                            _ => $inner::<6>(depth, &a[row..], &b[col..], tile, row, col),
                        }
                    }
                }
            }
        }
    };
}
passes!(f32, f32_pass);
passes!(widened, widened_pass);

#[target_feature(enable = "avx2,fma")]
fn store<const M: usize>(sums: &[[__m256; 2]; M], tile: &mut Tile, row: usize, col: usize) {
    for (i, sum) in sums.iter().enumerate() {
        let at = &mut tile.0[(row + i) * NR + col..][..16];
        // SAFETY: 16 floats are there.
        unsafe {
            _mm256_storeu_ps(at.as_mut_ptr(), sum[0]);
            _mm256_storeu_ps(at.as_mut_ptr().add(8), sum[1]);
        }
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn f32_pass<const M: usize>(
    depth: usize,
    a: &[f32],
    b: &[f32],
    tile: &mut Tile,
    row: usize,
    col: usize,
) {
    let mut sums = [[_mm256_setzero_ps(); 2]; M];
    let (a, b) = (a.as_ptr(), b.as_ptr());
    for l in 0..depth {
        // SAFETY: as for `passes`.
        unsafe {
            let b0 = _mm256_loadu_ps(b.add(l * NR));
            let b1 = _mm256_loadu_ps(b.add(l * NR + 8));
            for (i, sum) in sums.iter_mut().enumerate() {
                let x = _mm256_set1_ps(*a.add(l * MR + i));
                sum[0] = _mm256_fmadd_ps(x, b0, sum[0]);
                sum[1] = _mm256_fmadd_ps(x, b1, sum[1]);
            }
        }
    }
    store(&sums, tile, row, col);
}

#[target_feature(enable = "avx2,fma")]
unsafe fn widened_pass<const M: usize>(
    depth: usize,
    a: &[f32],
    b: &[f32],
    tile: &mut Tile,
    row: usize,
    col: usize,
) {
    let mut sums = [[_mm256_setzero_ps(); 2]; M];
    let (a, b) = (a.as_ptr(), b.as_ptr());
    for l in 0..depth {
        // SAFETY: as for `passes`.
        unsafe {
            let words = b.add(l / 2 * NR);
            let half = |at: *const f32| {
                let w = _mm256_castps_si256(_mm256_loadu_ps(at));
                _mm256_castsi256_ps(if l.is_multiple_of(2) {
                    _mm256_slli_epi32::<16>(w)
                } else {
                    _mm256_and_si256(w, _mm256_set1_epi32(0xffff_0000u32 as i32))
                })
            };
            let (b0, b1) = (half(words), half(words.add(8)));
            for (i, sum) in sums.iter_mut().enumerate() {
                let x = _mm256_set1_ps(*a.add(l * MR + i));
                sum[0] = _mm256_fmadd_ps(x, b0, sum[0]);
                sum[1] = _mm256_fmadd_ps(x, b1, sum[1]);
            }
        }
    }
    store(&sums, tile, row, col);
}
