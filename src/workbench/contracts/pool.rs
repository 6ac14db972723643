//! Pooling and its backward, with embeddings in f32 and in the activations' type.
//!
//! Tolerance. A rounding of the sum of magnitudes for each row that is pooled.

use super::{distinct, limits, magnitudes, normals, onto, wide};
use crate::device::{Device, Result};
use crate::ops::philox::PhiloxStream;
use crate::ops::pool::{PoolPlan, reference};
use crate::workbench::{Contract, Cost, Draw, Probe};
use serde::{Deserialize, Serialize};

const ULP: f64 = f32::EPSILON as f64;

/// The contract of `pool`.
pub struct PoolContract;

/// Embeddings, the rows that they are of, and their width.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PoolShape {
    pub outputs: usize,
    pub rows: usize,
    pub hidden: usize,
}

impl Contract for PoolContract {
    type Shape = PoolShape;
    const OP: &'static str = "pool";

    fn shape(draw: Draw, random: &mut PhiloxStream) -> PoolShape {
        let (outputs, rows, hidden) = match draw {
            Draw::Counted => (64, 512, 576),
            Draw::Model => (8, 32, 576),
            Draw::Smallest => (1, 1, 1),
            _ => (
                1 + random.below(20),
                1 + random.below(30),
                1 + random.below(70),
            ),
        };
        PoolShape {
            outputs,
            rows,
            hidden,
        }
    }

    fn limits(s: &PoolShape) -> std::result::Result<(), String> {
        let axes = [
            ("outputs", s.outputs),
            ("rows", s.rows),
            ("hidden", s.hidden),
        ];
        limits::sizes(&axes, &[&[s.outputs, s.hidden], &[s.rows, s.hidden]])
    }

    fn costs(s: &PoolShape, seed: u64, real: usize) -> Vec<Cost> {
        let (plan, hidden) = (plan(s, seed), s.hidden);
        let terms = plan.rows.len();
        // Rows that are named, and outputs that name some: each is read once.
        let named = distinct(&plan.rows);
        let filled = plan.offsets.windows(2).filter(|ends| ends[0] < ends[1]);
        let filled = filled.count();
        let cost = |kernel: &str, lists: usize, rows: usize| {
            Cost::new(
                kernel,
                4 * lists + 8 * terms + hidden * rows,
                2 * terms * hidden,
            )
        };
        let (outputs, lists) = (s.outputs, s.outputs + 1);
        match real {
            2 => vec![
                cost("pool_bf16_f32", lists, 2 * named + 4 * outputs),
                cost("pool_bf16_bf16", lists, 2 * named + 2 * outputs),
                // The backward of embeddings in f32, which is told its targets.
                cost("pool_f32_bf16", 2 * named + 1, 4 * filled + 4 * named),
            ],
            _ => vec![cost("pool_f32_f32", lists, 4 * named + 4 * outputs)],
        }
    }

    fn run<D: Device>(
        s: &PoolShape,
        draw: Draw,
        seed: u64,
        probe: &mut Probe<'_, D>,
    ) -> Result<()> {
        let len = s.outputs * s.hidden;
        let plan = plan(s, seed);
        // The plan; rows that are named, and embeddings of so many bytes an element: of the backward those that name
        // some, and rows that are added to.
        let real = size_of::<D::Real>();
        let lists = 4 * plan.offsets.len() + 8 * plan.rows.len();
        let named = s.hidden * distinct(&plan.rows) * real;
        let filled = plan.offsets.windows(2).filter(|ends| ends[0] < ends[1]);
        let filled = s.hidden * filled.count();
        let forward = |size: usize| lists + named + len * size;
        let backward = |size: usize| lists + 2 * named + filled * size;
        let (x, dout) = (
            normals(draw, seed, 2, s.rows * s.hidden),
            normals(draw, seed, 3, len),
        );
        let start = normals(Draw::Any, seed, 5, x.len());
        // A product and a sum for each term, in the order of the terms.
        let mut sizes = plan.clone();
        sizes.weights.iter_mut().for_each(|w| *w = w.abs());
        let terms = plan.rows.len() as f64 + 1.0;
        let scaled = |sizes: Vec<f64>| sizes.iter().map(|s| terms * ULP * s).collect::<Vec<f64>>();
        let want = reference::pool(&plan, s.hidden, &wide(&x));
        let error = scaled(reference::pool(&sizes, s.hidden, &magnitudes(&x)));

        let x_in = probe.reals("x", &x)?;
        let mut out = probe.new_floats(len)?;
        probe.call("pool", forward(4), |device| {
            device.pool(&plan, s.hidden, &x_in, &mut out, false)
        })?;
        probe.take_floats("out", &out, want.clone(), error.clone())?;
        let mut out = probe.new_reals(len)?;
        probe.call("pool to activations", forward(real), |device| {
            device.pool(&plan, s.hidden, &x_in, &mut out, false)
        })?;
        probe.take_reals("out as activations", &out, want, error)?;

        let gradient = reference::pool_backward(&plan, s.hidden, s.rows, &wide(&dout));
        let sizes = reference::pool_backward(&sizes, s.hidden, s.rows, &magnitudes(&dout));
        let (want, error) = onto(&gradient, &scaled(sizes), &start, terms * ULP);
        let dout_in = probe.floats("dout", &dout)?;
        let mut dx = probe.sum_reals(&start)?;
        probe.call("pool_backward", backward(4), |device| {
            device.pool_backward(&plan, s.hidden, &dout_in, &mut dx)
        })?;
        probe.take_reals("dx", &dx, want.clone(), error.clone())?;
        probe.summed();
        let dout_in = probe.reals("dout as activations", &dout)?;
        let mut dx = probe.sum_reals(&start)?;
        probe.call("pool_backward of activations", backward(real), |device| {
            device.pool_backward(&plan, s.hidden, &dout_in, &mut dx)
        })?;
        probe.take_reals("dx of activations", &dx, want, error)?;
        probe.summed();
        Ok(())
    }
}

/// Outputs of up to five rows each, also of none, and of the same row twice.
fn plan(s: &PoolShape, seed: u64) -> PoolPlan {
    let mut random = PhiloxStream::new(seed, 0);
    let mut plan = PoolPlan {
        offsets: vec![0],
        ..PoolPlan::default()
    };
    for _ in 0..s.outputs {
        let terms = random.below(6);
        plan.rows
            .extend((0..terms).map(|_| random.below(s.rows) as u32));
        plan.offsets.push(plan.rows.len() as u32);
    }
    plan.weights = normals(Draw::Any, seed, 1, plan.rows.len());
    plan
}
