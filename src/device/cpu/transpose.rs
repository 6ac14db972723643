//! Transposing blocks on their way into panels.

use super::Isa;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Lines and columns that are turned in registers.
const SIDE: usize = 16;

/// `out[i * stride + j] = data[j * line + i]` for `j` below `lines` and `i` below `columns`.
pub fn transpose(
    isa: Isa,
    (lines, columns): (usize, usize),
    data: &[f32],
    line: usize,
    out: &mut [f32],
    stride: usize,
) {
    if lines == 0 || columns == 0 {
        return;
    }
    assert!(data.len() >= (lines - 1) * line + columns && stride >= lines);
    assert!(out.len() >= (columns - 1) * stride + lines);
    for j in (0..lines).step_by(SIDE) {
        for i in (0..columns).step_by(SIDE) {
            let size = (SIDE.min(lines - j), SIDE.min(columns - i));
            let (from, to) = (&data[j * line + i..], &mut out[i * stride + j..]);
            #[cfg(target_arch = "x86_64")]
            if size == (SIDE, SIDE) && isa >= Isa::Avx512 {
                // SAFETY: the block lies in both slices, and the processor has AVX-512.
                unsafe { block_avx512(from.as_ptr(), line, to.as_mut_ptr(), stride) };
                continue;
            }
            let mut turned = 0;
            #[cfg(target_arch = "x86_64")]
            if size.1 == SIDE && isa >= Isa::Avx2 {
                turned = size.0 / 4 * 4;
                // SAFETY: these lines lie in both slices, and the processor has AVX2.
                unsafe { lines_avx2(turned, from.as_ptr(), line, to.as_mut_ptr(), stride) };
            }
            for (j, row) in from.chunks(line).enumerate().take(size.0).skip(turned) {
                for (i, x) in row[..size.1].iter().enumerate() {
                    to[i * stride + j] = *x;
                }
            }
        }
    }
    let _ = isa;
}

/// `lines` lines of sixteen, four at a time: elements, then pairs change places.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn lines_avx2(lines: usize, from: *const f32, line: usize, to: *mut f32, stride: usize) {
    for (j, i) in (0..lines).step_by(4).flat_map(|j| [(j, 0), (j, 8)]) {
        // SAFETY: the caller has that many lines of 16 elements there.
        let row = |l| unsafe { _mm256_loadu_ps(from.add((j + l) * line + i)) };
        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
        for (half, ab, cd) in [
            (0, _mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d)),
            (2, _mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d)),
        ] {
            let (ab, cd) = (_mm256_castps_pd(ab), _mm256_castps_pd(cd));
            let columns = [_mm256_unpacklo_pd(ab, cd), _mm256_unpackhi_pd(ab, cd)];
            for (c, column) in columns.into_iter().enumerate() {
                let column = _mm256_castpd_ps(column);
                // SAFETY: the caller has 16 columns of that many elements there.
                unsafe {
                    let to = to.add((i + half + c) * stride + j);
                    _mm_storeu_ps(to, _mm256_castps256_ps128(column));
                    _mm_storeu_ps(to.add(4 * stride), _mm256_extractf128_ps::<1>(column));
                }
            }
        }
    }
}

/// Sixteen lines of sixteen: elements, then pairs, then quarters change places.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn block_avx512(from: *const f32, line: usize, to: *mut f32, stride: usize) {
    let mut rows = [_mm512_setzero_ps(); SIDE];
    for (j, row) in rows.iter_mut().enumerate() {
        // SAFETY: the caller has 16 lines of 16 elements there.
        *row = unsafe { _mm512_loadu_ps(from.add(j * line)) };
    }
    let mut pairs = rows;
    for j in (0..SIDE).step_by(2) {
        pairs[j] = _mm512_unpacklo_ps(rows[j], rows[j + 1]);
        pairs[j + 1] = _mm512_unpackhi_ps(rows[j], rows[j + 1]);
    }
    // Quarter q of `fours[4 · j + c]`: column 4 · q + c of lines 4 · j to 4 · j + 3.
    let mut fours = pairs;
    for j in (0..SIDE).step_by(4) {
        for (c, half) in [(0, j), (2, j + 1)] {
            let a = _mm512_castps_pd(pairs[half]);
            let b = _mm512_castps_pd(pairs[half + 2]);
            fours[j + c] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            fours[j + c + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    for c in 0..4 {
        const EVEN: i32 = 0x88;
        const ODD: i32 = 0xdd;
        let [a, b, e, f] = [fours[c], fours[4 + c], fours[8 + c], fours[12 + c]];
        let even = [
            _mm512_shuffle_f32x4::<EVEN>(a, b),
            _mm512_shuffle_f32x4::<EVEN>(e, f),
        ];
        let odd = [
            _mm512_shuffle_f32x4::<ODD>(a, b),
            _mm512_shuffle_f32x4::<ODD>(e, f),
        ];
        for (column, value) in [
            (c, _mm512_shuffle_f32x4::<EVEN>(even[0], even[1])),
            (4 + c, _mm512_shuffle_f32x4::<EVEN>(odd[0], odd[1])),
            (8 + c, _mm512_shuffle_f32x4::<ODD>(even[0], even[1])),
            (12 + c, _mm512_shuffle_f32x4::<ODD>(odd[0], odd[1])),
        ] {
            // SAFETY: the caller has 16 columns of 16 elements there.
            unsafe { _mm512_storeu_ps(to.add(column * stride), value) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_any_size() {
        for (lines, columns) in [
            (1, 1),
            (3, 40),
            (16, 16),
            (12, 32),
            (32, 64),
            (33, 17),
            (48, 15),
        ] {
            let (line, stride) = (columns + 3, lines + 5);
            let data: Vec<f32> = (0..lines * line).map(|x| x as f32).collect();
            for isa in Isa::ALL.into_iter().filter(|i| i.available()) {
                let mut out = vec![-1.0; columns * stride];
                transpose(isa, (lines, columns), &data, line, &mut out, stride);
                for i in 0..columns {
                    for j in 0..stride {
                        let want = if j < lines { data[j * line + i] } else { -1.0 };
                        assert_eq!(out[i * stride + j], want, "{isa:?} {lines} × {columns}");
                    }
                }
            }
        }
    }
}
