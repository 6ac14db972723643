//! Backward: gradients by queries over query blocks, by keys and values over key tiles.
//!
//! With `p = exp(q·k·scale − lse)` and `delta = Σ dout·out` of a row: `dv += pᵀ·dout`,
//! `ds = p ∘ (dout·vᵀ − delta)·scale`, `dq += ds·k`, `dk += dsᵀ·q`.

use super::blocks::{BLOCK_ROWS, QueryBlock};
use super::product::{Left, product};
use super::tiles::{KEYS, LANES, Lines, pack_lines, pack_transposed, panel_words};
use crate::device::cpu::Isa;
use crate::device::cpu::math::exp;
use crate::ops::attention::Heads;
use crate::ops::forest::Forest;
use crate::per_isa;
use std::cell::RefCell;
use std::ops::Range;

/// What both passes read.
pub struct Saved<'a> {
    pub isa: Isa,
    pub heads: &'a Heads,
    pub qkv: &'a [f32],
    pub dout: &'a [f32],
    pub lse: &'a [f32],
    /// `Σ dout·out`, `[tokens, num_heads]`.
    pub delta: &'a [f32],
}

/// Buffers of a task; a row is a token and a head of the group.
#[derive(Default)]
struct Scratch {
    /// Queries and output gradients of the rows, `[rows][head_dim]`.
    queries: Vec<f32>,
    dout: Vec<f32>,
    lse: Vec<f32>,
    delta: Vec<f32>,
    visible: Vec<usize>,
    /// `p` and `ds` of a tile, `[rows][KEYS]`.
    p: Vec<f32>,
    ds: Vec<f32>,
    /// Keys and values of the tile as columns, and what the last products read as lines.
    keys: Vec<f32>,
    values: Vec<f32>,
    lines: Vec<f32>,
    more_lines: Vec<f32>,
    /// Sums, `[rows or keys][head_dim in whole panels]`.
    first: Vec<f32>,
    second: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Saved<'_> {
    fn group(&self) -> usize {
        self.heads.num_heads / self.heads.num_kv_heads
    }

    fn width(&self) -> usize {
        self.heads.head_dim.div_ceil(LANES) * LANES
    }

    /// Keys (`part` 0) or values (1) of a head from row `row` of the batch.
    fn stored(&self, head: usize, part: usize, row: usize) -> Lines<'_> {
        let h = self.heads;
        let at = row * h.qkv_dim() + h.q_dim() + part * h.kv_dim() + head * h.head_dim;
        Lines {
            data: &self.qkv[at..],
            stride: h.qkv_dim(),
        }
    }

    /// Loads rows of the batch.
    fn load(&self, s: &mut Scratch, head: usize, rows: Range<usize>) {
        let (h, group) = (self.heads, self.group());
        let width = group * h.head_dim;
        for buffer in [&mut s.queries, &mut s.dout, &mut s.lse, &mut s.delta] {
            buffer.clear();
        }
        for row in rows {
            let q = row * h.qkv_dim() + head * width;
            s.queries.extend_from_slice(&self.qkv[q..q + width]);
            let o = row * h.q_dim() + head * width;
            s.dout.extend_from_slice(&self.dout[o..o + width]);
            let l = row * h.num_heads + head * group;
            s.lse.extend_from_slice(&self.lse[l..l + group]);
            s.delta.extend_from_slice(&self.delta[l..l + group]);
        }
    }

    fn pack_tile(&self, s: &mut Scratch, head: usize, row: usize, count: usize) {
        let d = self.heads.head_dim;
        s.keys.resize(panel_words(d, count), 0.0);
        pack_transposed(self.isa, self.stored(head, 0, row), count, d, &mut s.keys);
        s.values.resize(panel_words(d, count), 0.0);
        pack_transposed(self.isa, self.stored(head, 1, row), count, d, &mut s.values);
    }

    /// `p` and `ds` of the loaded rows from `first` on over the packed tile; row `r` of them sees the
    /// keys of the span before `visible[r]`, of which `tile` lie before this tile.
    fn scores(&self, s: &mut Scratch, first: usize, tile: usize, count: usize) {
        let d = self.heads.head_dim;
        let rows = s.visible.len();
        s.p.resize(rows * KEYS, 0.0);
        s.ds.resize(rows * KEYS, 0.0);
        for (left, right, out) in [
            (&s.queries, &s.keys, &mut s.p),
            (&s.dout, &s.values, &mut s.ds),
        ] {
            let left = Left {
                data: &left[first * d..],
                row: d,
                step: 1,
            };
            for (panel, b) in right.chunks_exact(d * LANES).enumerate() {
                let out = &mut out[panel * LANES..];
                product(self.isa, rows, d, left, b, out, KEYS, false);
            }
        }
        let scale = 1.0 / (d as f32).sqrt();
        let (lse, delta) = (&s.lse[first..], &s.delta[first..]);
        differentiate(
            self.isa, scale, count, tile, &s.visible, lse, delta, &mut s.p, &mut s.ds,
        );
    }

    /// Gradient by the queries of a block: `put(row of the batch, head of the group, dq)`.
    pub fn queries(
        &self,
        head: usize,
        block: &QueryBlock,
        mut put: impl FnMut(usize, usize, &[f32]),
    ) {
        let (d, group, width) = (self.heads.head_dim, self.group(), self.width());
        SCRATCH.with_borrow_mut(|s| {
            self.load(s, head, block.rows.clone());
            s.first.clear();
            s.first.resize(block.rows.len() * group * width, 0.0);
            for run in &block.runs {
                let (first, rows) = (run.rows.start * group, run.rows.len() * group);
                s.visible.clear();
                for i in 0..run.rows.len() {
                    s.visible.extend(std::iter::repeat_n(run.seen(i), group));
                }
                for tile in (0..run.len()).step_by(KEYS) {
                    let keys = KEYS.min(run.len() - tile);
                    self.pack_tile(s, head, run.start + tile, keys);
                    self.scores(s, first, tile, keys);
                    s.lines.resize(panel_words(keys, d), 0.0);
                    let lines = self.stored(head, 0, run.start + tile);
                    pack_lines(self.isa, lines, keys, d, &mut s.lines);
                    let ds = Left {
                        data: &s.ds,
                        row: KEYS,
                        step: 1,
                    };
                    for (panel, b) in s.lines.chunks_exact(keys * LANES).enumerate() {
                        let out = &mut s.first[first * width + panel * LANES..];
                        product(self.isa, rows, keys, ds, b, out, width, true);
                    }
                }
            }
            let values = s.first.chunks_exact(width);
            for (r, dq) in values.enumerate() {
                put(block.rows.start + r / group, r % group, &dq[..d]);
            }
        });
    }
}

/// Gradients by the keys and values of a tile of a segment's own span.
pub struct KeyTask<'a> {
    pub saved: &'a Saved<'a>,
    pub forest: &'a Forest,
    pub head: usize,
    pub segment: usize,
    /// First key of the tile within the span, and number of keys.
    pub start: usize,
    pub count: usize,
    /// Segments that have this one among their ancestors.
    pub below: &'a [usize],
}

impl KeyTask<'_> {
    /// Sums over the segment's own rows, then over those below: `put(row of the batch, dk, dv)`.
    pub fn run(&self, mut put: impl FnMut(usize, &[f32], &[f32])) {
        let s = self.saved;
        let (d, group, width) = (s.heads.head_dim, s.group(), s.width());
        let own = &self.forest.segments[self.segment];
        let most = (BLOCK_ROWS / group).max(1);
        SCRATCH.with_borrow_mut(|x| {
            x.first.clear();
            x.first.resize(self.count * width, 0.0);
            x.second.clear();
            x.second.resize(self.count * width, 0.0);
            s.pack_tile(x, self.head, own.own.start + self.start, self.count);
            for &index in std::iter::once(&self.segment).chain(self.below) {
                let segment = &self.forest.segments[index];
                let is_own = index == self.segment;
                let mut first = if is_own {
                    segment.first_to_see(self.start)
                } else {
                    0
                };
                while first < segment.rows.len() {
                    let count = most.min(segment.rows.len() - first);
                    let row = segment.rows.start + first;
                    s.load(x, self.head, row..row + count);
                    x.visible.clear();
                    for i in 0..count {
                        let seen = if is_own {
                            segment.own_visible(first + i)
                        } else {
                            own.own.len
                        };
                        x.visible.extend(std::iter::repeat_n(seen, group));
                    }
                    self.add(x);
                    first += count;
                }
            }
            for key in 0..self.count {
                let row = own.own.start + self.start + key;
                let (dk, dv) = (&x.first[key * width..][..d], &x.second[key * width..][..d]);
                put(row, dk, dv);
            }
        });
    }

    /// Adds what the loaded rows contribute.
    fn add(&self, x: &mut Scratch) {
        let s = self.saved;
        let (d, width, rows) = (s.heads.head_dim, s.width(), x.visible.len());
        s.scores(x, 0, self.start, self.count);
        x.lines.resize(panel_words(rows, d), 0.0);
        x.more_lines.resize(panel_words(rows, d), 0.0);
        let whole = |data| Lines { data, stride: d };
        pack_lines(s.isa, whole(&x.queries), rows, d, &mut x.lines);
        pack_lines(s.isa, whole(&x.dout), rows, d, &mut x.more_lines);
        for (left, right, out) in [
            (&x.ds, &x.lines, &mut x.first),
            (&x.p, &x.more_lines, &mut x.second),
        ] {
            let left = Left {
                data: left,
                row: 1,
                step: KEYS,
            };
            for (panel, b) in right.chunks_exact(rows * LANES).enumerate() {
                let out = &mut out[panel * LANES..];
                product(s.isa, self.count, rows, left, b, out, width, true);
            }
        }
    }
}

per_isa! {
    /// In: raw scores in `p`, `dout·vᵀ` in `ds`. Out: probabilities and gradients by scores.
    fn differentiate(
        scale: f32,
        count: usize,
        tile: usize,
        visible: &[usize],
        lse: &[f32],
        delta: &[f32],
        p: &mut [f32],
        ds: &mut [f32],
    ) {
        for (r, &visible) in visible.iter().enumerate() {
            let seen = visible.saturating_sub(tile).min(count);
            let (p, ds) = (&mut p[r * KEYS..][..KEYS], &mut ds[r * KEYS..][..KEYS]);
            let (lse, delta) = (lse[r], delta[r]);
            for (p, ds) in p[..seen].iter_mut().zip(&mut ds[..seen]) {
                *p = exp(*p * scale - lse);
                *ds = *p * (*ds - delta) * scale;
            }
            p[seen..].fill(0.0);
            ds[seen..].fill(0.0);
        }
    }
}
