//! Attention over a cache, as decoding asks for it: spans anywhere in the cache, and of every segment only
//! the last tokens computed.

use super::attention::join;
use super::attention_bounds::bounds;
use super::{normals, wide};
use crate::device::{Device, Real, Result};
use crate::ops::attention::{Heads, KeysValues, reference};
use crate::ops::forest::{Forest, Mask, Segment, Span};
use crate::ops::philox::PhiloxStream;
use crate::workbench::{Draw, Probe};

/// The last tokens of the segments of a packed batch, whose keys lie in a cache.
pub struct Cached {
    pub forest: Forest,
    /// Rows of the cache, those of no span included.
    pub capacity: usize,
}

impl Cached {
    /// Of segments with so many keys and those parents, `new` tokens each; 0: computed earlier.
    pub fn new(parts: &[(usize, Option<usize>)], new: &[usize], seed: u64) -> Cached {
        let mut random = PhiloxStream::new(seed, 9);
        let packed = Forest::packed(parts);
        let mut order: Vec<usize> = (0..parts.len()).collect();
        random.shuffle(&mut order);
        let (mut starts, mut capacity) = (vec![0; parts.len()], 0);
        for i in order {
            capacity += random.below(4);
            starts[i] = capacity;
            capacity += parts[i].0;
        }
        let mut forest = Forest::default();
        for (i, (packed, &new)) in packed.segments.iter().zip(new).enumerate() {
            if new == 0 {
                continue;
            }
            // Root first.
            let mut ancestors = Vec::new();
            let mut up = packed.parent;
            while let Some(parent) = up {
                ancestors.insert(0, parent);
                up = parts[parent].1;
            }
            let span = |i: usize| Span {
                start: starts[i],
                len: parts[i].0,
            };
            let first = forest.tokens();
            forest.segments.push(Segment {
                rows: first..first + new,
                own: span(i),
                mask: Mask::Causal,
                ancestors: ancestors.into_iter().map(span).collect(),
                parent: None,
            });
        }
        Cached {
            forest,
            capacity: capacity + random.below(5),
        }
    }
}

/// Runs attention over a cache and hands its output to the probe, and the log-sum-exp where it is `given`
/// room. What no row may see is NaN: rows of no span, and keys and values of the batch.
pub fn decode<D: Device>(
    h: &Heads,
    cached: &Cached,
    seed: u64,
    given: bool,
    probe: &mut Probe<'_, D>,
) -> Result<()> {
    let forest = &cached.forest;
    let tokens = forest.tokens();
    let queries = normals(Draw::Any, seed, 11, tokens * h.q_dim());
    let spans = forest.segments.iter();
    let spans = spans.flat_map(|s| s.ancestors.iter().chain([&s.own]));
    let mut seen = vec![false; cached.capacity];
    for span in spans {
        seen[span.range()].fill(true);
    }
    let [keys, values] = [12, 13].map(|stream| {
        let mut rows = normals(Draw::Any, seed, stream, cached.capacity * h.kv_dim());
        for (row, _) in rows
            .chunks_exact_mut(h.kv_dim())
            .zip(&seen)
            .filter(|r| !r.1)
        {
            row.fill(f32::NAN);
        }
        rows
    });
    let nothing = vec![f32::NAN; tokens * h.kv_dim()];
    let all = [
        wide(&queries),
        wide(&keys),
        wide(&values),
        // No gradient goes back.
        vec![0.0; queries.len()],
    ];
    let limit = bounds(h, forest, &all, D::Real::ROUNDING);
    let (want, want_lse) = reference::attention(h, forest, &all[0], &all[1], &all[2]);

    let qkv = probe.reals("queries", &join(h, [&queries, &nothing, &nothing]))?;
    let [keys, values] = [
        probe.reals("cached keys", &keys)?,
        probe.reals("cached values", &values)?,
    ];
    let kv = KeysValues::Cache {
        keys: &*keys,
        values: &*values,
    };
    let mut out = probe.new_reals(tokens * h.q_dim())?;
    let mut lse = probe.new_floats(tokens * h.num_heads)?;
    // Rows of the cache that some token sees, once; of the batch the queries.
    let rows = seen.iter().filter(|&&seen| seen).count();
    let lse_bytes = if given { 4 * tokens * h.num_heads } else { 0 };
    let elements = 2 * tokens * h.q_dim() + 2 * rows * h.kv_dim();
    let bytes = elements * size_of::<D::Real>() + lse_bytes;
    let name = match given {
        true => "attention over a cache",
        false => "attention over a cache, without lse",
    };
    probe.call(name, bytes, |device| {
        let lse = given.then_some(&mut lse);
        device.attention(h, forest, &qkv, kv, &mut out, lse)
    })?;
    if given {
        probe.take_reals("out over a cache", &out, want, limit.out)?;
        return probe.take_floats("lse over a cache", &lse, want_lse, limit.lse);
    }
    probe.take_reals("out over a cache, without lse", &out, want, limit.out)
}
