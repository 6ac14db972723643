//! Linear's products that are so large that a GPU takes its largest tiles, or cuts the depth into parts.

use super::linear::product;
use super::linear_swiglu::gated;
use super::trained::Trained;
use super::{normals, onto};
use crate::device::{Device, Result};
use crate::ops::linear::{LinearShape, WeightFormat};
use crate::workbench::{Draw, Probe};

const ULP: f64 = f32::EPSILON as f64;

/// Tiles of 128 × 128, of 128 × 96 and of 128 × 64 that fill a GPU: half of each of them, and little behind every
/// element.
const LARGE: [LinearShape; 3] = [with_columns(10376), with_columns(8568), with_columns(6392)];

const fn with_columns(n: usize) -> LinearShape {
    LinearShape { m: 65, n, k: 8 }
}

/// Rows that gradients of weights and biases sum in parts, of a bias in more than a warp adds up.
const ROWS: usize = 33 * 256 + 10;

/// Runs them and hands what comes out to the probe.
pub fn products<D: Device>(seed: u64, probe: &mut Probe<'_, D>) -> Result<()> {
    let device = probe.device;
    // Of f32 there are no larger tiles.
    if device.training_format() == WeightFormat::Bf16 {
        for (shape, seed) in LARGE.into_iter().zip([seed, seed ^ 1, seed ^ 2]) {
            large(shape, seed, probe)?;
        }
    }

    let k = LARGE[0].k;
    let drawn = |stream: u64, len: usize| normals(Draw::Any, seed, stream, len);
    let (dy, x) = (drawn(23, ROWS * k), drawn(24, ROWS * k));
    let (dy_in, x_in) = (probe.reals("deep dy", &dy)?, probe.reals("deep x", &x)?);
    let (dw_there, db_there) = (drawn(25, k * k), drawn(26, k));
    let (mut dw, mut db) = (probe.sum_floats(&dw_there)?, probe.sum_floats(&db_there)?);
    let shape = LinearShape { m: ROWS, n: k, k };
    device.linear_backward_weight(shape, &dy_in, &x_in, &mut dw, Some(&mut db), true)?;
    let columns = transposed(&dy, k);
    for (name, got, right, there) in [
        ("deep dweight", &dw, transposed(&x, k), &dw_there),
        ("deep dbias", &db, vec![1.0; ROWS], &db_there),
    ] {
        let depth = LinearShape {
            m: k,
            n: right.len() / ROWS,
            k: ROWS,
        };
        let (want, error) = product(depth, &columns, &right, None);
        let (want, error) = onto(&want, &error, there, 4.0 * ULP);
        probe.take_floats(name, got, want, error)?;
        probe.summed();
    }
    Ok(())
}

/// Columns of rows of `width` as rows.
fn transposed(x: &[f32], width: usize) -> Vec<f32> {
    let rows = x.len() / width;
    let element = |i: usize| x[i % rows * width + i / rows];
    (0..x.len()).map(element).collect()
}

/// A product with a weight as it is, and with its transpose.
fn large<D: Device>(large: LinearShape, seed: u64, probe: &mut Probe<'_, D>) -> Result<()> {
    let device = probe.device;
    let LinearShape { m, n, k } = large;
    let drawn = |stream: u64, len: usize| normals(Draw::Any, seed, stream, len);
    let (x, w) = (drawn(21, m * k), drawn(22, n * k));
    let x_in = probe.reals("large x", &x)?;
    let trained = Trained::new("large weight", (n, k), &w, probe)?;
    let (want, error) = product(large, &x, &w, None);
    let mut y = probe.new_reals(m * n)?;
    device.linear(large, &x_in, trained.weight(), None, &mut y, false)?;
    probe.take_reals("large y", &y, want.clone(), error.clone())?;
    let mut logits = probe.new_floats(m * n)?;
    device.logits(large, &x_in, trained.weight(), &mut logits)?;
    probe.take_floats("large logits", &logits, want.clone(), error.clone())?;
    let half = LinearShape { n: n / 2, ..large };
    gated("large gated y", half, false, (Draw::Any, seed), probe)?;

    // The product with the other operand's rows as columns: wᵀ stands for the weight.
    let shape = LinearShape { m, n: k, k: n };
    let turned = Trained::new("turned weight", (k, n), &transposed(&w, k), probe)?;
    let mut dx = probe.new_reals(m * n)?;
    device.linear_backward_input(shape, &x_in, turned.weight(), &mut dx, false)?;
    probe.take_reals("large dx", &dx, want, error)?;
    Ok(())
}
