//! Exact top-k search: indices and scores, equal scores in the order of their index.
//!
//! Tolerance. None: the integers that are drawn have exact scores in every format, and equal ones go by index.

use super::linear_int4::Int4;
use super::linear_int8::Int8;
use super::linear_quantised::{GROUP, Quantised};
use super::{limits, wide};
use crate::device::{Device, Result};
use crate::ops::linear::WeightFormat;
use crate::ops::philox::PhiloxStream;
use crate::ops::top_k::reference;
use crate::workbench::{Contract, Cost, Draw, Probe};
use serde::{Deserialize, Serialize};

/// The contract of `top_k`.
pub struct TopKContract;

/// Queries, items and hits.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct TopKShape {
    pub queries: usize,
    pub items: usize,
    pub hidden: usize,
    pub k: usize,
}

impl Contract for TopKContract {
    type Shape = TopKShape;
    const OP: &'static str = "top_k";
    const TYPED: bool = false;

    fn shape(draw: Draw, random: &mut PhiloxStream) -> TopKShape {
        let (queries, items, hidden, k) = match draw {
            Draw::Counted => (32, 1600, 576, 10),
            Draw::Model => (4, 200, 576, 10),
            Draw::Smallest => (1, 1, 1, 1),
            // Enough for a block of many queries, rows of multiples of 16 bytes.
            Draw::Many => (20, 150, 40, 7),
            _ => (
                1 + random.below(24),
                1 + random.below(300),
                1 + random.below(40),
                1 + random.below(30),
            ),
        };
        TopKShape {
            queries,
            items,
            hidden,
            k,
        }
    }

    fn limits(s: &TopKShape) -> std::result::Result<(), String> {
        let axes = [
            ("queries", s.queries),
            ("items", s.items),
            ("hidden", s.hidden),
            ("k", s.k),
        ];
        limits::sizes(
            &axes,
            &[
                &[s.queries, s.hidden],
                &[s.items, s.hidden],
                &[s.queries, s.items],
            ],
        )
    }

    fn costs(s: &TopKShape, _: u64, _: usize) -> Vec<Cost> {
        let TopKShape {
            queries,
            items,
            hidden,
            k,
        } = *s;
        // A hit is 8 bytes, and so is the one that a query's are to be below.
        let (hits, below) = (8 * queries * k.min(items), 8 * queries);
        let cost = |kernel: &str, format: WeightFormat, products: usize| {
            let bytes = operands(s, format) + below + hits;
            Cost::new(kernel, bytes, 2 * queries * items * products)
        };
        // One more for each scale.
        let products = hidden + hidden.div_ceil(GROUP);
        vec![
            cost("top_k_f32", WeightFormat::F32, hidden),
            cost("top_k_bf16", WeightFormat::Bf16, hidden),
            cost("top_k_int8", WeightFormat::Int8, products),
            cost("top_k_int4", WeightFormat::Int4, products),
            Cost::new("top_k_merge", 2 * hits + below, 0),
        ]
    }

    fn run<D: Device>(s: &TopKShape, _: Draw, seed: u64, probe: &mut Probe<'_, D>) -> Result<()> {
        let TopKShape {
            queries,
            items,
            hidden,
            k,
        } = *s;
        // Small integers are exact in every format, and tie often; in int8 and int4 with the extremes among those
        // that share a scale.
        let integers = |stream: u64, rows: usize, extremes: &[f32]| -> Vec<f32> {
            let mut random = PhiloxStream::new(seed, stream);
            let mut number = |i: usize| {
                let small = random.below(7) as f32 - 3.0;
                *extremes.get(i % hidden % GROUP).unwrap_or(&small)
            };
            (0..rows * hidden).map(&mut number).collect()
        };
        let rows = integers(0, queries, &[127.0]);
        let query_rows = probe.floats("queries", &rows)?;
        for (of, format, extremes) in [
            ("", WeightFormat::F32, &[127.0][..]),
            (" of bf16", WeightFormat::Bf16, &[127.0]),
            (" of int8", WeightFormat::Int8, &[127.0]),
            (" of int4", WeightFormat::Int4, &[-7.0, 8.0]),
        ] {
            let item_rows = integers(1, items, extremes);
            let want = reference::top_k(hidden, &wide(&rows), &wide(&item_rows), k);
            let packed = probe.device.pack(&item_rows, items, hidden, format)?;
            // Both operands, and of a hit its index and score.
            let bytes = operands(s, format) + 8 * queries * k.min(items);
            let hits = probe.call(format!("top_k{of}"), bytes, |device| {
                device.top_k(queries, hidden, &query_rows, items, &packed, k)
            })?;
            let hits: Vec<_> = hits.into_iter().flatten().collect();
            let exact = vec![0.0; queries * k.min(items)];
            let best = || want.iter().flatten();
            let index = hits.iter().map(|hit| hit.index as f32).collect();
            let want_index = best().map(|hit| f64::from(hit.0)).collect();
            probe.take_host(format!("indices{of}"), index, want_index, exact.clone());
            let score = hits.iter().map(|hit| hit.score).collect();
            let want_score = best().map(|hit| hit.1).collect();
            probe.take_host(format!("scores{of}"), score, want_score, exact);
        }
        Ok(())
    }
}

/// Bytes of the queries and of the items.
fn operands(s: &TopKShape, format: WeightFormat) -> usize {
    let hidden = s.hidden;
    let item = match format {
        WeightFormat::F32 => 4 * hidden,
        WeightFormat::Bf16 => 2 * hidden,
        WeightFormat::Int8 => Int8::row(hidden),
        WeightFormat::Int4 => Int4::row(hidden),
    };
    4 * s.queries * hidden + s.items * item
}
