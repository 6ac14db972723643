//! Attention over packed sequences with trunks, forward and backward, and over a cache.
//!
//! Tolerance. A score may be off by a rounding for each element of a head, which is a relative error of its
//! exponential; the output, the log-sum-exp and the gradients follow term by term (`attention_bounds`). bf16
//! rounds probabilities before they are multiplied, which counts as well.

use super::attention_bounds::bounds;
use super::attention_cache::{Cached, decode};
use super::{attention_costs, heads, limits, normals, wide};
use crate::device::{Device, Real, Result};
use crate::ops::attention::{Heads, KeysValues, reference};
use crate::ops::forest::Forest;
use crate::ops::linear::WeightFormat;
use crate::ops::philox::PhiloxStream;
use crate::workbench::{Contract, Cost, Draw, Probe};
use serde::{Deserialize, Serialize};

/// The contract of `attention`.
pub struct AttentionContract;

/// Heads, and the segments' lengths and parents.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttentionShape {
    pub heads: Heads,
    pub parts: Vec<(usize, Option<usize>)>,
}

impl Contract for AttentionContract {
    type Shape = AttentionShape;
    const OP: &'static str = "attention";

    fn shape(draw: Draw, random: &mut PhiloxStream) -> AttentionShape {
        match draw {
            // Instructions, two queries and their thoughts, in the heads of SmolLM2-135M.
            Draw::Counted => AttentionShape {
                heads: heads(9, 3, 64),
                parts: vec![
                    (64, None),
                    (12, Some(0)),
                    (9, Some(0)),
                    (16, Some(1)),
                    (16, Some(2)),
                ],
            },
            Draw::Model => AttentionShape {
                heads: heads(2, 1, 64),
                // Keys of more than a tile.
                parts: vec![(70, None), (5, Some(0)), (6, Some(1))],
            },
            Draw::Smallest => AttentionShape {
                heads: heads(1, 1, 2),
                parts: vec![(1, None)],
            },
            _ => {
                let dim = [2 + random.below(32), 64, 80, 96, 128][random.below(5)];
                let kv_heads = 1 + random.below(2);
                let group = 1 + random.below(3);
                let mut parts: Vec<(usize, Option<usize>)> = Vec::new();
                for i in 0..1 + random.below(4) {
                    let parent = (i > 0 && random.below(4) > 0).then(|| random.below(i));
                    parts.push((
                        [1, 2 + random.below(8), 10 + random.below(20)][random.below(3)],
                        parent,
                    ));
                }
                AttentionShape {
                    heads: heads(group * kv_heads, kv_heads, dim),
                    parts,
                }
            }
        }
    }

    fn limits(s: &AttentionShape) -> std::result::Result<(), String> {
        limits::of_heads(&s.heads)?;
        for (i, &(len, parent)) in s.parts.iter().enumerate() {
            limits::sizes(&[("a part's length", len)], &[])?;
            if let Some(parent) = parent.filter(|&parent| parent >= i) {
                return Err(format!(
                    "part {i} has parent {parent}; expected an earlier part"
                ));
            }
        }
        let tokens = s.parts.iter().map(|part| part.0).sum();
        limits::sizes(&[("tokens", tokens)], &[&[tokens, s.heads.qkv_dim()]])
    }

    fn costs(s: &AttentionShape, _: u64, real: usize) -> Vec<Cost> {
        attention_costs::costs(&s.heads, &Forest::packed(&s.parts), real)
    }

    fn run<D: Device>(
        s: &AttentionShape,
        draw: Draw,
        seed: u64,
        probe: &mut Probe<'_, D>,
    ) -> Result<()> {
        packed(s, seed, "", probe)?;
        // A device of bf16 may have kernels by the size of a head and of the batch.
        if draw == Draw::Many && probe.device.training_format() == WeightFormat::Bf16 {
            many(seed, probe)?;
        }
        // The last of every segment at least, and the whole of some.
        let mut random = PhiloxStream::new(seed, 10);
        let new = s.parts.iter().map(|&(len, _)| match random.below(3) {
            0 => len,
            1 => 1 + random.below(len),
            _ => 1,
        });
        let cached = Cached::new(&s.parts, &new.collect::<Vec<_>>(), seed);
        decode(&s.heads, &cached, seed, true, probe)
    }
}

/// Forward and backward of a packed batch.
fn packed<D: Device>(
    s: &AttentionShape,
    seed: u64,
    of: &str,
    probe: &mut Probe<'_, D>,
) -> Result<()> {
    let (h, forest) = (&s.heads, Forest::packed(&s.parts));
    let tokens = forest.tokens();
    let [q_dim, kv_dim] = [h.q_dim(), h.kv_dim()];
    // What an infinite score is worth is not the contract's.
    let x = [(1, q_dim), (2, kv_dim), (3, kv_dim), (4, q_dim)]
        .map(|(stream, width)| normals(Draw::Any, seed, stream, tokens * width));
    let all = [0, 1, 2, 3].map(|i| wide(&x[i]));
    let limit = bounds(h, &forest, &all, D::Real::ROUNDING);
    let [q, k, v, dout] = &all;
    let (want, want_lse) = reference::attention(h, &forest, q, k, v);
    let gradients: [Vec<f64>; 3] = reference::attention_backward(h, &forest, q, k, v, dout).into();

    let qkv = probe.reals(format!("qkv{of}"), &join(h, [&x[0], &x[1], &x[2]]))?;
    let mut out = probe.new_reals(tokens * q_dim)?;
    let mut lse = probe.new_floats(tokens * h.num_heads)?;
    let kv = KeysValues::Packed;
    let [bytes, backward] = attention_costs::calls(h, tokens, size_of::<D::Real>());
    probe.call(format!("attention{of}"), bytes, |device| {
        device.attention(h, &forest, &qkv, kv, &mut out, Some(&mut lse))
    })?;
    let dout = probe.reals(format!("dout{of}"), &x[3])?;
    let mut dqkv = probe.new_reals(tokens * h.qkv_dim())?;
    probe.call(format!("attention_backward{of}"), backward, |device| {
        device.attention_backward(h, &forest, &qkv, &out, &lse, &dout, &mut dqkv)
    })?;
    probe.take_reals(format!("out{of}"), &out, want, limit.out)?;
    probe.take_floats(format!("lse{of}"), &lse, want_lse, limit.lse)?;
    let [dq, dk, dv] = &gradients;
    let errors = join(h, [&limit.dqueries, &limit.dkeys, &limit.dvalues]);
    probe.take_reals(format!("dqkv{of}"), &dqkv, join(h, [dq, dk, dv]), errors)
}

/// Heads of every size that tensor cores may have a kernel for; so many rows that see a key that their
/// gradients of it are shared among blocks; a batch that fills a GPU, whose rows see two keys at most.
fn many<D: Device>(seed: u64, probe: &mut Probe<'_, D>) -> Result<()> {
    for (of, heads, tokens) in [
        (" of heads of 80", heads(2, 1, 80), 66),
        (" of heads of 96", heads(2, 1, 96), 66),
        (" of heads of 128", heads(2, 1, 128), 66),
        (" of a large group", heads(256, 1, 64), 9),
    ] {
        let parts = vec![(tokens, None)];
        packed(&AttentionShape { heads, parts }, seed, of, probe)?;
    }
    full(heads(33 * 400, 400, 64), seed, probe)?;
    full(heads(33 * 400, 400, 128), seed, probe)
}

/// Two tokens of so many heads that they fill a GPU.
fn full<D: Device>(h: Heads, seed: u64, probe: &mut Probe<'_, D>) -> Result<()> {
    let forest = Forest::packed(&[(2, None)]);
    let x = [(5, h.q_dim()), (6, h.kv_dim()), (7, h.kv_dim())]
        .map(|(stream, width)| normals(Draw::Any, seed, stream, 2 * width));
    let nothing = vec![0.0; x[0].len()];
    let all = [wide(&x[0]), wide(&x[1]), wide(&x[2]), nothing];
    let limit = bounds(&h, &forest, &all, D::Real::ROUNDING);
    let (want, _) = reference::attention(&h, &forest, &all[0], &all[1], &all[2]);
    let of = format!("of many heads of {}", h.head_dim);
    let qkv = probe.reals(format!("qkv {of}"), &join(&h, [&x[0], &x[1], &x[2]]))?;
    let mut out = probe.new_reals(x[0].len())?;
    let kv = KeysValues::Packed;
    probe
        .device
        .attention(&h, &forest, &qkv, kv, &mut out, None)?;
    probe.take_reals(format!("out {of}"), &out, want, limit.out)
}

/// Rows of queries, keys and values side by side.
pub(super) fn join<T: Copy>(h: &Heads, [queries, keys, values]: [&[T]; 3]) -> Vec<T> {
    let rows = queries.chunks_exact(h.q_dim());
    let kv = keys
        .chunks_exact(h.kv_dim())
        .zip(values.chunks_exact(h.kv_dim()));
    rows.zip(kv)
        .flat_map(|(q, (k, v))| [q, k, v].concat())
        .collect()
}
