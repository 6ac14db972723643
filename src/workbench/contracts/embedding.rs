//! Embedding lookup from a master table and from packed ones, and its gradient.
//!
//! Tolerance. Looked-up rows are exact, from int8 within half a step of its scale; an element of the gradient is off
//! by a rounding of the sum of magnitudes for each token.

use super::linear_int4::Int4;
use super::linear_int8::Int8;
use super::linear_quantised::{GROUP, Quantised};
use super::{distinct, limits, magnitudes, normals, onto, wide};
use crate::device::{Device, Result};
use crate::ops::embedding::reference;
use crate::ops::linear::{Weight, WeightFormat};
use crate::ops::philox::PhiloxStream;
use crate::workbench::{Contract, Cost, Draw, Probe};
use serde::{Deserialize, Serialize};

const ULP: f64 = f32::EPSILON as f64;

/// The contract of `embedding`.
pub struct EmbeddingContract;

/// Tokens, and the table.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct EmbeddingShape {
    pub tokens: usize,
    pub vocab: usize,
    pub hidden: usize,
}

impl Contract for EmbeddingContract {
    type Shape = EmbeddingShape;
    const OP: &'static str = "embedding";

    fn shape(draw: Draw, random: &mut PhiloxStream) -> EmbeddingShape {
        let (tokens, vocab, hidden) = match draw {
            Draw::Counted => (64, 1024, 576),
            Draw::Model => (8, 64, 576),
            Draw::Smallest => (1, 1, 1),
            _ => (
                1 + random.below(30),
                1 + random.below(70),
                1 + random.below(70),
            ),
        };
        EmbeddingShape {
            tokens,
            vocab,
            hidden,
        }
    }

    fn limits(s: &EmbeddingShape) -> std::result::Result<(), String> {
        let axes = [
            ("tokens", s.tokens),
            ("vocab", s.vocab),
            ("hidden", s.hidden),
        ];
        limits::sizes(&axes, &[&[s.tokens, s.hidden], &[s.vocab, s.hidden]])
    }

    fn costs(s: &EmbeddingShape, seed: u64, real: usize) -> Vec<Cost> {
        let EmbeddingShape { tokens, hidden, .. } = *s;
        // A row that several tokens have is read once.
        let rows = distinct(&ids(s, seed));
        let cost = |kernel: &str, row: usize, flops: usize| {
            Cost::new(kernel, tokens * (4 + hidden * real) + rows * row, flops)
        };
        vec![
            cost("embedding_f32", 4 * hidden, 0),
            cost("embedding_bf16", 2 * hidden, 0),
            cost("embedding_int8", Int8::row(hidden), tokens * hidden),
            cost("embedding_int4", Int4::row(hidden), tokens * hidden),
        ]
    }

    fn run<D: Device>(
        s: &EmbeddingShape,
        draw: Draw,
        seed: u64,
        probe: &mut Probe<'_, D>,
    ) -> Result<()> {
        // A group of quantised weights with an infinity in it has no scale.
        let draw = draw.finite();
        let EmbeddingShape {
            tokens,
            vocab,
            hidden,
        } = *s;
        let (device, len) = (probe.device, tokens * hidden);
        let table = normals(draw, seed, 0, vocab * hidden);
        let ids = ids(s, seed);
        let want = reference::embedding(hidden, &wide(&table), &ids);
        let master = probe.floats("table", &table)?;
        let pack = |format| device.pack_table(&table, vocab, hidden, format);
        let (single, half) = (pack(WeightFormat::F32)?, pack(WeightFormat::Bf16)?);
        let costs = Self::costs(s, seed, size_of::<D::Real>());
        for (name, table, kernel) in [
            ("out", Weight::Master(&*master), "embedding_f32"),
            ("out of f32", Weight::Packed(&single), "embedding_f32"),
            ("out of bf16", Weight::Packed(&half), "embedding_bf16"),
        ] {
            let bytes = Cost::bytes_of(kernel, &costs);
            let mut out = probe.new_reals(len)?;
            probe.call(name.replace("out", "embedding"), bytes, |device| {
                device.embedding(vocab, hidden, table, &ids, &mut out)
            })?;
            // The table's numbers are those of bf16.
            probe.take_reals(name, &out, want.clone(), vec![0.0; len])?;
        }
        let largest = |i: usize| {
            let row = i / hidden * hidden;
            let start = row + (i - row) / GROUP * GROUP;
            let group = &want[start..(start + GROUP).min(row + hidden)];
            group.iter().fold(0.0f64, |a, v| a.max(v.abs()))
        };
        // Off by half a step: 1/127 of the largest of a group; 1/15 of at most twice it, and the roundings of step
        // and shift to bf16.
        for (name, format, off, kernel) in [
            (
                "out of int8",
                WeightFormat::Int8,
                0.501 / 127.0,
                "embedding_int8",
            ),
            (
                "out of int4",
                WeightFormat::Int4,
                1.0 / 15.0 + 3.0 / 256.0,
                "embedding_int4",
            ),
        ] {
            let (table, mut out) = (pack(format)?, probe.new_reals(len)?);
            let (table, bytes) = (Weight::Packed(&table), Cost::bytes_of(kernel, &costs));
            probe.call(name.replace("out", "embedding"), bytes, |device| {
                device.embedding(vocab, hidden, table, &ids, &mut out)
            })?;
            let error = (0..len).map(|i| off * largest(i)).collect();
            probe.take_reals(name, &out, want.clone(), error)?;
        }

        let dout = normals(draw, seed, 3, len);
        let start = normals(Draw::Any, seed, 1, vocab * hidden);
        let gradient = reference::embedding_backward(vocab, hidden, &wide(&dout), &ids);
        let sizes = reference::embedding_backward(vocab, hidden, &magnitudes(&dout), &ids);
        let relative = tokens as f64 * ULP;
        let error: Vec<f64> = sizes.iter().map(|size| relative * size).collect();
        let (want, error) = onto(&gradient, &error, &start, relative);
        let dout_in = probe.reals("dout", &dout)?;
        let mut dtable = probe.sum_floats(&start)?;
        // Rows that some token has are added to.
        let bytes = tokens * (4 + hidden * size_of::<D::Real>()) + distinct(&ids) * 8 * hidden;
        probe.call("embedding_backward", bytes, |device| {
            device.embedding_backward(vocab, hidden, &dout_in, &ids, &mut dtable)
        })?;
        probe.take_floats("dtable", &dtable, want, error)?;
        probe.summed();
        Ok(())
    }
}

fn ids(s: &EmbeddingShape, seed: u64) -> Vec<u32> {
    let mut random = PhiloxStream::new(seed, 9);
    let ids = (0..s.tokens).map(|_| random.below(s.vocab) as u32);
    ids.collect()
}
