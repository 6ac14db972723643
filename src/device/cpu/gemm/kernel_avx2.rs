//! Microkernels in AVX2: sixteen registers hold 6 × 16 sums, so a tile is four passes of 6 rows by half a
//! panel. While it multiplies it brings near what is multiplied next: a thread that waits for memory at the
//! start of every panel loses a tenth of its time.

use super::{MR, NR, Tile};
use std::arch::{asm, x86_64::*};

macro_rules! passes {
    ($name:ident, $inner:ident) => {
        #[target_feature(enable = "avx2,fma")]
        pub unsafe fn $name(
            h: usize,
            depth: usize,
            a: &[f32],
            b: &[f32],
            ahead: &[f32],
            tile: &mut Tile,
        ) {
            let share = ahead.len() / (2 * h.div_ceil(6));
            for (i, row) in (0..h).step_by(6).enumerate() {
                for (j, col) in [0, 16].into_iter().enumerate() {
                    let ahead = &ahead[(2 * i + j) * share..][..share];
                    let (a, b, at) = (&a[row..], &b[col..], (row, col));
                    // SAFETY: the caller checked that panels hold `depth` lines.
                    unsafe {
                        match (h - row).min(6) {
                            1 => $inner::<1>(depth, a, b, ahead, tile, at),
                            2 => $inner::<2>(depth, a, b, ahead, tile, at),
                            3 => $inner::<3>(depth, a, b, ahead, tile, at),
                            4 => $inner::<4>(depth, a, b, ahead, tile, at),
                            5 => $inner::<5>(depth, a, b, ahead, tile, at),
                            _ => $inner::<6>(depth, a, b, ahead, tile, at),
                        }
                    }
                }
            }
        }
    };
}
passes!(f32, f32_pass);
passes!(widened, widened_pass);

/// Brings a slice into the second-level cache, a step at a time.
struct Steps {
    at: *const i8,
    bytes: usize,
}

impl Steps {
    fn new(slice: &[f32], steps: usize) -> Steps {
        Steps {
            at: slice.as_ptr().cast(),
            bytes: size_of_val(slice) / steps.max(1),
        }
    }

    #[inline(always)]
    fn fetch(&mut self) {
        // SAFETY: a hint, which may point anywhere.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(self.at) };
        self.at = self.at.wrapping_add(self.bytes);
    }
}

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

/// Adds the products of a column of `a` with a line of `b`.
///
/// # Safety
/// `M` floats are at `a`.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn line<const M: usize>(sums: &mut [[__m256; 2]; M], a: *const f32, b0: __m256, b1: __m256) {
    for (i, sum) in sums.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        let x = _mm256_set1_ps(unsafe { *a.add(i) });
        sum[0] = _mm256_fmadd_ps(x, b0, sum[0]);
        sum[1] = _mm256_fmadd_ps(x, b1, sum[1]);
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn f32_pass<const M: usize>(
    depth: usize,
    a: &[f32],
    b: &[f32],
    ahead: &[f32],
    tile: &mut Tile,
    (row, col): (usize, usize),
) {
    let mut sums = [[_mm256_setzero_ps(); 2]; M];
    let (a, b) = (a.as_ptr(), b.as_ptr());
    let mut near = Steps::new(ahead, depth);
    for l in 0..depth {
        near.fetch();
        // SAFETY: as for `passes`.
        unsafe {
            let b0 = _mm256_loadu_ps(b.add(l * NR));
            let b1 = _mm256_loadu_ps(b.add(l * NR + 8));
            line(&mut sums, a.add(l * MR), b0, b1);
        }
    }
    store(&sums, tile, row, col);
}

// The assembler's comment below passes a pointer on and reads nothing.
#[allow(clippy::pointers_in_nomem_asm_block)]
#[target_feature(enable = "avx2,fma")]
unsafe fn widened_pass<const M: usize>(
    depth: usize,
    a: &[f32],
    b: &[f32],
    ahead: &[f32],
    tile: &mut Tile,
    (row, col): (usize, usize),
) {
    let mut sums = [[_mm256_setzero_ps(); 2]; M];
    // A word holds two weights, of neighbouring lines: the earlier one low. A branch on which it is would cost a
    // fifth of the time.
    let upper = _mm256_castsi256_ps(_mm256_set1_epi32(0xffff_0000u32 as i32));
    let (mut a, mut b) = (a.as_ptr(), b.as_ptr());
    let mut near = Steps::new(ahead, depth / 2);
    // SAFETY: as for `passes`; the pointers end one line behind the panels at most.
    unsafe {
        let low = |at: *const f32| {
            let words = _mm256_loadu_si256(at.cast());
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(words))
        };
        let high = |at| _mm256_and_ps(upper, _mm256_loadu_ps(at));
        for _ in 0..depth / 2 {
            near.fetch();
            line(&mut sums, a, low(b), low(b.add(8)));
            // Words kept for the second line would need two registers more than there are: the assembler's
            // comment hides that they are the same, and they are loaded again.
            let same: *const f32;
            asm!("/* {} */", inlateout(reg) b => same, options(pure, nomem, nostack, preserves_flags));
            line(&mut sums, a.add(MR), high(same), high(same.add(8)));
            (a, b) = (a.add(2 * MR), b.add(NR));
        }
        if depth % 2 == 1 {
            line(&mut sums, a, low(b), low(b.add(8)));
        }
    }
    store(&sums, tile, row, col);
}
