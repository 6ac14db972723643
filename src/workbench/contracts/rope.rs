//! Rotary position embedding, forward and backward.
//!
//! Tolerance. Two roundings of the larger product of each pair.

use super::{distinct, limits, magnitudes, normals, wide};
use crate::device::{Device, Result};
use crate::ops::attention::Heads;
use crate::ops::philox::PhiloxStream;
use crate::ops::rope::{RopeTable, reference};
use crate::workbench::{Contract, Cost, Draw, Probe};
use serde::{Deserialize, Serialize};

const ULP: f64 = f32::EPSILON as f64;

/// The contract of `rope`.
pub struct RopeContract;

/// Tokens, and the positions of the table.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RopeShape {
    pub heads: Heads,
    pub tokens: usize,
    pub positions: usize,
}

impl Contract for RopeContract {
    type Shape = RopeShape;
    const OP: &'static str = "rope";

    fn shape(draw: Draw, random: &mut PhiloxStream) -> RopeShape {
        let (heads, tokens) = match draw {
            Draw::Counted => (super::heads(9, 3, 64), 128),
            Draw::Model => (super::heads(9, 3, 64), 16),
            Draw::Smallest => (super::heads(1, 1, 2), 1),
            _ => {
                let kv_heads = 1 + random.below(3);
                let dim = 2 * (1 + random.below(33));
                (
                    super::heads((1 + random.below(3)) * kv_heads, kv_heads, dim),
                    1 + random.below(40),
                )
            }
        };
        RopeShape {
            heads,
            tokens,
            positions: 50,
        }
    }

    fn limits(s: &RopeShape) -> std::result::Result<(), String> {
        limits::of_heads(&s.heads)?;
        if !s.heads.head_dim.is_multiple_of(2) {
            return Err(format!("head_dim is {}; expected pairs", s.heads.head_dim));
        }
        let axes = [("tokens", s.tokens), ("positions", s.positions)];
        limits::sizes(
            &axes,
            &[
                &[s.tokens, s.heads.qkv_dim()],
                &[s.positions, s.heads.head_dim],
            ],
        )
    }

    fn costs(s: &RopeShape, seed: u64, real: usize) -> Vec<Cost> {
        let (h, rows) = (&s.heads, distinct(&positions(s, seed)));
        let rotated = s.tokens * (h.q_dim() + h.kv_dim());
        let table = 4 * (s.tokens + rows * h.head_dim);
        vec![Cost::new(Self::OP, 2 * rotated * real + table, 3 * rotated)]
    }

    fn run<D: Device>(
        s: &RopeShape,
        draw: Draw,
        seed: u64,
        probe: &mut Probe<'_, D>,
    ) -> Result<()> {
        let (h, device) = (&s.heads, probe.device);
        let half = s.positions * h.head_dim / 2;
        // Any numbers as cosines and sines: the op does not care.
        let [cos, sin] = [10, 11].map(|stream| normals(Draw::Any, seed, stream, half));
        let positions = positions(s, seed);
        let qkv = normals(draw, seed, 0, s.tokens * h.qkv_dim());
        let table = RopeTable {
            cos: device.upload(&cos)?,
            sin: device.upload(&sin)?,
            positions: s.positions,
        };
        let turned = |sign: f64, of: fn(&[f32]) -> Vec<f64>| {
            reference::rope(h, &of(&cos), &of(&sin), &positions, sign, &of(&qkv))
        };
        // Three roundings of two products, which are the sums of the table's and the row's magnitudes.
        let sums = [1.0, -1.0].map(|sign| turned(sign, magnitudes));
        let error: Vec<f64> = (0..qkv.len())
            .map(|i| 2.0 * ULP * sums[0][i].abs().max(sums[1][i].abs()))
            .collect();
        let (mut forward, mut backward) = (probe.sum_reals(&qkv)?, probe.sum_reals(&qkv)?);
        let costs = Self::costs(s, seed, size_of::<D::Real>());
        let bytes = Cost::bytes_of(Self::OP, &costs);
        probe.call("rope", bytes, |device| {
            device.rope(h, &table, &positions, &mut forward)
        })?;
        probe.call("rope_backward", bytes, |device| {
            device.rope_backward(h, &table, &positions, &mut backward)
        })?;
        probe.take_reals("qkv", &forward, turned(1.0, wide), error.clone())?;
        probe.summed();
        probe.take_reals("dqkv", &backward, turned(-1.0, wide), error)?;
        probe.summed();
        Ok(())
    }
}

fn positions(s: &RopeShape, seed: u64) -> Vec<u32> {
    let mut random = PhiloxStream::new(seed, 12);
    let positions = (0..s.tokens).map(|_| random.below(s.positions) as u32);
    positions.collect()
}
