//! Forward: a block of query rows against all the keys it sees.

use super::blocks::{QueryBlock, Run};
use super::product::{Left, product};
use super::tiles::{KEYS, LANES, Lines, pack_lines, pack_transposed, panel_words};
use crate::device::cpu::Isa;
use crate::device::cpu::math::exp;
use crate::ops::attention::Heads;
use crate::per_isa;
use std::cell::RefCell;

/// A block of rows and one key/value head.
pub struct QueryTask<'a> {
    pub isa: Isa,
    pub heads: &'a Heads,
    pub block: &'a QueryBlock,
    /// Queries of the group by row of the batch; keys and values of the head by row of their store.
    pub queries: Lines<'a>,
    pub keys: Lines<'a>,
    pub values: Lines<'a>,
}

/// Buffers of a task, `rows` being tokens times heads of the group.
#[derive(Default)]
struct Scratch {
    /// `[rows][head_dim]`.
    queries: Vec<f32>,
    /// `[rows][head_dim in whole panels]`.
    out: Vec<f32>,
    /// `[rows][KEYS]`.
    scores: Vec<f32>,
    /// Running maximum and sum, and how many keys of the tile a row sees.
    maximum: Vec<f32>,
    sum: Vec<f32>,
    visible: Vec<usize>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl QueryTask<'_> {
    /// Computes the block and hands `(row of the batch, head of the group, out, maximum, sum)` of
    /// each to `put`: the largest score, the sum of the exponentials below it, and the sum of the
    /// values with these weights.
    pub fn run(&self, put: impl FnMut(usize, usize, &[f32], f32, f32)) {
        SCRATCH.with_borrow_mut(|s| self.run_in(s, put));
    }

    fn run_in(&self, s: &mut Scratch, mut put: impl FnMut(usize, usize, &[f32], f32, f32)) {
        let d = self.heads.head_dim;
        let group = self.heads.num_heads / self.heads.num_kv_heads;
        let rows = self.block.rows.len() * group;
        let width = d.div_ceil(LANES) * LANES;
        let scale = 1.0 / (d as f32).sqrt();
        s.queries.resize(rows * d, 0.0);
        let scaled = s.queries.chunks_exact_mut(group * d);
        for (row, scaled) in self.block.rows.clone().zip(scaled) {
            scale_to(self.isa, self.queries.line(row, group * d), scale, scaled);
        }
        s.out.clear();
        s.out.resize(rows * width, 0.0);
        s.scores.resize(rows * KEYS, 0.0);
        s.maximum.clear();
        s.maximum.resize(rows, f32::NEG_INFINITY);
        s.sum.clear();
        s.sum.resize(rows, 0.0);
        for run in &self.block.runs {
            self.stream(s, run, group);
        }
        for r in 0..rows {
            put(
                self.block.rows.start + r / group,
                r % group,
                &s.out[r * width..][..d],
                s.maximum[r],
                s.sum[r],
            );
        }
    }

    /// Streams the keys of a run past its rows.
    fn stream(&self, s: &mut Scratch, run: &Run, group: usize) {
        let d = self.heads.head_dim;
        let (first, rows) = (run.rows.start * group, run.rows.len() * group);
        let width = d.div_ceil(LANES) * LANES;
        s.visible.clear();
        for i in 0..run.rows.len() {
            s.visible.extend(std::iter::repeat_n(run.seen(i), group));
        }
        let queries = &s.queries[first * d..];
        let out = &mut s.out[first * width..];
        for tile in (0..run.len()).step_by(KEYS) {
            let count = KEYS.min(run.len() - tile);
            let at = |lines: Lines<'_>| (run.start + tile) * lines.stride;
            let keys = Lines {
                data: &self.keys.data[at(self.keys)..],
                ..self.keys
            };
            let values = Lines {
                data: &self.values.data[at(self.values)..],
                ..self.values
            };
            s.keys.resize(panel_words(d, count), 0.0);
            pack_transposed(self.isa, keys, count, d, &mut s.keys);
            s.values.resize(panel_words(count, d), 0.0);
            pack_lines(self.isa, values, count, d, &mut s.values);
            let q = Left {
                data: queries,
                row: d,
                step: 1,
            };
            for (panel, b) in s.keys.chunks_exact(d * LANES).enumerate() {
                let scores = &mut s.scores[panel * LANES..];
                product(self.isa, rows, d, q, b, scores, KEYS, false);
            }
            soften(
                self.isa,
                count,
                tile,
                &s.visible,
                &mut s.scores,
                &mut s.maximum[first..],
                &mut s.sum[first..],
                out,
                width,
            );
            let p = Left {
                data: &s.scores,
                row: KEYS,
                step: 1,
            };
            for (panel, b) in s.values.chunks_exact(count * LANES).enumerate() {
                let out = &mut out[panel * LANES..];
                product(self.isa, rows, count, p, b, out, width, true);
            }
        }
    }
}

per_isa! {
    /// `to = factor · from`.
    pub fn scale_to(from: &[f32], factor: f32, to: &mut [f32]) {
        for (to, x) in to.iter_mut().zip(from) {
            *to = factor * x;
        }
    }
}

/// Columns of scores that are looked at together.
const PART: usize = 16;

/// Folds partial results by halves.
#[inline(always)]
fn fold(mut lanes: [f32; PART], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = PART / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = f(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

per_isa! {
    /// Scores of a tile become exponentials below the new maximum; sums and outputs so far are
    /// scaled down to it. Row `r` sees the keys of the span before `visible[r]`.
    fn soften(
        count: usize,
        tile: usize,
        visible: &[usize],
        scores: &mut [f32],
        maximum: &mut [f32],
        sum: &mut [f32],
        out: &mut [f32],
        width: usize,
    ) {
        let used = count.next_multiple_of(PART);
        for (r, &visible) in visible.iter().enumerate() {
            let row = &mut scores[r * KEYS..][..used];
            let seen = visible.saturating_sub(tile).min(count);
            if seen == 0 {
                row.fill(0.0);
                continue;
            }
            row[seen..].fill(f32::NEG_INFINITY);
            let mut lanes = [f32::NEG_INFINITY; PART];
            for part in row.chunks_exact(PART) {
                for (l, x) in lanes.iter_mut().zip(part) {
                    *l = larger(*l, *x);
                }
            }
            let largest = larger(maximum[r], fold(lanes, larger));
            let mut sums = [0.0f32; PART];
            for part in row.chunks_exact_mut(PART) {
                for (s, x) in sums.iter_mut().zip(part) {
                    *x = exp(*x - largest);
                    *s += *x;
                }
            }
            let total = fold(sums, |a, b| a + b);
            if maximum[r] == f32::NEG_INFINITY {
                // The first keys of the row: nothing to scale down.
                sum[r] = total;
            } else {
                let shrink = exp(maximum[r] - largest);
                sum[r] = sum[r] * shrink + total;
                for o in &mut out[r * width..][..width] {
                    *o *= shrink;
                }
            }
            maximum[r] = largest;
        }
    }
}
