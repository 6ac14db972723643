//! The norm of every query and key head, and its backward.
//!
//! Tolerance. As of RMSNorm, over the elements of a head.

use super::rms_norm::{gradient_errors, norm_error};
use super::{heads, limits, normals, onto, wide};
use crate::device::{Device, Result};
use crate::ops::attention::Heads;
use crate::ops::philox::PhiloxStream;
use crate::ops::rope::reference;
use crate::workbench::{Contract, Cost, Draw, Probe};
use serde::{Deserialize, Serialize};
use std::ops::Range;

const ULP: f64 = f32::EPSILON as f64;
const EPS: f32 = 1e-6;

/// The contract of `qk_norm`.
pub struct QkNormContract;

/// Tokens of so many heads.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct QkNormShape {
    pub heads: Heads,
    pub tokens: usize,
}

impl Contract for QkNormContract {
    type Shape = QkNormShape;
    const OP: &'static str = "qk_norm";

    fn shape(draw: Draw, random: &mut PhiloxStream) -> QkNormShape {
        let (heads, tokens) = match draw {
            // Qwen3-0.6B.
            Draw::Counted => (heads(16, 8, 128), 64),
            Draw::Model => (heads(16, 8, 128), 3),
            Draw::Smallest => (heads(1, 1, 1), 1),
            _ => {
                let kv_heads = 1 + random.below(3);
                let all = (1 + random.below(3)) * kv_heads;
                (
                    heads(all, kv_heads, 1 + random.below(66)),
                    1 + random.below(20),
                )
            }
        };
        QkNormShape { heads, tokens }
    }

    fn limits(s: &QkNormShape) -> std::result::Result<(), String> {
        limits::of_heads(&s.heads)?;
        limits::sizes(&[("tokens", s.tokens)], &[&[s.tokens, s.heads.qkv_dim()]])
    }

    fn costs(s: &QkNormShape, _: u64, real: usize) -> Vec<Cost> {
        let (h, all) = (&s.heads, s.tokens * s.heads.qkv_dim());
        // Values pass through.
        let normed = s.tokens * (h.q_dim() + h.kv_dim());
        let weights = 8 * h.head_dim;
        vec![
            Cost::new("qk_norm", 2 * all * real + weights, 4 * normed),
            Cost::new(
                "qk_norm_backward",
                3 * normed * real + 2 * weights,
                14 * normed,
            ),
        ]
    }

    fn run<D: Device>(
        s: &QkNormShape,
        draw: Draw,
        seed: u64,
        probe: &mut Probe<'_, D>,
    ) -> Result<()> {
        let (h, d) = (&s.heads, s.heads.head_dim);
        let len = s.tokens * h.qkv_dim();
        let (qkv, dout) = (
            normals(draw, seed, 1, len),
            normals(Draw::Any, seed, 2, len),
        );
        let [q, k] = [3, 4].map(|stream| normals(Draw::Any, seed, stream, d));
        let starts = [5, 6].map(|stream| normals(Draw::Any, seed, stream, d));
        let all = [&qkv, &q, &k, &dout].map(|x| wide(x));
        let want = reference::qk_norm(h, EPS, &all[0], &all[1], &all[2]);
        let (dqkv, dq, dk) =
            reference::qk_norm_backward(h, EPS, &all[0], &all[1], &all[2], &all[3]);

        let qkv_in = probe.reals("qkv", &qkv)?;
        let (q_in, k_in) = (
            probe.floats("query weight", &q)?,
            probe.floats("key weight", &k)?,
        );
        let mut out = probe.new_reals(len)?;
        let costs = Self::costs(s, seed, size_of::<D::Real>());
        probe.call("qk_norm", Cost::bytes_of("qk_norm", &costs), |device| {
            device.qk_norm(h, EPS, s.tokens, &qkv_in, &q_in, &k_in, &mut out)
        })?;
        let error = want.iter().map(|v| norm_error(d) * v.abs()).collect();
        probe.take_reals("out", &out, want, error)?;

        let mut got = probe.sum_reals(&dout)?;
        let [mut got_q, mut got_k] = [probe.sum_floats(&starts[0])?, probe.sum_floats(&starts[1])?];
        // Both weights in, and what their gradients are added to.
        let elements = 3 * s.tokens * (h.q_dim() + h.kv_dim());
        let bytes = elements * size_of::<D::Real>() + 24 * d;
        probe.call("qk_norm_backward", bytes, |device| {
            device.qk_norm_backward(
                h, EPS, s.tokens, &qkv_in, &q_in, &k_in, &mut got, &mut got_q, &mut got_k,
            )
        })?;
        // Values pass through, and so do their gradients.
        let normed = h.num_heads + h.num_kv_heads;
        let mut error = vec![0.0; len];
        let parts = [(0..h.num_heads, &q), (h.num_heads..normed, &k)];
        let mut of_weights = Vec::new();
        for (range, w) in parts {
            let [x, dy] = [&qkv, &dout].map(|x| of_heads(h, x, range.clone()));
            let [of_x, of_w] = gradient_errors(EPS, &x, w, &dy);
            for (place, e) in places(h, s.tokens, range).zip(of_x) {
                error[place] = e;
            }
            of_weights.push(of_w);
        }
        probe.take_reals("dqkv", &got, dqkv, error)?;
        probe.summed();
        let rows = (s.tokens * h.num_heads) as f64 + 2.0;
        let weights = [("dquery weight", got_q, dq), ("dkey weight", got_k, dk)];
        for (((name, got, gradient), start), of_w) in
            weights.into_iter().zip(&starts).zip(of_weights)
        {
            let (want, error) = onto(&gradient, &of_w, start, rows * ULP);
            probe.take_floats(name, &got, want, error)?;
            probe.summed();
        }
        Ok(())
    }
}

/// Where the elements of some heads of every row are.
fn places(h: &Heads, tokens: usize, heads: Range<usize>) -> impl Iterator<Item = usize> {
    let (row, d) = (h.qkv_dim(), h.head_dim);
    (0..tokens).flat_map(move |t| (heads.start * d..heads.end * d).map(move |i| t * row + i))
}

fn of_heads(h: &Heads, qkv: &[f32], heads: Range<usize>) -> Vec<f32> {
    let tokens = qkv.len() / h.qkv_dim();
    places(h, tokens, heads).map(|i| qkv[i]).collect()
}
