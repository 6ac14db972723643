//! Int8 weights: one scale per row and group of 32 inputs; inputs are quantised row by row with the
//! same groups, products summed in integers (by AVX-512 VNNI or AVX2 where there is), groups in f32.
//!
//! Weights are kept as `w + 128` in u8, since the processor multiplies u8 by s8; what that adds to a
//! group's sum is 128 times the sum of its inputs, known once per row and group.

use super::{MR, NR, Output, TILE, Tile, View, blocks};
use crate::device::cpu::{Isa, parallel};
use crate::per_isa;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::cell::RefCell;

/// Inputs that share a scale.
const GROUP: usize = 32;
/// Bytes of a panel's group: 8 lines of 4 inputs for each of 32 rows.
const GROUP_BYTES: usize = GROUP * NR;

/// Panels of 32 rows: `[panel][group][GROUP/4][NR][4]` u8, and `[panel][group][NR]` scales.
pub struct Int8Panels {
    bytes: Vec<[u8; 64]>,
    scales: Vec<f32>,
    groups: usize,
}

impl Int8Panels {
    /// Quantises a row-major matrix `w` `[n, k]`.
    pub fn new(w: &[f32], n: usize, k: usize) -> Int8Panels {
        let (panels, groups) = (n.div_ceil(NR), k.div_ceil(GROUP));
        let mut bytes = vec![[128u8; 64]; panels * groups * GROUP_BYTES / 64];
        let mut scales = vec![0.0f32; panels * groups * NR];
        let flat = bytes.as_flattened_mut();
        for row in 0..n {
            let (panel, lane) = (row / NR, row % NR);
            for g in 0..groups {
                let values = &w[row * k + g * GROUP..row * k + k.min((g + 1) * GROUP)];
                let (scale, inverse) = scales_of(values);
                let group = panel * groups + g;
                scales[group * NR + lane] = scale;
                for (i, v) in values.iter().enumerate() {
                    let q = (v * inverse).round_ties_even().clamp(-127.0, 127.0) as i32;
                    flat[group * GROUP_BYTES + (i / 4 * NR + lane) * 4 + i % 4] = (q + 128) as u8;
                }
            }
        }
        Int8Panels {
            bytes,
            scales,
            groups,
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        64 * self.bytes.len() + 4 * self.scales.len()
    }

    /// Writes row `row` in f32 to `out`.
    pub fn row_into(&self, row: usize, out: &mut [f32]) {
        let (panel, lane) = (row / NR, row % NR);
        let flat = self.bytes.as_flattened();
        for (l, o) in out.iter_mut().enumerate() {
            let (group, i) = (panel * self.groups + l / GROUP, l % GROUP);
            let q = flat[group * GROUP_BYTES + (i / 4 * NR + lane) * 4 + i % 4];
            *o = (f32::from(q) - 128.0) * self.scales[group * NR + lane];
        }
    }

    fn panel(&self, panel: usize) -> (&[u8], &[f32]) {
        let per = self.groups * GROUP_BYTES;
        let bytes = &self.bytes.as_flattened()[panel * per..][..per];
        (
            bytes,
            &self.scales[panel * self.groups * NR..][..self.groups * NR],
        )
    }
}

/// The scale of a group and its inverse, which is 0 where there is none. What is not a number makes the
/// scale so too, since no integer can.
#[inline(always)]
fn scales_of(group: &[f32]) -> (f32, f32) {
    let mut sizes = [0.0f32; GROUP];
    for (size, v) in sizes.iter_mut().zip(group) {
        *size = v.abs();
    }
    // By halves, which the compiler vectorises.
    let mut half = GROUP / 2;
    while half > 0 {
        for i in 0..half {
            let (a, b) = (sizes[i], sizes[i + half]);
            sizes[i] = if b > a || b.is_nan() { b } else { a };
        }
        half /= 2;
    }
    let scale = sizes[0] / 127.0;
    let inverse = 1.0 / scale;
    (scale, if inverse.is_finite() { inverse } else { 0.0 })
}

/// Quantised inputs: four a word, with scale and -128 · sum of every group.
#[derive(Default)]
struct Inputs {
    words: Vec<i32>,
    scales: Vec<f32>,
    corrections: Vec<i32>,
}

/// A few rows of quantised inputs.
struct InputRows<'a> {
    words: &'a [i32],
    scales: &'a [f32],
    corrections: &'a [i32],
    groups: usize,
}

thread_local! {
    static INPUTS: RefCell<Inputs> = RefCell::default();
}

per_isa! {
    /// Quantises one row into words, scales and corrections.
    fn quantise(x: &[f32], words: &mut [i32], scales: &mut [f32], corrections: &mut [i32]) {
        for (g, group) in x.chunks(GROUP).enumerate() {
            let mut values = [0.0f32; GROUP];
            values[..group.len()].copy_from_slice(group);
            let (scale, inverse) = scales_of(&values);
            scales[g] = scale;
            let mut q = [0i32; GROUP];
            for (q, v) in q.iter_mut().zip(&values) {
                *q = (v * inverse).round_ties_even() as i32;
            }
            corrections[g] = -128 * q.iter().sum::<i32>();
            for (w, q) in words[g * GROUP / 4..].iter_mut().zip(q.chunks_exact(4)) {
                *w = i32::from_le_bytes([q[0] as u8, q[1] as u8, q[2] as u8, q[3] as u8]);
            }
        }
    }
}

/// `output[m, n] (+)= x · w[first..first + n]ᵀ`.
pub(super) fn multiply(
    isa: Isa,
    x: View<'_>,
    w: &Int8Panels,
    first: usize,
    n: usize,
    output: &Output,
) {
    const STEP: usize = 6;
    let (m, groups) = (x.rows, w.groups);
    let row_words = groups * GROUP / 4;
    INPUTS.with_borrow_mut(|inputs| {
        inputs.words.resize(m * row_words, 0);
        inputs.scales.resize(m * groups, 0.0);
        inputs.corrections.resize(m * groups, 0);
        for r in 0..m {
            quantise(
                isa,
                &x.data[r * x.row_stride..][..x.cols],
                &mut inputs.words[r * row_words..][..row_words],
                &mut inputs.scales[r * groups..][..groups],
                &mut inputs.corrections[r * groups..][..groups],
            );
        }
        let (row_blocks, column_blocks) = blocks(m, n);
        let rows_per = m.div_ceil(STEP).div_ceil(row_blocks) * STEP;
        let columns_per = n.div_ceil(NR).div_ceil(column_blocks) * NR;
        let inputs = &*inputs;
        parallel::run(row_blocks * column_blocks, |task| {
            let (rb, cb) = (task % row_blocks, task / row_blocks);
            let columns = cb * columns_per..((cb + 1) * columns_per).min(n);
            let mut tile = Tile([0.0; TILE]);
            for col in columns.step_by(NR) {
                let (bytes, scales) = w.panel((first + col) / NR);
                for row in (rb * rows_per..((rb + 1) * rows_per).min(m)).step_by(STEP) {
                    let height = STEP.min(m - row);
                    let rows = InputRows {
                        words: &inputs.words[row * row_words..],
                        scales: &inputs.scales[row * groups..],
                        corrections: &inputs.corrections[row * groups..],
                        groups,
                    };
                    tile_rows(isa, height, &rows, bytes, scales, &mut tile);
                    // SAFETY: tasks own disjoint blocks of rows and columns.
                    unsafe { output.put(&tile, row, col, height, NR.min(n - col)) };
                }
            }
        });
    });
}

fn tile_rows(isa: Isa, height: usize, x: &InputRows<'_>, w: &[u8], s: &[f32], tile: &mut Tile) {
    debug_assert!(height <= MR);
    #[cfg(target_arch = "x86_64")]
    if isa == Isa::Avx512Bf16 {
        // SAFETY: this `Isa` is only made where the processor has VNNI.
        unsafe {
            match height {
                1 => vnni::<1>(x, w, s, tile),
                2 => vnni::<2>(x, w, s, tile),
                3 => vnni::<3>(x, w, s, tile),
                4 => vnni::<4>(x, w, s, tile),
                5 => vnni::<5>(x, w, s, tile),
                _ => vnni::<6>(x, w, s, tile),
            }
        }
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if isa != Isa::Portable {
        for row in 0..height {
            // SAFETY: every other `Isa` has AVX2.
            unsafe { avx2(x, row, w, s, &mut tile.0[row * NR..][..NR]) };
        }
        return;
    }
    for row in 0..height {
        plain(isa, x, row, w, s, &mut tile.0[row * NR..][..NR]);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn vnni<const M: usize>(x: &InputRows<'_>, w: &[u8], s: &[f32], tile: &mut Tile) {
    let groups = x.groups;
    assert!(w.len() >= groups * GROUP_BYTES && s.len() >= groups * NR);
    assert!(x.words.len() >= M * groups * GROUP / 4);
    assert!(x.scales.len() >= M * groups && x.corrections.len() >= M * groups);
    let mut sums = [[_mm512_setzero_ps(); 2]; M];
    for g in 0..groups {
        let mut dots = [[_mm512_setzero_si512(); 2]; M];
        // SAFETY: lengths were checked above.
        unsafe {
            for (i, dot) in dots.iter_mut().enumerate() {
                *dot = [_mm512_set1_epi32(*x.corrections.get_unchecked(i * groups + g)); 2];
            }
            for line in 0..GROUP / 4 {
                let at = w.as_ptr().add(g * GROUP_BYTES + line * NR * 4);
                let w0 = _mm512_loadu_si512(at.cast());
                let w1 = _mm512_loadu_si512(at.add(64).cast());
                for (i, dot) in dots.iter_mut().enumerate() {
                    let word = (i * groups + g) * GROUP / 4 + line;
                    let x = _mm512_set1_epi32(*x.words.get_unchecked(word));
                    dot[0] = _mm512_dpbusd_epi32(dot[0], w0, x);
                    dot[1] = _mm512_dpbusd_epi32(dot[1], w1, x);
                }
            }
            let s0 = _mm512_loadu_ps(s.as_ptr().add(g * NR));
            let s1 = _mm512_loadu_ps(s.as_ptr().add(g * NR + 16));
            for (i, (sum, dot)) in sums.iter_mut().zip(&dots).enumerate() {
                let scale = _mm512_set1_ps(*x.scales.get_unchecked(i * groups + g));
                let (w0, w1) = (_mm512_cvtepi32_ps(dot[0]), _mm512_cvtepi32_ps(dot[1]));
                sum[0] = _mm512_fmadd_ps(_mm512_mul_ps(w0, s0), scale, sum[0]);
                sum[1] = _mm512_fmadd_ps(_mm512_mul_ps(w1, s1), scale, sum[1]);
            }
        }
    }
    for (i, sum) in sums.iter().enumerate() {
        let at = &mut tile.0[i * NR..][..NR];
        // SAFETY: 32 floats are there.
        unsafe {
            _mm512_storeu_ps(at.as_mut_ptr(), sum[0]);
            _mm512_storeu_ps(at.as_mut_ptr().add(16), sum[1]);
        }
    }
}

/// One row of a tile, the same integer sums by `vpmaddubsw`: it multiplies u8 by s8 and adds pairs in i16, which
/// 127 · 127 · 2 fits into. So the inputs' magnitudes are the unsigned factor, and their signs go to the weights.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(x: &InputRows<'_>, row: usize, w: &[u8], s: &[f32], out: &mut [f32]) {
    let groups = x.groups;
    let words = &x.words[row * groups * GROUP / 4..][..groups * GROUP / 4];
    let scales = &x.scales[row * groups..][..groups];
    assert!(w.len() >= groups * GROUP_BYTES && s.len() >= groups * NR && out.len() >= NR);
    let (offset, ones) = (_mm256_set1_epi8(-128), _mm256_set1_epi16(1));
    let mut sums = [_mm256_setzero_ps(); NR / 8];
    for (g, (words, &scale)) in words.chunks_exact(GROUP / 4).zip(scales).enumerate() {
        let mut dots = [_mm256_setzero_si256(); NR / 8];
        // SAFETY: lengths were checked above.
        unsafe {
            let group = w.as_ptr().add(g * GROUP_BYTES);
            for (line, &word) in words.iter().enumerate() {
                let q = _mm256_set1_epi32(word);
                let size = _mm256_abs_epi8(q);
                for (j, dot) in dots.iter_mut().enumerate() {
                    let stored = _mm256_loadu_si256(group.add((line * NR + 8 * j) * 4).cast());
                    let signed = _mm256_sign_epi8(_mm256_xor_si256(stored, offset), q);
                    let pairs = _mm256_maddubs_epi16(size, signed);
                    *dot = _mm256_add_epi32(*dot, _mm256_madd_epi16(pairs, ones));
                }
            }
            let scale = _mm256_set1_ps(scale);
            for (j, (sum, dot)) in sums.iter_mut().zip(&dots).enumerate() {
                let of_weights = _mm256_loadu_ps(s.as_ptr().add(g * NR + 8 * j));
                let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(*dot), of_weights);
                *sum = _mm256_fmadd_ps(scaled, scale, *sum);
            }
        }
    }
    for (j, sum) in sums.iter().enumerate() {
        // SAFETY: `NR` floats are there.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr().add(8 * j), *sum) };
    }
}

per_isa! {
    /// One row of a tile, the same integer sums without such instructions.
    fn plain(x: &InputRows<'_>, row: usize, w: &[u8], s: &[f32], out: &mut [f32]) {
        out.fill(0.0);
        for g in 0..x.groups {
            let at = row * x.groups + g;
            let mut dots = [x.corrections[at]; NR];
            for line in 0..GROUP / 4 {
                let q = x.words[at * GROUP / 4 + line].to_le_bytes().map(|b| i32::from(b as i8));
                let w = &w[g * GROUP_BYTES + line * NR * 4..][..NR * 4];
                for (dot, w) in dots.iter_mut().zip(w.chunks_exact(4)) {
                    *dot += i32::from(w[0]) * q[0]
                        + i32::from(w[1]) * q[1]
                        + i32::from(w[2]) * q[2]
                        + i32::from(w[3]) * q[3];
                }
            }
            let scale = x.scales[at];
            for ((o, dot), s) in out.iter_mut().zip(&dots).zip(&s[g * NR..][..NR]) {
                *o += *dot as f32 * s * scale;
            }
        }
    }
}
