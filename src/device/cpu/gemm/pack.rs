//! Packing: from strided f32 matrices to panels.

use super::kernel::Lanes;
use super::{NR, View, copy, each_panel};
use crate::device::cpu::Isa;
use crate::device::cpu::transpose::transpose;
use crate::per_isa;

/// A buffer of panels, aligned to cache lines and kept between uses.
pub struct Panels {
    words: Vec<f32>,
    start: usize,
    len: usize,
}

impl Panels {
    /// An empty buffer.
    pub const fn new() -> Panels {
        Panels {
            words: Vec::new(),
            start: 0,
            len: 0,
        }
    }

    /// Packs the rows of `source` into panels of `width` rows: word `[panel][depth][width]`, rows
    /// beyond the last are zero.
    pub fn fill(&mut self, isa: Isa, lanes: Lanes, source: View<'_>, width: usize) {
        let depth = lanes.depth(source.cols);
        let panels = source.rows.div_ceil(width);
        let data = self.reserve(panels * depth * width);
        each_panel(data, depth * width, |p, out| {
            let row = p * width;
            let rows = width.min(source.rows - row);
            let from = View {
                data: &source.data[row * source.row_stride..],
                rows,
                ..source
            };
            pack_panel(isa, from, out, width, lanes.pairs());
        });
    }

    fn reserve(&mut self, len: usize) -> &mut [f32] {
        const LINE: usize = 16;
        if self.words.len() < len + LINE {
            self.words = vec![0.0; len + LINE];
        }
        self.start = self.words.as_ptr().align_offset(64).min(LINE);
        self.len = len;
        &mut self.words[self.start..self.start + len]
    }

    /// The packed words.
    pub fn view(&self) -> &[f32] {
        &self.words[self.start..self.start + self.len]
    }
}

/// Rounds to bf16, to nearest even.
#[inline(always)]
pub fn bf16_bits(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    if x.is_nan() {
        (bits >> 16) | 0x40
    } else {
        rounded
    }
}

/// Two values along k as one word of two bf16, the first in the low half.
#[inline(always)]
fn pair(first: f32, second: f32) -> f32 {
    f32::from_bits(bf16_bits(first) | (bf16_bits(second) << 16))
}

/// Words of a row that are turned into a column at a time: they stay in the first-level cache.
const BLOCK: usize = 32;

/// Packs up to `width` rows of `from` as words `[depth][width]`.
fn pack_panel(isa: Isa, from: View<'_>, out: &mut [f32], width: usize, pairs: bool) {
    if from.rows < width {
        out.fill(0.0);
    }
    if from.row_stride == 1 {
        pack_side_by_side(isa, from, out, width, pairs);
        return;
    }
    let depth = out.len() / width;
    if !pairs && from.col_stride == 1 {
        let lines = (from.rows, depth);
        transpose(isa, lines, from.data, from.row_stride, out, width);
        return;
    }
    let mut words = [0.0; BLOCK * NR];
    for start in (0..depth).step_by(BLOCK) {
        let count = BLOCK.min(depth - start);
        row_words(isa, from, start, count, pairs, &mut words);
        let out = &mut out[start * width..];
        transpose(isa, (from.rows, count), &words, BLOCK, out, width);
    }
}

per_isa! {
    /// Rows of the panel lie side by side: a copy, or an interleave of two lines.
    fn pack_side_by_side(from: View<'_>, out: &mut [f32], width: usize, pairs: bool) {
        let (rows, k) = (from.rows, from.cols);
        let line = |l: usize| &from.data[l * from.col_stride..][..rows];
        for (l, out) in out.chunks_exact_mut(width).enumerate() {
            if !pairs {
                copy(line(l), out);
                continue;
            }
            let first = line(2 * l);
            if 2 * l + 1 < k {
                let second = line(2 * l + 1);
                for ((o, &x), &y) in out.iter_mut().zip(first).zip(second) {
                    *o = pair(x, y);
                }
            } else {
                for (o, &x) in out.iter_mut().zip(first) {
                    *o = pair(x, 0.0);
                }
            }
        }
    }
}

per_isa! {
    /// Words `start..start + count` along k of every row: `words[row][BLOCK]`.
    fn row_words(from: View<'_>, start: usize, count: usize, pairs: bool, words: &mut [f32]) {
        let k = from.cols;
        let at = |r: usize, l: usize| from.data[r * from.row_stride + l * from.col_stride];
        for (r, words) in words.chunks_exact_mut(BLOCK).take(from.rows).enumerate() {
            let words = &mut words[..count];
            if !pairs {
                for (i, w) in words.iter_mut().enumerate() {
                    *w = at(r, start + i);
                }
                continue;
            }
            let whole = count.min((k - 2 * start) / 2);
            if from.col_stride == 1 {
                let row = &from.data[r * from.row_stride + 2 * start..][..2 * whole];
                for (w, xy) in words.iter_mut().zip(row.chunks_exact(2)) {
                    *w = pair(xy[0], xy[1]);
                }
            } else {
                for (i, w) in words[..whole].iter_mut().enumerate() {
                    *w = pair(at(r, 2 * (start + i)), at(r, 2 * (start + i) + 1));
                }
            }
            if whole < count {
                words[whole] = pair(at(r, k - 1), 0.0);
            }
        }
    }
}
