//! Steps between registers and tiles that all `mma` share.

use crate::numeric::isa::per_isa;
use crate::numeric::single::canonical;

/// Words of B turned so that vectors run over its columns: word `[rank][column]` is the one that lane
/// `4 · column + rank` holds.
#[inline(always)]
pub(super) fn transposed(register: &[u32; 32]) -> [[u32; 8]; 4] {
    let columns = register.as_chunks::<4>().0;
    let four = |from: usize| transposed_4x4(columns[from..][..4].try_into().expect("four"));
    let (left, right) = (four(0), four(4));
    let mut words = [[0; 8]; 4];
    for (words, (left, right)) in words.iter_mut().zip(left.into_iter().zip(right)) {
        words[..4].copy_from_slice(&left);
        words[4..].copy_from_slice(&right);
    }
    words
}

/// In registers: left to itself the compiler moves one word at a time.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn transposed_4x4(rows: &[[u32; 4]; 4]) -> [[u32; 4]; 4] {
    use std::arch::x86_64::*;
    let [a, b, c, d]: [__m128i; 4] = bytemuck::cast(*rows);
    // SAFETY: every x86-64 processor has SSE2.
    let turned = unsafe {
        let (ab, cd) = (_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
        let (ab_high, cd_high) = (_mm_unpackhi_epi32(a, b), _mm_unpackhi_epi32(c, d));
        [
            _mm_unpacklo_epi64(ab, cd),
            _mm_unpackhi_epi64(ab, cd),
            _mm_unpacklo_epi64(ab_high, cd_high),
            _mm_unpackhi_epi64(ab_high, cd_high),
        ]
    };
    bytemuck::cast(turned)
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn transposed_4x4(rows: &[[u32; 4]; 4]) -> [[u32; 4]; 4] {
    std::array::from_fn(|i| std::array::from_fn(|j| rows[j][i]))
}

/// Eight rows of accumulators, from registers that hold their even and their odd columns.
#[inline(always)]
pub(super) fn interleave(pair: &[[u32; 32]; 2]) -> [[f32; 8]; 8] {
    let mut rows = [[0f32; 8]; 8];
    let words = pair[0].iter().zip(&pair[1]);
    for ([even, odd], (a, b)) in rows
        .as_flattened_mut()
        .as_chunks_mut()
        .0
        .iter_mut()
        .zip(words)
    {
        (*even, *odd) = (f32::from_bits(*a), f32::from_bits(*b));
    }
    rows
}

/// The inverse of [`interleave`]; NaN becomes the canonical one.
#[inline(always)]
pub(super) fn separate(rows: &[[f32; 8]; 8], pair: &mut [[u32; 32]; 2]) {
    let [even, odd] = pair;
    let values = rows.as_flattened().as_chunks::<2>().0;
    for ((even, odd), [a, b]) in even.iter_mut().zip(odd).zip(values) {
        (*even, *odd) = (canonical(*a).to_bits(), canonical(*b).to_bits());
    }
}

per_isa! {
    narrow
    /// `sums += a · b` for eight rows of `a`, of as many numbers as `b` has rows.
    ///
    /// A function of its own, so that the tiles lie in memory: from there a number is spread over a
    /// vector by its load, while taken from a register it costs shuffles.
    pub(super) fn eight_rows(a: &[f32], b: &[[f32; 8]], sums: &mut [[f32; 8]; 8]) {
        let k = b.len();
        let rows: [&[f32]; 8] = std::array::from_fn(|r| &a[r * k..][..k]);
        let mut totals = *sums;
        for (step, b) in b.iter().enumerate() {
            for (totals, a) in totals.iter_mut().zip(rows) {
                for (total, b) in totals.iter_mut().zip(b) {
                    *total = a[step].mul_add(*b, *total);
                }
            }
        }
        *sums = totals;
    }
}
