//! Numbers that contracts draw.

use crate::ops::attention::Heads;
use crate::ops::philox::PhiloxStream;
use crate::workbench::Draw;
use std::collections::BTreeSet;

/// Normal numbers, rounded to bf16 so that every device starts from the same; as `draw` says, a thousand
/// times as large, or with an infinity or a NaN among them.
pub fn normals(draw: Draw, seed: u64, stream: u64, len: usize) -> Vec<f32> {
    let mut random = PhiloxStream::new(seed, stream);
    let scale = if draw == Draw::Large { 1024.0 } else { 1.0 };
    let mut x: Vec<f32> = (0..len).map(|_| to_bf16(scale * random.normal())).collect();
    if draw == Draw::NotFinite && len > 0 {
        for special in [f32::INFINITY, f32::NAN, f32::NEG_INFINITY] {
            x[random.below(len)] = special;
        }
    }
    x
}

/// The nearest number of bf16, which every device stores exactly.
pub fn to_bf16(x: f32) -> f32 {
    half::bf16::from_f32(x).to_f32()
}

/// In f64.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().copied().map(f64::from).collect()
}

/// Magnitudes in f64.
pub fn magnitudes(x: &[f32]) -> Vec<f64> {
    x.iter().map(|v| f64::from(v.abs())).collect()
}

/// What a result becomes on top of what is there, and its error: more by `relative` of both magnitudes.
pub fn onto(want: &[f64], error: &[f64], there: &[f32], relative: f64) -> (Vec<f64>, Vec<f64>) {
    let sums = want.iter().zip(there).map(|(w, &at)| w + f64::from(at));
    let more = |((e, &at), w): ((&f64, &f32), &f64)| e + relative * (f64::from(at.abs()) + w.abs());
    let errors = error.iter().zip(there).zip(want).map(more);
    (sums.collect(), errors.collect())
}

/// Heads of attention.
pub fn heads(num_heads: usize, num_kv_heads: usize, head_dim: usize) -> Heads {
    Heads {
        num_heads,
        num_kv_heads,
        head_dim,
    }
}

/// How many different ones there are.
pub fn distinct(ids: &[u32]) -> usize {
    ids.iter().collect::<BTreeSet<_>>().len()
}
