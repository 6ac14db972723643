//! Random forests with queries, keys and values.

use crate::common::*;
use lrem::device::Activation;
use lrem::ops::attention::{Attention, Heads, KeysValues, reference};
use lrem::ops::forest::{Forest, Mask, Segment};
use proptest::prelude::*;
use proptest::sample::Index;

/// Groups of 1 to 3 query heads, heads of 2 to 128 elements.
pub fn heads() -> impl Strategy<Value = Heads> {
    let head_dim = prop_oneof![
        4 => 2usize..34,
        3 => 34usize..=128,
        1 => Just(64usize),
        1 => Just(128usize),
    ];
    (1usize..4, 1usize..4, head_dim).prop_map(|(group, num_kv_heads, head_dim)| Heads {
        num_heads: group * num_kv_heads,
        num_kv_heads,
        head_dim,
    })
}

/// Head sizes that the GPU multiplies on tensor cores.
pub fn tensor_core_heads() -> impl Strategy<Value = Heads> {
    let head_dim = prop::sample::select(vec![64, 64, 80, 96, 128]);
    (1usize..9, 1usize..3, head_dim).prop_map(|(group, num_kv_heads, head_dim)| Heads {
        num_heads: group * num_kv_heads,
        num_kv_heads,
        head_dim,
    })
}

/// The largest [`Case::work`] that the virtual GPU is given without tensor cores.
pub const MOST_WORK: usize = 40;

/// Lengths and parents: several roots, at most four segments from a root to a leaf.
pub fn parts() -> impl Strategy<Value = Vec<(usize, Option<usize>)>> {
    let length = prop_oneof![
        3 => Just(1usize),
        5 => 2usize..20,
        1 => Just(64usize),
        2 => 20usize..140,
    ];
    let parent = prop::option::weighted(0.75, any::<Index>());
    prop::collection::vec((length, parent), 1..7).prop_map(|drawn| {
        let mut parts: Vec<(usize, Option<usize>)> = Vec::new();
        let mut depths: Vec<usize> = Vec::new();
        for (i, (length, parent)) in drawn.into_iter().enumerate() {
            let parent = parent.filter(|_| i > 0).map(|p| p.index(i));
            let parent = parent.filter(|&p| depths[p] < 4);
            depths.push(parent.map_or(1, |p| depths[p] + 1));
            parts.push((length, parent));
        }
        parts
    })
}

/// A mask for each of as many segments as [`parts`] draws; half of the draws are causal throughout.
pub fn masks() -> impl Strategy<Value = Vec<Mask>> {
    let mask = prop::sample::select(vec![Mask::Causal, Mask::Full, Mask::Ancestors]);
    prop_oneof![Just(vec![Mask::Causal; 6]), prop::collection::vec(mask, 6),]
}

/// Parts with their masks; a root sees its own keys, having no others.
pub fn forest(parts: &[(usize, Option<usize>)], masks: &[Mask]) -> Forest {
    let mut forest = Forest::packed(parts);
    for (segment, &mask) in forest.segments.iter_mut().zip(masks) {
        segment.mask = match (mask, segment.parent) {
            (Mask::Ancestors, None) => Mask::Full,
            _ => mask,
        };
    }
    forest
}

/// A packed batch: rows of queries, keys, values and output gradients.
pub struct Case {
    pub heads: Heads,
    pub forest: Forest,
    pub queries: Vec<f32>,
    pub keys: Vec<f32>,
    pub values: Vec<f32>,
    pub dout: Vec<f32>,
}

impl Case {
    /// Normal numbers, the queries times `sharpness`; all of them are bf16 numbers.
    pub fn new(heads: Heads, forest: Forest, sharpness: f32, seed: u64) -> Case {
        let tokens = forest.tokens();
        let mut queries = normals(seed, 1, tokens * heads.q_dim());
        let sharpen = |q: f32| half::bf16::from_f32(q * sharpness).to_f32();
        queries.iter_mut().for_each(|q| *q = sharpen(*q));
        Case {
            queries,
            keys: normals(seed, 2, tokens * heads.kv_dim()),
            values: normals(seed, 3, tokens * heads.kv_dim()),
            dout: normals(seed, 4, tokens * heads.q_dim()),
            heads,
            forest,
        }
    }

    /// The same rows, taken in the order of `rows`, in another forest.
    pub fn gather(&self, forest: Forest, rows: &[usize]) -> Case {
        let take = |x: &[f32], width: usize| -> Vec<f32> {
            let row = |&r: &usize| &x[r * width..][..width];
            rows.iter().flat_map(row).copied().collect()
        };
        let (q_dim, kv_dim) = (self.heads.q_dim(), self.heads.kv_dim());
        Case {
            heads: self.heads,
            forest,
            queries: take(&self.queries, q_dim),
            keys: take(&self.keys, kv_dim),
            values: take(&self.values, kv_dim),
            dout: take(&self.dout, q_dim),
        }
    }

    /// `[tokens, qkv_dim]`.
    pub fn qkv(&self) -> Vec<f32> {
        join(&self.heads, &self.queries, &self.keys, &self.values)
    }

    /// Multiplications and additions of the forward pass, in millions.
    pub fn work(&self) -> usize {
        let seen = |s: &Segment| s.own.len + s.ancestors.iter().map(|a| a.len).sum::<usize>();
        let pairs: usize = self
            .forest
            .segments
            .iter()
            .map(|s| s.rows.len() * seen(s))
            .sum();
        4 * pairs * self.heads.q_dim() / 1_000_000
    }

    /// `(out, lse)` of a device over packed keys.
    pub fn forward<D: Attention>(&self, device: &D) -> (Vec<f32>, Vec<f32>) {
        self.forward_with(device, &reals(device, &self.qkv()), KeysValues::Packed)
    }

    /// `(out, lse)` of a device over other keys, without what was behind their ends.
    pub fn forward_with<D: Attention>(
        &self,
        device: &D,
        qkv: &Activation<D>,
        kv: KeysValues<'_, D>,
    ) -> (Vec<f32>, Vec<f32>) {
        let (heads, forest) = (&self.heads, &self.forest);
        let (out_len, lse_len) = (
            forest.tokens() * heads.q_dim(),
            forest.tokens() * heads.num_heads,
        );
        let mut out = poisoned_reals(device, out_len);
        let mut lse = poisoned_floats(device, lse_len);
        device
            .attention(heads, forest, qkv, kv, &mut out, Some(&mut lse))
            .unwrap();
        let out = read_reals(device, "out", &out, out_len);
        (out, read_floats(device, "lse", &lse, lse_len))
    }

    /// `(dqueries, dkeys, dvalues)` of a device.
    pub fn backward<D: Attention>(&self, device: &D, out: &[f32], lse: &[f32]) -> [Vec<f32>; 3] {
        let (heads, forest) = (&self.heads, &self.forest);
        let len = forest.tokens() * heads.qkv_dim();
        let [qkv, out, dout] = [&self.qkv()[..], out, &self.dout].map(|x| reals(device, x));
        let (lse, mut dqkv) = (floats(device, lse), poisoned_reals(device, len));
        device
            .attention_backward(heads, forest, &qkv, &out, &lse, &dout, &mut dqkv)
            .unwrap();
        split(heads, &read_reals(device, "dqkv", &dqkv, len))
    }

    pub fn reference(&self) -> (Vec<f64>, Vec<f64>) {
        let [q, k, v, _] = self.wide();
        reference::attention(&self.heads, &self.forest, &q, &k, &v)
    }

    pub fn reference_backward(&self) -> [Vec<f64>; 3] {
        let [q, k, v, dout] = self.wide();
        let (heads, forest) = (&self.heads, &self.forest);
        reference::attention_backward(heads, forest, &q, &k, &v, &dout).into()
    }

    /// Queries, keys, values and output gradients in f64.
    pub fn wide(&self) -> [Vec<f64>; 4] {
        [&self.queries, &self.keys, &self.values, &self.dout].map(|x| wide(x))
    }
}

/// Rows of queries, keys and values side by side.
pub fn join(heads: &Heads, queries: &[f32], keys: &[f32], values: &[f32]) -> Vec<f32> {
    let rows = queries.chunks_exact(heads.q_dim());
    let kv = keys
        .chunks_exact(heads.kv_dim())
        .zip(values.chunks_exact(heads.kv_dim()));
    rows.zip(kv)
        .flat_map(|(q, (k, v))| [q, k, v].concat())
        .collect()
}

/// The reverse of [`join`].
fn split(heads: &Heads, qkv: &[f32]) -> [Vec<f32>; 3] {
    let mut parts = [vec![], vec![], vec![]];
    for row in qkv.chunks_exact(heads.qkv_dim()) {
        let (q, kv) = row.split_at(heads.q_dim());
        let (k, v) = kv.split_at(heads.kv_dim());
        for (part, x) in parts.iter_mut().zip([q, k, v]) {
            part.extend_from_slice(x);
        }
    }
    parts
}
