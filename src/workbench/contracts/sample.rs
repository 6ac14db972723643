//! Sampling: greedy, and drawn from what top-k, top-p, min-p and all of them keep.
//!
//! Tolerance. A token is right where the draw, within the roundings of its exponentials and of their sums, may
//! fall on it, with the filters anywhere in theirs (`sample_bounds`).

use super::sample_bounds::Row;
use super::{distinct, limits, normals};
use crate::device::{Device, DeviceError, Result};
use crate::ops::philox::PhiloxStream;
use crate::ops::sample::{Sampling, broken_row, uniform};
use crate::workbench::{Contract, Cost, Draw, Probe};
use serde::{Deserialize, Serialize};

/// The contract of `sample`.
pub struct SampleContract;

/// Rows of logits, and what the filters are set to where they are on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SampleShape {
    pub rows: usize,
    pub vocab: usize,
    /// Whether many logits are the same.
    pub ties: bool,
    pub temperature: f32,
    pub top_k: usize,
    pub top_p: f32,
    pub min_p: f32,
}

impl Contract for SampleContract {
    type Shape = SampleShape;
    const OP: &'static str = "sample";
    const TYPED: bool = false;

    fn shape(draw: Draw, random: &mut PhiloxStream) -> SampleShape {
        let (rows, vocab) = match draw {
            // SmolLM2-135M's vocabulary.
            Draw::Counted => (2, 49_152),
            Draw::Model => (1, 1200),
            Draw::Smallest => (1, 1),
            Draw::Many => (2, 1100),
            _ => (1 + random.below(2), 1 + random.below(400)),
        };
        let any = draw == Draw::Any;
        SampleShape {
            rows,
            vocab,
            ties: any && random.below(3) == 0,
            temperature: [0.3, 0.8, 1.5][random.below(3)],
            top_k: 1 + random.below(60),
            top_p: if any {
                [0.0, 0.3, 0.9][random.below(3)]
            } else {
                0.95
            },
            min_p: if any {
                [0.02, 0.2, 1.0][random.below(3)]
            } else {
                0.05
            },
        }
    }

    fn limits(s: &SampleShape) -> std::result::Result<(), String> {
        let axes = [("rows", s.rows), ("vocab", s.vocab), ("top_k", s.top_k)];
        limits::sizes(&axes, &[&[s.rows, s.vocab]])?;
        limits::positive("temperature", s.temperature)
    }

    fn costs(s: &SampleShape, seed: u64, _: usize) -> Vec<Cost> {
        let SampleShape { rows, vocab, .. } = *s;
        // Of the first way, greedy, which draws nothing. Logits of banned tokens are not looked at.
        let (bits, banned) = match bans(0, seed) {
            true => {
                let banned = banned(vocab, &mut PhiloxStream::new(seed, 0));
                (4 * vocab.div_ceil(32), distinct(&banned))
            }
            false => (0, 0),
        };
        let bytes = rows * (4 * (vocab - banned) + 16) + bits;
        // The largest, then the distance from it, an exponential, and the terms of two sums.
        vec![Cost::new(Self::OP, bytes, 6 * rows * vocab)]
    }

    fn run<D: Device>(
        s: &SampleShape,
        draw: Draw,
        seed: u64,
        probe: &mut Probe<'_, D>,
    ) -> Result<()> {
        let SampleShape { rows, vocab, .. } = *s;
        let mut random = PhiloxStream::new(seed, 0);
        let mut logits = match draw {
            // What a NaN makes of a row is an error, tried below.
            Draw::NotFinite => normals(Draw::Any, seed, 1, rows * vocab),
            draw => normals(draw, seed, 1, rows * vocab),
        };
        for (i, x) in logits.iter_mut().enumerate() {
            if s.ties {
                *x = x.round();
            }
            // The first token of a row always stays.
            if draw == Draw::NotFinite && i % vocab > 0 && random.below(3) == 0 {
                *x = f32::NEG_INFINITY;
            }
        }
        let banned = banned(vocab, &mut random);
        // Row keys use all of their bits.
        let keys: Vec<(u64, u32)> = (0..rows)
            .map(|i| ((i as u64) << 40 | u64::from(random.next_u32()), i as u32))
            .collect();
        let input = probe.floats("logits", &logits)?;
        for (index, (way, sampling)) in ways(s, seed).into_iter().enumerate() {
            let banned = match bans(index, seed) {
                true => &banned[..],
                false => &[],
            };
            let got = probe
                .device
                .sample(vocab, &input, &sampling, &keys, banned)?;
            let expected = got.iter().enumerate().map(|(i, got)| {
                let row = Row {
                    logits: &logits[i * vocab..(i + 1) * vocab],
                    sampling: &sampling,
                    banned,
                    at: uniform(sampling.seed, keys[i]),
                };
                row.expected(got)
            });
            let expected: Vec<_> = expected.collect();
            let token = got.iter().map(|g| g.token as f32).collect();
            let want = expected.iter().map(|e| e.token).collect();
            probe.take_host(format!("token {way}"), token, want, vec![0.0; rows]);
            let numbers = got.iter().zip(&expected).flat_map(|(g, e)| {
                [
                    (g.log_probability, e.log_probability),
                    (g.sampled_log_probability, e.sampled_log_probability),
                    (g.entropy, e.entropy),
                ]
            });
            let (got, near): (Vec<f32>, Vec<(f64, f64)>) = numbers.unzip();
            let (want, tolerance) = near.into_iter().unzip();
            let name = format!("log-probability, that of the draw and entropy of a row {way}");
            probe.take_host(name, got, want, tolerance);
        }
        if draw == Draw::NotFinite {
            refusals(s, &logits, &keys, random.below(rows), probe)?;
        }
        Ok(())
    }
}

/// A few tokens, never the first.
fn banned(vocab: usize, random: &mut PhiloxStream) -> Vec<u32> {
    let drawn = (1..vocab.min(5)).map(|_| 1 + random.below(vocab - 1) as u32);
    drawn.collect()
}

/// Whether a way is tried with banned tokens: each is with and without them over the cases.
fn bans(way: usize, seed: u64) -> bool {
    (way as u64 + seed).is_multiple_of(2)
}

/// The ways to choose, each filter by itself first.
fn ways(s: &SampleShape, seed: u64) -> [(&'static str, Sampling); 6] {
    let plain = Sampling {
        temperature: s.temperature,
        seed,
        ..Sampling::GREEDY
    };
    let top_k = Sampling {
        top_k: s.top_k,
        ..plain
    };
    let top_p = Sampling {
        top_p: s.top_p,
        ..plain
    };
    let min_p = Sampling {
        min_p: s.min_p,
        ..plain
    };
    let all = Sampling {
        top_k: s.top_k,
        top_p: s.top_p,
        ..min_p
    };
    [
        ("of greedy", Sampling::GREEDY),
        ("of all", plain),
        ("of top-k", top_k),
        ("of top-p", top_p),
        ("of min-p", min_p),
        ("of every filter", all),
    ]
}

/// Rows that nothing can be chosen from: the error has to name the row.
fn refusals<D: Device>(
    s: &SampleShape,
    logits: &[f32],
    keys: &[(u64, u32)],
    row: usize,
    probe: &mut Probe<'_, D>,
) -> Result<()> {
    let drawn = ways(s, 0)[1].1;
    let mut refused = Vec::new();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut logits = logits.to_vec();
        let row_at = row * s.vocab;
        match bad == f32::NEG_INFINITY {
            true => logits[row_at..row_at + s.vocab].fill(bad),
            false => logits[row_at + s.vocab / 2] = bad,
        }
        let input = probe.device.upload(&logits)?;
        for sampling in [Sampling::GREEDY, drawn] {
            match probe.device.sample(s.vocab, &input, &sampling, keys, &[]) {
                Ok(_) => refused.push(0.0),
                Err(DeviceError::Argument { message, .. }) => {
                    let named = broken_row(row).to_string().ends_with(&message);
                    refused.push(f32::from(u8::from(named)));
                }
                Err(error) => return Err(error),
            }
        }
    }
    let want = vec![1.0; refused.len()];
    let exact = vec![0.0; refused.len()];
    probe.take_host("refusal of a broken row", refused, want, exact);
    Ok(())
}
