//! A tile's sums: products of bytes in whole numbers within a group, groups in f32.

use super::inputs::InputRows;
use super::panels::{Form, GROUP};
use crate::device::cpu::Isa;
use crate::device::cpu::gemm::{MR, NR, Tile};
use crate::per_isa;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Lines of four inputs in a group.
const LINES: usize = GROUP / 4;

/// Rows of inputs that a tile's registers hold.
pub(super) const STEP: usize = 6;

/// The sums of `height` rows of inputs and a panel, `w` with scales `s`.
pub(super) fn tile_rows(
    isa: Isa,
    form: Form,
    height: usize,
    x: &InputRows<'_>,
    (w, s): (&[u8], &[u32]),
    tile: &mut Tile,
) {
    debug_assert!(height <= STEP.min(MR));
    #[cfg(target_arch = "x86_64")]
    if isa == Isa::Avx512Bf16 {
        // SAFETY: this `Isa` is only made where the processor has VNNI.
        unsafe {
            match form {
                Form::Int8 => vnni_rows::<8>(height, x, w, s, tile),
                Form::Int4 => vnni_rows::<4>(height, x, w, s, tile),
            }
        }
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if isa != Isa::Portable {
        for row in 0..height {
            let out = &mut tile.0[row * NR..][..NR];
            // SAFETY: every other `Isa` has AVX2.
            unsafe {
                match form {
                    Form::Int8 => avx2::<8>(x, row, w, s, out),
                    Form::Int4 => avx2::<4>(x, row, w, s, out),
                }
            }
        }
        return;
    }
    for row in 0..height {
        plain(isa, form, x, row, w, s, &mut tile.0[row * NR..][..NR]);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn vnni_rows<const BITS: usize>(
    height: usize,
    x: &InputRows<'_>,
    w: &[u8],
    s: &[u32],
    tile: &mut Tile,
) {
    // SAFETY: the caller's processor has VNNI.
    unsafe {
        match height {
            1 => vnni::<BITS, 1>(x, w, s, tile),
            2 => vnni::<BITS, 2>(x, w, s, tile),
            3 => vnni::<BITS, 3>(x, w, s, tile),
            4 => vnni::<BITS, 4>(x, w, s, tile),
            5 => vnni::<BITS, 5>(x, w, s, tile),
            _ => vnni::<BITS, 6>(x, w, s, tile),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn vnni<const BITS: usize, const M: usize>(
    x: &InputRows<'_>,
    w: &[u8],
    s: &[u32],
    tile: &mut Tile,
) {
    let form = Form::of_bits(BITS);
    let (groups, group_bytes) = (x.groups, form.group_bytes());
    // Of half bytes, a line of bytes is two lines of weights.
    let parts = GROUP * NR / group_bytes;
    let lines = LINES / parts;
    assert!(w.len() >= groups * group_bytes && s.len() >= groups * NR);
    assert!(x.words.len() >= M * groups * LINES);
    assert!(x.scales.len() >= M * groups && x.sums.len() >= M * groups);
    let (low, upper) = (_mm512_set1_epi8(15), _mm512_set1_epi32(-1 << 16));
    let mut sums = [[_mm512_setzero_ps(); 2]; M];
    for g in 0..groups {
        let mut dots = [[_mm512_setzero_si512(); 2]; M];
        // SAFETY: lengths were checked above.
        unsafe {
            for (i, dot) in dots.iter_mut().enumerate() {
                let of_zeros = -form.zero() * *x.sums.get_unchecked(i * groups + g);
                *dot = [_mm512_set1_epi32(of_zeros); 2];
            }
            for line in 0..lines {
                let at = w.as_ptr().add(g * group_bytes + line * NR * 4);
                let stored = [
                    _mm512_loadu_si512(at.cast()),
                    _mm512_loadu_si512(at.add(64).cast()),
                ];
                for part in 0..parts {
                    let weights = match (form, part) {
                        (Form::Int8, _) => stored,
                        (Form::Int4, 0) => stored.map(|w| _mm512_and_si512(w, low)),
                        (Form::Int4, _) => {
                            stored.map(|w| _mm512_and_si512(_mm512_srli_epi16::<4>(w), low))
                        }
                    };
                    for (i, dot) in dots.iter_mut().enumerate() {
                        let word = (i * groups + g) * LINES + part * lines + line;
                        let x = _mm512_set1_epi32(*x.words.get_unchecked(word));
                        dot[0] = _mm512_dpbusd_epi32(dot[0], weights[0], x);
                        dot[1] = _mm512_dpbusd_epi32(dot[1], weights[1], x);
                    }
                }
            }
            let kept = [0, 16].map(|at| _mm512_loadu_si512(s.as_ptr().add(g * NR + at).cast()));
            for (i, (sum, dot)) in sums.iter_mut().zip(&dots).enumerate() {
                let scale = _mm512_set1_ps(*x.scales.get_unchecked(i * groups + g));
                let of_inputs = _mm512_set1_ps(*x.sums.get_unchecked(i * groups + g) as f32);
                for ((sum, &dot), &kept) in sum.iter_mut().zip(dot).zip(&kept) {
                    let dot = _mm512_cvtepi32_ps(dot);
                    let scaled = match form {
                        Form::Int8 => _mm512_mul_ps(dot, _mm512_castsi512_ps(kept)),
                        Form::Int4 => {
                            let factor = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(kept));
                            let shift = _mm512_castsi512_ps(_mm512_and_si512(kept, upper));
                            _mm512_fmadd_ps(dot, factor, _mm512_mul_ps(of_inputs, shift))
                        }
                    };
                    *sum = _mm512_fmadd_ps(scaled, scale, *sum);
                }
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

/// One row of a tile: the dots of its groups times their scales.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const BITS: usize>(
    x: &InputRows<'_>,
    row: usize,
    w: &[u8],
    s: &[u32],
    out: &mut [f32],
) {
    let form = Form::of_bits(BITS);
    let (groups, group_bytes) = (x.groups, form.group_bytes());
    let words = &x.words[row * groups * LINES..][..groups * LINES];
    let (scales, of_inputs) = (&x.scales[row * groups..], &x.sums[row * groups..]);
    assert!(w.len() >= groups * group_bytes && s.len() >= groups * NR && out.len() >= NR);
    let upper = _mm256_set1_epi32(-1 << 16);
    let mut sums = [_mm256_setzero_ps(); NR / 8];
    let each = words.chunks_exact(LINES).zip(scales).zip(of_inputs);
    for (g, ((words, &scale), &of_inputs)) in each.enumerate() {
        // SAFETY: lengths were checked above.
        unsafe {
            let group = w.as_ptr().add(g * group_bytes);
            let dots = match form {
                Form::Int8 => avx2_int8(words, group),
                Form::Int4 => avx2_int4(words, group),
            };
            let (scale, of_inputs) = (_mm256_set1_ps(scale), _mm256_set1_ps(of_inputs as f32));
            for (j, (sum, dot)) in sums.iter_mut().zip(&dots).enumerate() {
                let kept = _mm256_loadu_si256(s.as_ptr().add(g * NR + 8 * j).cast());
                let dot = _mm256_cvtepi32_ps(*dot);
                let scaled = match form {
                    Form::Int8 => _mm256_mul_ps(dot, _mm256_castsi256_ps(kept)),
                    Form::Int4 => {
                        let factor = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(kept));
                        let shift = _mm256_castsi256_ps(_mm256_and_si256(kept, upper));
                        _mm256_fmadd_ps(dot, factor, _mm256_mul_ps(of_inputs, shift))
                    }
                };
                *sum = _mm256_fmadd_ps(scaled, scale, *sum);
            }
        }
    }
    for (j, sum) in sums.iter().enumerate() {
        // SAFETY: `NR` floats are there.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr().add(8 * j), *sum) };
    }
}

/// A group's dots by `vpmaddubsw`, which multiplies u8 by s8 and adds pairs in i16: 127 · 127 · 2 fits into it. So
/// the inputs' magnitudes are the unsigned factor, and their signs go to the weights.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn avx2_int8(words: &[i32], group: *const u8) -> [__m256i; NR / 8] {
    let (offset, ones) = (_mm256_set1_epi8(-128), _mm256_set1_epi16(1));
    let mut dots = [_mm256_setzero_si256(); NR / 8];
    for (line, &word) in words.iter().enumerate() {
        let q = _mm256_set1_epi32(word);
        let size = _mm256_abs_epi8(q);
        for (j, dot) in dots.iter_mut().enumerate() {
            // SAFETY: a group has `LINES` lines of 32 rows, which the caller has checked.
            let stored = unsafe { _mm256_loadu_si256(group.add((line * NR + 8 * j) * 4).cast()) };
            let signed = _mm256_sign_epi8(_mm256_xor_si256(stored, offset), q);
            let pairs = _mm256_maddubs_epi16(size, signed);
            *dot = _mm256_add_epi32(*dot, _mm256_madd_epi16(pairs, ones));
        }
    }
    dots
}

/// Half bytes are unsigned themselves, and so small that i16 holds the pairs of a whole group: 8 · 15 · 127 · 2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn avx2_int4(words: &[i32], group: *const u8) -> [__m256i; NR / 8] {
    let (low, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
    let mut pairs = [_mm256_setzero_si256(); NR / 8];
    let (first, second) = words.split_at(LINES / 2);
    for (line, (&first, &second)) in first.iter().zip(second).enumerate() {
        let (first, second) = (_mm256_set1_epi32(first), _mm256_set1_epi32(second));
        for (j, pairs) in pairs.iter_mut().enumerate() {
            // SAFETY: a group has `LINES / 2` lines of 32 rows, which the caller has checked.
            let stored = unsafe { _mm256_loadu_si256(group.add((line * NR + 8 * j) * 4).cast()) };
            let a = _mm256_maddubs_epi16(_mm256_and_si256(stored, low), first);
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(stored), low);
            let b = _mm256_maddubs_epi16(high, second);
            *pairs = _mm256_add_epi16(*pairs, _mm256_add_epi16(a, b));
        }
    }
    pairs.map(|pairs| _mm256_madd_epi16(pairs, ones))
}

per_isa! {
    /// One row of a tile, the same sums without such instructions.
    fn plain(
        form: Form, x: &InputRows<'_>, row: usize, w: &[u8], s: &[u32], out: &mut [f32],
    ) {
        let group_bytes = form.group_bytes();
        let lines = group_bytes / (NR * 4);
        out.fill(0.0);
        for g in 0..x.groups {
            let at = row * x.groups + g;
            let mut dots = [-form.zero() * x.sums[at]; NR];
            for line in 0..LINES {
                let q = x.words[at * LINES + line].to_le_bytes().map(|b| i32::from(b as i8));
                let w = &w[g * group_bytes + line % lines * NR * 4..][..NR * 4];
                let (shift, mask) = match form {
                    Form::Int8 => (0, 255),
                    Form::Int4 => (line / lines * 4, 15),
                };
                let weight = |byte: u8| i32::from(byte >> shift & mask);
                for (dot, w) in dots.iter_mut().zip(w.chunks_exact(4)) {
                    *dot += weight(w[0]) * q[0]
                        + weight(w[1]) * q[1]
                        + weight(w[2]) * q[2]
                        + weight(w[3]) * q[3];
                }
            }
            let scale = x.scales[at];
            let of_inputs = x.sums[at] as f32;
            for ((o, dot), s) in out.iter_mut().zip(&dots).zip(&s[g * NR..][..NR]) {
                let (factor, shift) = form.scale(*s);
                *o += (*dot as f32 * factor + of_inputs * shift) * scale;
            }
        }
    }
}
