//! Linear + cross-entropy on the CPU.
//!
//! A tile of logits, `ROWS` tokens by `COLUMNS` of the vocabulary, is the only scratch. Every row
//! meets the vocabulary in its order, so its result does not depend on the other rows or the threads.

use super::gemm::{View, gemm};
use super::{Cpu, parallel, reduce};
use crate::device::Result;
use crate::ops::linear::{LinearShape, Weight};
use crate::ops::linear_cross_entropy::*;
use std::ops::Range;

/// Columns of a tile: with 16 to 1024 rows it stays in the caches between its passes.
const COLUMNS: usize = 1024;
/// Rows of a tile, which bounds the scratch at 4 MiB.
const ROWS: usize = 1024;

/// A row's log-sum-exp so far.
#[derive(Clone, Copy)]
struct Running {
    max: f32,
    /// Σ exp(logit − max).
    sum: f64,
    /// The target's logit, once its tile has passed.
    target: f32,
}

impl LinearCrossEntropy for Cpu {
    fn linear_cross_entropy(
        &self,
        shape: LinearShape,
        hidden: &Vec<f32>,
        w: Weight<'_, Self>,
        targets: &[u32],
        nll: &mut Vec<f32>,
        lse: &mut Vec<f32>,
    ) -> Result<()> {
        check(shape, hidden.len(), targets)?;
        let w = w.master(OP, shape)?;
        check_outputs(shape, nll.len(), lse.len())?;
        let mut tile = scratch(shape.m, shape.n);
        for rows in blocks(shape.m, ROWS) {
            let mut running = vec![
                Running {
                    max: f32::NEG_INFINITY,
                    sum: 0.0,
                    target: 0.0,
                };
                rows.len()
            ];
            let x = &hidden[rows.start * shape.k..rows.end * shape.k];
            for columns in blocks(shape.n, COLUMNS) {
                let tile = self.logits(shape.k, x, rows.len(), w, &columns, &mut tile);
                let logits = parallel::Rows::new(tile, columns.len());
                let states = parallel::Rows::new(&mut running, 1);
                parallel::run(rows.len(), |i| {
                    let (row, state) = (logits.take(i), &mut states.take(i)[0]);
                    let max = state.max.max(reduce::max(self.isa, row));
                    let old = state.sum * f64::from(state.max - max).exp();
                    state.sum = old + reduce::sum_exp(self.isa, row, max);
                    state.max = max;
                    let target = targets[rows.start + i] as usize;
                    if columns.contains(&target) {
                        state.target = row[target - columns.start];
                    }
                });
            }
            for (i, state) in rows.zip(&running) {
                let total = f64::from(state.max) + state.sum.ln();
                lse[i] = total as f32;
                nll[i] = (total - f64::from(state.target)) as f32;
            }
        }
        Ok(())
    }

    fn linear_cross_entropy_backward(
        &self,
        shape: LinearShape,
        hidden: &Vec<f32>,
        w: Weight<'_, Self>,
        targets: &[u32],
        lse: &Vec<f32>,
        coefficients: &[f32],
        dhidden: &mut Vec<f32>,
        dw: &mut Vec<f32>,
        accumulate: bool,
    ) -> Result<()> {
        let LinearShape { m, n, k } = shape;
        check(shape, hidden.len(), targets)?;
        let w = w.master(OP, shape)?;
        GradientLengths {
            lse: lse.len(),
            coefficients: coefficients.len(),
            dhidden: dhidden.len(),
            dw: dw.len(),
        }
        .check(shape)?;
        // Only rows with a coefficient are multiplied.
        let active: Vec<usize> = (0..m).filter(|&i| coefficients[i] != 0.0).collect();
        let rows = active.iter().map(|&i| &hidden[i * k..(i + 1) * k]);
        let x_active: Vec<f32> = rows.flatten().copied().collect();
        let mut dx_active = vec![0.0; x_active.len()];

        if active.is_empty() && !accumulate {
            dw[..n * k].fill(0.0);
        }
        let mut tile = scratch(active.len(), n);
        for rows in blocks(active.len(), ROWS) {
            let x = &x_active[rows.start * k..rows.end * k];
            let dx = &mut dx_active[rows.start * k..rows.end * k];
            for columns in blocks(n, COLUMNS) {
                let tile = self.logits(k, x, rows.len(), w, &columns, &mut tile);
                let logits = parallel::Rows::new(tile, columns.len());
                parallel::run(rows.len(), |r| {
                    let (row, i) = (logits.take(r), active[rows.start + r]);
                    reduce::exp_scaled(self.isa, row, lse[i], coefficients[i]);
                    let target = targets[i] as usize;
                    if columns.contains(&target) {
                        row[target - columns.start] -= coefficients[i];
                    }
                });
                let part = columns.start * k..columns.end * k;
                let gradient = View::new(tile, rows.len(), columns.len());
                let weights = View::new(&w[part.clone()], columns.len(), k);
                gemm(self.isa, self.multiply, gradient, weights, dx, k, true);
                let x = View::new(x, rows.len(), k);
                gemm(
                    self.isa,
                    self.multiply,
                    gradient.t(),
                    x,
                    &mut dw[part],
                    k,
                    accumulate || rows.start > 0,
                );
            }
        }
        dhidden[..m * k].fill(0.0);
        for (r, &i) in active.iter().enumerate() {
            dhidden[i * k..(i + 1) * k].copy_from_slice(&dx_active[r * k..(r + 1) * k]);
        }
        Ok(())
    }
}

impl Cpu {
    /// The logits of `rows` rows of `x` for some `columns` of the vocabulary, in the front of `tile`.
    fn logits<'a>(
        &self,
        k: usize,
        x: &[f32],
        rows: usize,
        w: &[f32],
        columns: &Range<usize>,
        tile: &'a mut [f32],
    ) -> &'a mut [f32] {
        let tile = &mut tile[..rows * columns.len()];
        let w = View::new(&w[columns.start * k..columns.end * k], columns.len(), k);
        let x = View::new(x, rows, k);
        gemm(
            self.isa,
            self.multiply,
            x,
            w.t(),
            tile,
            columns.len(),
            false,
        );
        tile
    }
}

fn blocks(len: usize, block: usize) -> impl Iterator<Item = Range<usize>> {
    let starts = (0..len).step_by(block);
    starts.map(move |start| start..(start + block).min(len))
}

fn scratch(rows: usize, columns: usize) -> Vec<f32> {
    vec![0.0; rows.min(ROWS) * columns.min(COLUMNS)]
}
