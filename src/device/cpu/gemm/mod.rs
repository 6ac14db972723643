//! Matrix products: packed panels and register-tiled microkernels (Goto & van de Geijn, TOMS 2008).
//!
//! Both factors are packed: `a` into panels of `MR` rows, `b` into panels of `NR` columns, each
//! `[k][MR]` or `[k][NR]` in f32, or pairs of bf16 along k. A microkernel multiplies one panel by
//! one panel over all of k, so every element of the product is one chain of fused multiply-adds in
//! the order of k: a row's bits depend on nothing but that row and `b`.

mod kernel;
#[cfg(target_arch = "x86_64")]
mod kernel_avx2;
mod pack;
mod packed;
mod quantised;

use super::parallel::{self, Rows};
use super::{Isa, Multiply};
pub use kernel::Lanes;
use kernel::TILE;
use pack::Panels;
pub use packed::{PackedMatrix, multiply_packed, multiply_packed_rows};
use std::cell::RefCell;

/// Rows of a tile.
pub(super) const MR: usize = 12;
/// Columns of a tile.
pub(super) const NR: usize = 32;
/// Rows of `a` that one task keeps in its second-level cache.
const ROW_BLOCK: usize = 8 * MR;
/// Columns of `b` that one task sweeps.
const COLUMN_BLOCK: usize = 8 * NR;

/// A strided matrix: element `(i, j)` is `data[i * row_stride + j * col_stride]`.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub cols: usize,
    pub row_stride: usize,
    pub col_stride: usize,
}

impl<'a> View<'a> {
    /// A row-major matrix without gaps.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> View<'a> {
        assert!(data.len() >= rows * cols, "a view beyond its data");
        View {
            data,
            rows,
            cols,
            row_stride: cols,
            col_stride: 1,
        }
    }

    /// The transpose.
    pub fn t(self) -> View<'a> {
        View {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }
}

/// Where a product goes: row-major, `stride` elements between rows.
pub(super) struct Output {
    data: *mut f32,
    stride: usize,
    accumulate: bool,
}
// SAFETY: tasks write disjoint tiles of an exclusively borrowed slice.
unsafe impl Sync for Output {}

impl Output {
    /// An output of `rows` × `cols` in `c`.
    pub(super) fn new(
        c: &mut [f32],
        stride: usize,
        rows: usize,
        cols: usize,
        accumulate: bool,
    ) -> Output {
        assert!(stride >= cols, "rows of the product overlap");
        assert!(
            rows == 0 || c.len() >= (rows - 1) * stride + cols,
            "a product beyond its buffer"
        );
        Output {
            data: c.as_mut_ptr(),
            stride,
            accumulate,
        }
    }

    /// Brings the lines near that a tile of `rows` rows at `(row, col)` is about to be put into.
    fn bring(&self, row: usize, col: usize, rows: usize) {
        for i in 0..rows {
            let start = self.data.wrapping_add((row + i) * self.stride + col);
            near(start);
            near(start.wrapping_add(NR / 2));
        }
    }

    /// Adds or stores a tile at `(row, col)`.
    ///
    /// # Safety
    /// The tile lies in the output, and no other task writes it.
    pub(super) unsafe fn put(&self, tile: &Tile, row: usize, col: usize, rows: usize, cols: usize) {
        for i in 0..rows {
            // SAFETY: in bounds by the caller's promise.
            let c = unsafe {
                let start = self.data.add((row + i) * self.stride + col);
                std::slice::from_raw_parts_mut(start, cols)
            };
            let t = &tile.0[i * NR..i * NR + cols];
            match self.accumulate {
                false => copy(t, c),
                true if cols == NR => add(&mut c[..NR], &t[..NR]),
                true => add(c, t),
            }
        }
    }
}

/// Hints that what is there will be used.
#[inline(always)]
fn near(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which may point anywhere.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast())
    };
    let _ = at;
}

/// Copies `from` to the start of `to`. Whole rows of tiles and lines of panels have a known length, which
/// spares a call.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    match from.len() {
        NR => to[..NR].copy_from_slice(&from[..NR]),
        MR => to[..MR].copy_from_slice(&from[..MR]),
        len => to[..len].copy_from_slice(from),
    }
}

#[inline(always)]
fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t += f);
}

/// One tile of a product, `[MR][NR]`.
#[repr(align(64))]
pub(super) struct Tile(pub [f32; TILE]);

thread_local! {
    /// Panels of `a` and `b`, kept between products.
    static SCRATCH: RefCell<(Panels, Panels)> = const { RefCell::new((Panels::new(), Panels::new())) };
}

/// `c = a · b`, or `c += a · b` with `accumulate`; `c` is row-major with `c_stride` elements between
/// rows. Runs on all threads, or on the calling one inside a task.
pub fn gemm(
    isa: Isa,
    multiply: Multiply,
    a: View<'_>,
    b: View<'_>,
    c: &mut [f32],
    c_stride: usize,
    accumulate: bool,
) {
    assert_eq!(a.cols, b.rows, "inner sizes of a product");
    let (m, n, k) = (a.rows, b.cols, a.cols);
    if m == 0 || n == 0 {
        return;
    }
    let output = Output::new(c, c_stride, m, n, accumulate);
    let lanes = Lanes::for_training(isa, multiply);
    SCRATCH.with_borrow_mut(|(a_panels, b_panels)| {
        a_panels.fill(isa, lanes, a, MR);
        b_panels.fill(isa, lanes, b.t(), NR);
        multiply_panels(
            isa,
            lanes,
            (m, n, k),
            a_panels.view(),
            b_panels.view(),
            &output,
        );
    });
}

/// The tiles of a product of packed panels, spread over the threads.
pub(super) fn multiply_panels(
    isa: Isa,
    lanes: Lanes,
    (m, n, k): (usize, usize, usize),
    a: &[f32],
    b: &[f32],
    output: &Output,
) {
    let depth = lanes.depth(k);
    let (row_blocks, column_blocks) = blocks(m, n);
    let rows_per = m.div_ceil(MR).div_ceil(row_blocks) * MR;
    let columns_per = n.div_ceil(NR).div_ceil(column_blocks) * NR;
    parallel::run(row_blocks * column_blocks, |task| {
        let (rb, cb) = (task % row_blocks, task / row_blocks);
        let rows = rb * rows_per..((rb + 1) * rows_per).min(m);
        let columns = cb * columns_per..((cb + 1) * columns_per).min(n);
        let mut tile = Tile([0.0; TILE]);
        for col in columns.clone().step_by(NR) {
            let words = NR * lanes.b_words(k);
            let (b_panel, next) = b[col * lanes.b_words(k)..].split_at(words);
            let next = &next[..if col + NR < columns.end { words } else { 0 }];
            let share = next.len() / rows.len().div_ceil(MR).max(1);
            for (i, row) in rows.clone().step_by(MR).enumerate() {
                let a_panel = &a[row * depth..][..MR * depth];
                let height = MR.min(m - row);
                output.bring(row, col, height);
                let panels = (a_panel, b_panel, &next[i * share..][..share]);
                kernel::tile(isa, lanes, height, depth, panels, &mut tile);
                // SAFETY: tasks own disjoint blocks of rows and columns.
                unsafe { output.put(&tile, row, col, height, NR.min(n - col)) };
            }
        }
    });
}

/// Number of row and column blocks: small enough for the caches, and enough of them for the threads.
fn blocks(m: usize, n: usize) -> (usize, usize) {
    let rows = m.div_ceil(ROW_BLOCK);
    let wanted = (4 * parallel::threads()).div_ceil(rows);
    let columns = n.div_ceil(COLUMN_BLOCK).max(wanted).min(n.div_ceil(NR));
    (rows, columns)
}

/// Rows that parallel packing hands to one task.
fn pack_tasks(panels: usize) -> usize {
    panels.div_ceil(4 * parallel::threads()).max(1)
}

/// Runs `f(panel, destination)` over every panel of `data`, in groups.
fn each_panel(data: &mut [f32], words: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    if words == 0 {
        return;
    }
    let per = pack_tasks(data.len() / words);
    let groups = Rows::new(data, per * words);
    parallel::run(groups.count(), |g| {
        for (i, panel) in groups.take(g).chunks_exact_mut(words).enumerate() {
            f(g * per + i, panel);
        }
    });
}
