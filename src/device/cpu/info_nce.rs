//! InfoNCE on the CPU.
//!
//! A strip of scores, a few queries by all items, is the only scratch beside normalised copies of the
//! two inputs. Products are f32 always: a temperature of 0.02 multiplies their error by 50.

use super::gemm::{View, gemm};
use super::{Cpu, Multiply, parallel, reduce};
use crate::device::Result;
use crate::ops::info_nce::*;
use std::ops::Range;

/// Scores in a strip, at least one query's.
const STRIP: usize = 1 << 19;
/// Queries in a strip at most.
const QUERIES: usize = 256;

impl InfoNce for Cpu {
    fn info_nce(
        &self,
        batch: &InfoNceBatch,
        queries: &Vec<f32>,
        items: &Vec<f32>,
    ) -> Result<InfoNceOutput<Self>> {
        batch.check(queries.len(), items.len())?;
        let (q, inverse_query_norm) = self.normalise(queries, batch.queries, batch.hidden);
        let (d, inverse_item_norm) = self.normalise(items, batch.items, batch.hidden);
        let mut results = vec![(0.0, 0.0, 0); batch.queries];
        let mut strip = Vec::new();
        for range in strips(batch) {
            self.scores(batch, &q, &d, &range, &mut strip);
            let scores = parallel::Rows::new(&mut strip, batch.items);
            let results = parallel::Rows::new(&mut results[range.clone()], 1);
            parallel::run(range.len(), |r| {
                let (row, i) = (scores.take(r), range.start + r);
                let target = row[batch.targets[i] as usize];
                let max = reduce::max(self.isa, row);
                // Scores first, temperature after: the rank does not hang on its rounding.
                let rank = 1 + reduce::count_above(self.isa, row, target);
                let scale = f64::from(batch.temperature).recip();
                row.iter_mut()
                    .for_each(|s| *s = (*s - max) / batch.temperature);
                let lse = f64::from(max) * scale + reduce::sum_exp(self.isa, row, 0.0).ln();
                let loss = lse - f64::from(target) * scale;
                results.take(r)[0] = (loss as f32, lse as f32, rank);
            });
        }
        Ok(InfoNceOutput {
            loss: results.iter().map(|r| r.0).collect(),
            lse: results.iter().map(|r| r.1).collect(),
            rank: results.iter().map(|r| r.2).collect(),
            inverse_query_norm,
            inverse_item_norm,
        })
    }

    fn info_nce_backward(
        &self,
        batch: &InfoNceBatch,
        queries: &Vec<f32>,
        items: &Vec<f32>,
        output: &InfoNceOutput<Self>,
        coefficients: &[f32],
        dqueries: &mut Vec<f32>,
        ditems: &mut Vec<f32>,
    ) -> Result<()> {
        let (hidden, temperature) = (batch.hidden, batch.temperature);
        batch.check(queries.len(), items.len())?;
        GradientLengths {
            lse: output.lse.len(),
            coefficients: coefficients.len(),
            dqueries: dqueries.len(),
            ditems: ditems.len(),
        }
        .check(batch)?;
        let (q, query_norms) = self.normalise(queries, batch.queries, hidden);
        let (d, item_norms) = self.normalise(items, batch.items, hidden);
        let dqueries = &mut dqueries[..batch.queries * hidden];
        let ditems = &mut ditems[..batch.items * hidden];
        ditems.fill(0.0);

        let mut strip = Vec::new();
        for range in strips(batch) {
            self.scores(batch, &q, &d, &range, &mut strip);
            let scores = parallel::Rows::new(&mut strip, batch.items);
            parallel::run(range.len(), |r| {
                let (row, i) = (scores.take(r), range.start + r);
                let factor = coefficients[i] / temperature;
                row.iter_mut().for_each(|s| *s /= temperature);
                reduce::exp_scaled(self.isa, row, output.lse[i], factor);
                row[batch.targets[i] as usize] -= factor;
            });
            let gradient = View::new(&strip, range.len(), batch.items);
            let part = range.start * hidden..range.end * hidden;
            let (q, d) = (
                View::new(&q[part.clone()], range.len(), hidden),
                View::new(&d, batch.items, hidden),
            );
            let dq = &mut dqueries[part];
            gemm(self.isa, Multiply::F32, gradient, d, dq, hidden, false);
            gemm(
                self.isa,
                Multiply::F32,
                gradient.t(),
                q,
                ditems,
                hidden,
                true,
            );
        }
        self.through_norm(hidden, &q, &query_norms, dqueries);
        self.through_norm(hidden, &d, &item_norms, ditems);
        Ok(())
    }
}

impl Cpu {
    /// `x` with rows of length 1 (zero rows stay zero), and the factors that made them so.
    fn normalise(&self, x: &[f32], rows: usize, hidden: usize) -> (Vec<f32>, Vec<f32>) {
        let mut unit = x[..rows * hidden].to_vec();
        let mut inverse = vec![0.0; rows];
        if hidden > 0 {
            let (x, out) = (
                parallel::Rows::new(&mut unit, hidden),
                parallel::Rows::new(&mut inverse, 1),
            );
            parallel::run(rows, |i| {
                let row = x.take(i);
                let squares = reduce::dot(self.isa, row, row);
                if squares > 0.0 {
                    let factor = squares.sqrt().recip();
                    out.take(i)[0] = factor as f32;
                    row.iter_mut()
                        .for_each(|v| *v = (f64::from(*v) * factor) as f32);
                }
            });
        }
        (unit, inverse)
    }

    /// The cosines of the queries in `range` with every item, masked ones −∞, in `strip`.
    fn scores(
        &self,
        batch: &InfoNceBatch,
        q: &[f32],
        d: &[f32],
        range: &Range<usize>,
        strip: &mut Vec<f32>,
    ) {
        let hidden = batch.hidden;
        strip.resize(range.len() * batch.items, 0.0);
        let q = View::new(
            &q[range.start * hidden..range.end * hidden],
            range.len(),
            hidden,
        );
        let d = View::new(d, batch.items, hidden);
        gemm(self.isa, Multiply::F32, q, d.t(), strip, batch.items, false);
        if batch.mask_offsets.is_empty() {
            return;
        }
        for (row, i) in strip.chunks_exact_mut(batch.items).zip(range.clone()) {
            for &j in &batch.masked[batch.masks(i)] {
                row[j as usize] = f32::NEG_INFINITY;
            }
        }
    }

    /// From the gradient of the unit rows to that of the rows: `dx ← (dx − u (u·dx)) / |x|`.
    fn through_norm(&self, hidden: usize, unit: &[f32], inverse: &[f32], dx: &mut [f32]) {
        if hidden == 0 {
            return;
        }
        let rows = parallel::Rows::new(dx, hidden);
        parallel::run(inverse.len(), |i| {
            let (row, unit) = (rows.take(i), &unit[i * hidden..(i + 1) * hidden]);
            let along = reduce::dot(self.isa, unit, row) as f32;
            for (g, &u) in row.iter_mut().zip(unit) {
                *g = (*g - u * along) * inverse[i];
            }
        });
    }
}

/// The queries of each strip.
fn strips(batch: &InfoNceBatch) -> impl Iterator<Item = Range<usize>> + use<> {
    let (queries, rows) = (
        batch.queries,
        (STRIP / batch.items.max(1)).clamp(1, QUERIES),
    );
    let starts = (0..queries).step_by(rows);
    starts.map(move |start| start..(start + rows).min(queries))
}
