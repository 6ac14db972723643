//! The packing of keys, values, queries and gradients for small products.

use crate::device::cpu::Isa;
use crate::device::cpu::transpose::transpose;
use crate::per_isa;

/// Keys of a tile.
pub const KEYS: usize = 64;
/// Columns that a panel holds.
pub const LANES: usize = 32;

/// Rows of a matrix with `stride` elements between them: keys, values, queries or gradients.
#[derive(Clone, Copy)]
pub struct Lines<'a> {
    pub data: &'a [f32],
    pub stride: usize,
}

impl<'a> Lines<'a> {
    /// The first `width` elements of line `i`.
    #[inline(always)]
    pub fn line(&self, i: usize, width: usize) -> &'a [f32] {
        &self.data[i * self.stride..][..width]
    }
}

/// Words of `columns` columns in panels over `depth` lines.
pub fn panel_words(depth: usize, columns: usize) -> usize {
    columns.div_ceil(LANES) * LANES * depth
}

/// Lines as columns: `out[panel][width][LANES]` with `count` lines, the rest zero.
pub fn pack_transposed(isa: Isa, from: Lines<'_>, count: usize, width: usize, out: &mut [f32]) {
    for (panel, out) in out.chunks_exact_mut(width * LANES).enumerate() {
        let first = panel * LANES;
        let lines = LANES.min(count.saturating_sub(first));
        if lines < LANES {
            out.fill(0.0);
        }
        if lines > 0 {
            let data = &from.data[first * from.stride..];
            transpose(isa, (lines, width), data, from.stride, out, LANES);
        }
    }
}

per_isa! {
    /// Lines as lines: `out[panel][count][LANES]` of `width` columns, the rest zero.
    pub fn pack_lines(from: Lines<'_>, count: usize, width: usize, out: &mut [f32]) {
        for (panel, out) in out.chunks_exact_mut(count * LANES).enumerate() {
            let first = panel * LANES;
            let columns = LANES.min(width - first);
            for (i, out) in out.chunks_exact_mut(LANES).enumerate() {
                out[..columns].copy_from_slice(&from.line(i, width)[first..first + columns]);
                out[columns..].fill(0.0);
            }
        }
    }
}
