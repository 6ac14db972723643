//! Attention over packed sequences with shared trunks, grouped heads: causal, bidirectional or across.
//!
//! For every query row and head, `out = Σ_j softmax_j(q·k_j / √head_dim) v_j` over the keys that the
//! row may see (see [`Forest`]). Query head `h` reads key/value head `h / (num_heads / num_kv_heads)`.
//! No score matrix in memory: scores are streamed in tiles with a running log-sum-exp
//! (FlashAttention-2, arXiv 2307.08691), backward recomputes them from `lse`.

use super::forest::{Forest, Mask};
use crate::device::{Activation, DeviceError, Memory, Result, at_least};
use serde::{Deserialize, Serialize};

/// Head layout of a packed `qkv` row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heads {
    pub num_heads: usize,
    pub num_kv_heads: usize,
    pub head_dim: usize,
}

impl Heads {
    /// Width of the queries of a row.
    pub fn q_dim(&self) -> usize {
        self.num_heads * self.head_dim
    }
    /// Width of the keys (or of the values) of a row.
    pub fn kv_dim(&self) -> usize {
        self.num_kv_heads * self.head_dim
    }
    /// Width of a packed row: queries, keys, values.
    pub fn qkv_dim(&self) -> usize {
        self.q_dim() + 2 * self.kv_dim()
    }

    /// Checks heads, forest and lengths of buffers for [`Attention::attention`]; `cache` is the shorter
    /// of keys and values, where they are in a cache.
    pub fn check_forward(
        &self,
        forest: &Forest,
        qkv: usize,
        cache: Option<usize>,
        out: usize,
        lse: Option<usize>,
    ) -> Result<()> {
        let (op, tokens) = ("attention", forest.tokens());
        let stored = cache.map_or(tokens, |len| len / self.kv_dim().max(1));
        self.check(op, forest, stored)?;
        at_least(op, "qkv", qkv, tokens * self.qkv_dim())?;
        at_least(op, "out", out, tokens * self.q_dim())?;
        lse.map_or(Ok(()), |lse| {
            at_least(op, "lse", lse, tokens * self.num_heads)
        })
    }

    /// Checks heads, forest and lengths of `[qkv, out, lse, dout, dqkv]` for
    /// [`Attention::attention_backward`].
    pub fn check_backward(&self, forest: &Forest, lens: [usize; 5]) -> Result<()> {
        let (op, tokens) = ("attention_backward", forest.tokens());
        self.check(op, forest, tokens)?;
        check_packed(op, forest)?;
        let (qkv, out) = (tokens * self.qkv_dim(), tokens * self.q_dim());
        let expected = [qkv, out, tokens * self.num_heads, out, qkv];
        let names = ["qkv", "out", "lse", "dout", "dqkv"];
        for ((what, len), expected) in names.into_iter().zip(lens).zip(expected) {
            at_least(op, what, len, expected)?;
        }
        Ok(())
    }

    /// Checks the heads, and that rows and spans of the forest are rows of the batch and of `keys` rows of
    /// keys.
    fn check(&self, op: &'static str, forest: &Forest, keys: usize) -> Result<()> {
        let error = |message: String| Err(DeviceError::Argument { op, message });
        let (num_heads, kv_heads) = (self.num_heads, self.num_kv_heads);
        if num_heads == 0 || kv_heads == 0 || !num_heads.is_multiple_of(kv_heads) {
            return error(format!(
                "{num_heads} heads cannot share {kv_heads} key heads"
            ));
        }
        if self.head_dim == 0 {
            return error("a head has no elements".into());
        }
        let mut next = 0;
        for (i, s) in forest.segments.iter().enumerate() {
            // Tasks write the rows of their segment, so no two segments may have one in common.
            if s.rows.start != next || s.rows.end < next {
                return error(format!(
                    "segment {i} has the rows {:?}, expected rows from {next} on",
                    s.rows
                ));
            }
            next = s.rows.end;
            // Of a segment that sees its ancestors alone, no own key is read.
            let own = Some(&s.own).filter(|_| s.mask != Mask::Ancestors);
            let mut spans = s.ancestors.iter().chain(own);
            let few = own.is_some_and(|own| own.len < s.rows.len());
            if few || spans.any(|s| s.range().end > keys) {
                return error(format!(
                    "keys of segment {i} lie outside the {keys} that there are"
                ));
            }
            let sees_nothing =
                s.mask == Mask::Ancestors && s.ancestors.iter().all(|span| span.len == 0);
            if sees_nothing && !s.rows.is_empty() {
                return error(format!("the rows of segment {i} see no key"));
            }
        }
        Ok(())
    }
}

/// Checks that segments see their own rows and those of their ancestors in the batch, and no others:
/// elsewhere no gradient would arrive.
fn check_packed(op: &'static str, forest: &Forest) -> Result<()> {
    for (i, s) in forest.segments.iter().enumerate() {
        let above = match s.parent {
            None => s.ancestors.is_empty(),
            Some(p) if p < i => {
                let parent = &forest.segments[p];
                s.ancestors
                    .iter()
                    .eq(parent.ancestors.iter().chain([&parent.own]))
            }
            Some(_) => false,
        };
        if !above || s.own.range() != s.rows {
            let message = format!("keys of segment {i} are not its rows and its ancestors'");
            return Err(DeviceError::Argument { op, message });
        }
    }
    Ok(())
}

/// Where keys and values lie.
pub enum KeysValues<'a, D: Memory + ?Sized> {
    /// In the packed `qkv` rows themselves; spans are rows of the batch.
    Packed,
    /// In a cache, `[capacity, kv_dim]` each; spans are rows of the cache.
    Cache {
        keys: &'a Activation<D>,
        values: &'a Activation<D>,
    },
}

/// The attention op. About `4 · head_dim · num_heads · Σ visible keys` flops forward.
pub trait Attention: Memory {
    /// `out[tokens, q_dim]`; with `lse`, also `lse[tokens, num_heads]`: the natural log of the sum of
    /// exponentials of the scaled scores.
    ///
    /// The bits of a row depend on its own query, its spans' lengths and their keys alone.
    fn attention(
        &self,
        heads: &Heads,
        forest: &Forest,
        qkv: &Self::Buffer<Self::Real>,
        kv: KeysValues<'_, Self>,
        out: &mut Self::Buffer<Self::Real>,
        lse: Option<&mut Self::Buffer<f32>>,
    ) -> Result<()>;

    /// Gradient of [`Attention::attention`] with packed keys: writes all of `dqkv[tokens, qkv_dim]`.
    /// Gradients of a trunk's keys and values are summed over everything below it in a fixed order.
    #[allow(clippy::too_many_arguments)]
    fn attention_backward(
        &self,
        heads: &Heads,
        forest: &Forest,
        qkv: &Self::Buffer<Self::Real>,
        out: &Self::Buffer<Self::Real>,
        lse: &Self::Buffer<f32>,
        dout: &Self::Buffer<Self::Real>,
        dqkv: &mut Self::Buffer<Self::Real>,
    ) -> Result<()>;
}

/// Plain f64 implementation over packed keys.
pub mod reference {
    use super::Heads;
    use crate::ops::forest::{Forest, Segment};

    /// Rows of the key store that row `i` of a segment sees.
    pub fn visible(segment: &Segment, i: usize) -> Vec<usize> {
        let own = segment.own.start..segment.own.start + segment.own_visible(i);
        let ancestors = segment.ancestors.iter().flat_map(|a| a.range());
        ancestors.chain(own).collect()
    }

    /// Probabilities of one row and head over its visible keys, and their log-sum-exp.
    fn softmax(scores: &[f64]) -> (Vec<f64>, f64) {
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = scores.iter().map(|s| (s - largest).exp()).sum();
        let lse = largest + sum.ln();
        (scores.iter().map(|s| (s - lse).exp()).collect(), lse)
    }

    /// `(out[tokens, q_dim], lse[tokens, num_heads])` with keys and values in `kv`, rows of
    /// `(keys, values)`, `[rows, kv_dim]` each.
    pub fn attention(
        h: &Heads,
        forest: &Forest,
        queries: &[f64],
        keys: &[f64],
        values: &[f64],
    ) -> (Vec<f64>, Vec<f64>) {
        let (d, group) = (h.head_dim, h.num_heads / h.num_kv_heads);
        let mut out = vec![0.0; forest.tokens() * h.q_dim()];
        let mut lse = vec![0.0; forest.tokens() * h.num_heads];
        for s in &forest.segments {
            for (i, row) in s.rows.clone().enumerate() {
                let seen = visible(s, i);
                for head in 0..h.num_heads {
                    let q = &queries[row * h.q_dim() + head * d..][..d];
                    let at = |j: usize| j * h.kv_dim() + head / group * d;
                    let score = |&j: &usize| dot(q, &keys[at(j)..][..d]) / (d as f64).sqrt();
                    let (p, log_sum) = softmax(&seen.iter().map(score).collect::<Vec<_>>());
                    lse[row * h.num_heads + head] = log_sum;
                    let out = &mut out[row * h.q_dim() + head * d..][..d];
                    for (p, &j) in p.iter().zip(&seen) {
                        for (o, v) in out.iter_mut().zip(&values[at(j)..][..d]) {
                            *o += p * v;
                        }
                    }
                }
            }
        }
        (out, lse)
    }

    /// Gradients `(dqueries, dkeys, dvalues)` of `Σ dout · out`.
    pub fn attention_backward(
        h: &Heads,
        forest: &Forest,
        queries: &[f64],
        keys: &[f64],
        values: &[f64],
        dout: &[f64],
    ) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let (d, group) = (h.head_dim, h.num_heads / h.num_kv_heads);
        let scale = 1.0 / (d as f64).sqrt();
        let mut dq = vec![0.0; queries.len()];
        let (mut dk, mut dv) = (vec![0.0; keys.len()], vec![0.0; values.len()]);
        for s in &forest.segments {
            for (i, row) in s.rows.clone().enumerate() {
                let seen = visible(s, i);
                for head in 0..h.num_heads {
                    let q_at = row * h.q_dim() + head * d;
                    let at = |j: usize| j * h.kv_dim() + head / group * d;
                    let (q, g) = (&queries[q_at..][..d], &dout[q_at..][..d]);
                    let score = |&j: &usize| dot(q, &keys[at(j)..][..d]) * scale;
                    let (p, _) = softmax(&seen.iter().map(score).collect::<Vec<_>>());
                    let dp: Vec<f64> = seen
                        .iter()
                        .map(|&j| dot(g, &values[at(j)..][..d]))
                        .collect();
                    let delta = dot(&p, &dp);
                    for ((&j, p), dp) in seen.iter().zip(&p).zip(&dp) {
                        let ds = p * (dp - delta) * scale;
                        for c in 0..d {
                            dv[at(j) + c] += p * g[c];
                            dq[q_at + c] += ds * keys[at(j) + c];
                            dk[at(j) + c] += ds * q[c];
                        }
                    }
                }
            }
        }
        (dq, dk, dv)
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }
}
