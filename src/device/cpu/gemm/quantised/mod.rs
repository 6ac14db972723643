//! Weights in int8 and int4: one scale per row and group of 32 inputs; inputs are quantised to int8 row by row
//! with the same groups, products summed in whole numbers (by AVX-512 VNNI or AVX2 where there is), groups in f32.
//!
//! Weights are kept as unsigned numbers, since the processor multiplies u8 by s8: in int8 with 128 added, in int4
//! from the group's lowest on. What that adds to a group's sum is so many times the sum of its inputs, known once
//! per row and group.

mod dots;
mod inputs;
mod panels;

use super::{NR, Output, TILE, Tile, View, blocks};
use crate::device::cpu::{Isa, parallel};
use dots::STEP;
use inputs::Inputs;
pub(super) use panels::{Form, QuantisedPanels};
use std::cell::RefCell;

thread_local! {
    static INPUTS: RefCell<Inputs> = RefCell::default();
}

/// `output[m, n] (+)= x · w[first..first + n]ᵀ`.
pub(super) fn multiply(
    isa: Isa,
    x: View<'_>,
    w: &QuantisedPanels,
    first: usize,
    n: usize,
    output: &Output,
) {
    let m = x.rows;
    INPUTS.with_borrow_mut(|inputs| {
        inputs.fill(isa, x, w.groups());
        let (row_blocks, column_blocks) = blocks(m, n);
        let rows_per = m.div_ceil(STEP).div_ceil(row_blocks) * STEP;
        let columns_per = n.div_ceil(NR).div_ceil(column_blocks) * NR;
        let inputs = &*inputs;
        parallel::run(row_blocks * column_blocks, |task| {
            let (rb, cb) = (task % row_blocks, task / row_blocks);
            let columns = cb * columns_per..((cb + 1) * columns_per).min(n);
            let mut tile = Tile([0.0; TILE]);
            for col in columns.step_by(NR) {
                let panel = w.panel((first + col) / NR);
                for row in (rb * rows_per..((rb + 1) * rows_per).min(m)).step_by(STEP) {
                    let height = STEP.min(m - row);
                    let rows = inputs.from(row);
                    dots::tile_rows(isa, w.form(), height, &rows, panel, &mut tile);
                    // SAFETY: tasks own disjoint blocks of rows and columns.
                    unsafe { output.put(&tile, row, col, height, NR.min(n - col)) };
                }
            }
        });
    });
}
