//! In-batch InfoNCE, forward and both gradients.
//!
//! Tolerance. A similarity over the temperature may be off by two roundings for each element; the loss and the
//! gradients follow from that and from a rounding for each term of their sums.

use super::{distinct, limits, normals, wide};
use crate::device::cuda::strip_rows;
use crate::device::{Device, Result};
use crate::ops::info_nce::{InfoNceBatch, reference};
use crate::ops::philox::PhiloxStream;
use crate::workbench::{Contract, Cost, Draw, Probe};
use serde::{Deserialize, Serialize};

const ULP: f64 = f32::EPSILON as f64;

/// The contract of `info_nce`.
pub struct InfoNceContract;

/// Queries and items of a batch.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct InfoNceShape {
    pub queries: usize,
    pub items: usize,
    pub hidden: usize,
    pub temperature: f32,
}

impl Contract for InfoNceContract {
    type Shape = InfoNceShape;
    const OP: &'static str = "info_nce";
    const TYPED: bool = false;

    fn shape(draw: Draw, random: &mut PhiloxStream) -> InfoNceShape {
        let (queries, items, hidden) = match draw {
            Draw::Counted => (96, 64, 576),
            Draw::Model => (12, 16, 576),
            Draw::Smallest => (1, 1, 1),
            // More than a few tiles of 64 × 64, of rows at multiples of 16 bytes.
            Draw::Many => (
                449 + random.below(64),
                449 + random.below(64),
                4 * (1 + random.below(8)),
            ),
            _ => (
                1 + random.below(30),
                1 + random.below(60),
                1 + random.below(40),
            ),
        };
        InfoNceShape {
            queries,
            items,
            hidden,
            temperature: [0.02, 0.05, 1.0][random.below(3)],
        }
    }

    fn limits(s: &InfoNceShape) -> std::result::Result<(), String> {
        let axes = [
            ("queries", s.queries),
            ("items", s.items),
            ("hidden", s.hidden),
        ];
        limits::sizes(
            &axes,
            &[
                &[s.queries, s.hidden],
                &[s.items, s.hidden],
                &[s.queries, s.items],
            ],
        )?;
        limits::positive("temperature", s.temperature)
    }

    fn costs(s: &InfoNceShape, seed: u64, _: usize) -> Vec<Cost> {
        let InfoNceShape {
            queries,
            items,
            hidden,
            ..
        } = *s;
        let batch = batch(s, seed);
        let (row, pairs) = (4 * hidden, queries * items);
        // Of the gradient, the first strip of queries.
        let strip = queries.min(strip_rows(items));
        let masks_of = |queries: usize| match batch.mask_offsets.get(queries) {
            Some(&masked) => 4 * (queries + 1 + masked as usize),
            None => 0,
        };
        let targets = (queries + distinct(&batch.targets)) * row;
        // Rows of both, each of which has a norm.
        let rows = queries + items;
        let elements = rows * hidden;
        vec![
            Cost::new("unit_rows", rows * (2 * row + 4), 3 * elements + 2 * rows),
            Cost::new(
                "info_nce_target",
                targets + 8 * queries,
                2 * queries * hidden,
            ),
            // A maximum, a sum and a rank of each query, from the scale, the maximum, the exponential, the sum
            // and a comparison.
            Cost::new(
                "info_nce",
                rows * row + masks_of(queries) + 16 * queries,
                pairs * (2 * hidden + 5),
            ),
            Cost::new("info_nce_finish", 28 * queries, 6 * queries),
            Cost::new(
                "info_nce_gradient",
                (strip + items) * row + masks_of(strip) + 12 * strip + 4 * strip * items,
                strip * items * (2 * hidden + 5),
            ),
            Cost::new("through_norm", rows * (3 * row + 4), 5 * elements),
        ]
    }

    fn run<D: Device>(
        s: &InfoNceShape,
        draw: Draw,
        seed: u64,
        probe: &mut Probe<'_, D>,
    ) -> Result<()> {
        // The cosine of a row that is not finite is not the contract's.
        let draw = draw.finite();
        let (batch, q, d) = (
            batch(s, seed),
            rows(s, draw, seed, 1, s.queries),
            rows(s, draw, seed, 2, s.items),
        );
        let coefficients = normals(Draw::Any, seed, 3, s.queries);
        let (wide_q, wide_d) = (wide(&q), wide(&d));
        let want = reference::info_nce(&batch, &wide_q, &wide_d);
        let (dq, dd) = reference::info_nce_backward(&batch, &wide_q, &wide_d, &wide(&coefficients));
        // Cosines of unit rows: the roundings of the rows and of a sum of `hidden` products.
        let temperature = f64::from(s.temperature);
        let error = 2.0 * (s.hidden as f64 + 4.0) * ULP / temperature + 16.0 * ULP;
        let scaled = |x: &[f64]| {
            x.iter()
                .map(|v| error + ULP * v.abs())
                .collect::<Vec<f64>>()
        };

        let (q_in, d_in) = (probe.floats("queries", &q)?, probe.floats("items", &d)?);
        let [forward, backward] = calls(s, &batch);
        let output = probe.call("info_nce", forward, |device| {
            device.info_nce(&batch, &q_in, &d_in)
        })?;
        let (of_loss, of_lse) = (scaled(&want.loss), scaled(&want.lse));
        probe.take_floats("loss", &output.loss, want.loss, of_loss)?;
        probe.take_floats("lse", &output.lse, want.lse, of_lse)?;
        let mut dqueries = probe.new_floats(q.len())?;
        let mut ditems = probe.new_floats(d.len())?;
        probe.call("info_nce_backward", backward, |device| {
            device.info_nce_backward(
                &batch,
                &q_in,
                &d_in,
                &output,
                &coefficients,
                &mut dqueries,
                &mut ditems,
            )
        })?;
        // |softmax − onehot| sums to at most 2; each is off by its score, lse and factor; then the
        // projection doubles it, and the sum over rows or items adds its roundings.
        let relative = 4.0 * error + (s.queries.max(s.items) as f64 + 8.0) * ULP;
        let row = |i: usize| 2.0 * f64::from(coefficients[i].abs()) / temperature;
        let inverse = |x: &[f64]| {
            let norm = x.iter().map(|v| v * v).sum::<f64>().sqrt();
            if norm > 0.0 { norm.recip() } else { 0.0 }
        };
        let hidden = s.hidden;
        let norms: Vec<f64> = wide_q.chunks_exact(hidden).map(inverse).collect();
        let of_q = (0..q.len()).map(|l| 2.0 * relative * row(l / hidden) * norms[l / hidden]);
        let of_q = of_q.collect();
        probe.take_floats("dqueries", &dqueries, dq, of_q)?;
        let total: f64 = (0..s.queries).map(row).sum();
        let largest = wide_d.chunks_exact(hidden).map(inverse).fold(0.0, f64::max);
        let of_d = vec![2.0 * relative * total * largest; d.len()];
        probe.take_floats("ditems", &ditems, dd, of_d)
    }
}

/// Bytes that the forward and the backward cannot do without: queries and items, targets and masks; of a query its
/// loss, log-sum-exp and rank, of both the norms; of the backward log-sum-exps and coefficients, and both gradients.
fn calls(s: &InfoNceShape, batch: &InfoNceBatch) -> [usize; 2] {
    let rows = s.queries + s.items;
    let lists = 4 * (s.queries + batch.mask_offsets.len() + batch.masked.len());
    let both = 4 * rows * s.hidden + lists;
    [
        both + 12 * s.queries + 4 * rows,
        both + 8 * s.queries + 4 * rows * s.hidden,
    ]
}

/// Rows of very different lengths, some of them zero.
fn rows(s: &InfoNceShape, draw: Draw, seed: u64, stream: u64, count: usize) -> Vec<f32> {
    let mut x = normals(draw, seed, stream, count * s.hidden);
    if draw == Draw::Any {
        let mut random = PhiloxStream::new(seed, 16 + stream);
        for row in x.chunks_exact_mut(s.hidden) {
            let scale = [0.0, 1.0, 1.0, 1e-3, 1e3][random.below(5)];
            row.iter_mut().for_each(|v| *v *= scale);
        }
    }
    x
}

/// Drawn targets, and in three cases of four a few masks.
fn batch(s: &InfoNceShape, seed: u64) -> InfoNceBatch {
    let mut random = PhiloxStream::new(seed, 0);
    let targets: Vec<u32> = (0..s.queries)
        .map(|_| random.below(s.items) as u32)
        .collect();
    let (mut mask_offsets, mut masked) = (Vec::new(), Vec::new());
    if random.below(4) > 0 {
        mask_offsets.push(0);
        for &target in &targets {
            masked.extend((0..s.items as u32).filter(|&j| j != target && random.below(6) == 0));
            mask_offsets.push(masked.len() as u32);
        }
    }
    InfoNceBatch {
        queries: s.queries,
        items: s.items,
        hidden: s.hidden,
        temperature: s.temperature,
        targets,
        mask_offsets,
        masked,
    }
}
