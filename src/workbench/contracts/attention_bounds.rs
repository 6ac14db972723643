//! How far f32 attention may be from the exact one, from the magnitudes of what is added.
//!
//! A sum of n products is off by n roundings of the sum of their magnitudes. What a score is off by
//! is a relative error of its exponential; the rest follows term by term from the formulas.

use crate::ops::attention::{Heads, reference::visible};
use crate::ops::forest::Forest;

const ULP: f64 = f32::EPSILON as f64;
/// A probability may be off by this beside its relative error: exponentials this small become 0.
const FLUSHED: f64 = f32::MIN_POSITIVE as f64;
/// Keys between two rescalings of the running sum, at most.
const TILE: usize = 16;

/// Largest errors, element by element.
pub struct Bounds {
    pub out: Vec<f64>,
    pub lse: Vec<f64>,
    pub dqueries: Vec<f64>,
    pub dkeys: Vec<f64>,
    pub dvalues: Vec<f64>,
}

/// Bounds of forward and backward over queries, keys, values and output gradients, of results that are
/// not yet rounded. `rounding` is what rounding to the device's type changes at most: of the output that
/// the backward pass reads, and of probabilities and gradients by scores before they are multiplied.
pub fn bounds(
    h: &Heads,
    forest: &Forest,
    [q, k, v, dout]: &[Vec<f64>; 4],
    rounding: f64,
) -> Bounds {
    let (d, group) = (h.head_dim, h.num_heads / h.num_kv_heads);
    let scale = 1.0 / (d as f64).sqrt();
    let tokens = forest.tokens();
    let mut b = Bounds {
        out: vec![0.0; q.len()],
        lse: vec![0.0; tokens * h.num_heads],
        dqueries: vec![0.0; q.len()],
        dkeys: vec![0.0; k.len()],
        dvalues: vec![0.0; v.len()],
    };
    // A key's gradient sums over every row and head of its group.
    let below = (tokens * group) as f64 * ULP;
    let dim = (d + 4) as f64 * ULP;
    for s in &forest.segments {
        for (i, row) in s.rows.clone().enumerate() {
            let seen = visible(s, i);
            let sum = (seen.len() + 4) as f64 * ULP;
            for head in 0..h.num_heads {
                let at = |j: usize| j * h.kv_dim() + head / group * d;
                let q_at = row * h.q_dim() + head * d;
                let (q, g) = (&q[q_at..][..d], &dout[q_at..][..d]);
                let (key, value) = (|j: usize| &k[at(j)..][..d], |j: usize| &v[at(j)..][..d]);

                let scores: Vec<f64> = seen.iter().map(|&j| scale * dot(q, key(j))).collect();
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let exps: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
                let total: f64 = exps.iter().sum();
                let lse = top + total.ln();
                let largest = seen.iter().map(|&j| scale * magnitude(q, key(j)));
                let largest = largest.fold(0.0, f64::max);

                let score_error = dim * largest;
                // An exponential, and the running sum's factor after every tile: an argument that is
                // off by its rounding, and a few roundings of the value.
                let spans = s.ancestors.len() + 1;
                let factors = (seen.len() / TILE + spans + 1) as f64;
                let factor_error = factors * (2.0 * largest + 4.0) * ULP;
                let weight_error = score_error + factor_error + sum;
                let lse_error = weight_error + 2.0 * ULP * (1.0 + lse.abs() + top.abs());
                b.lse[row * h.num_heads + head] = lse_error;

                let (mut out, mut delta_error) = (vec![0.0; d], 0.0);
                for c in 0..d {
                    let terms = seen.iter().zip(&exps);
                    let terms = terms.map(|(&j, e)| e / total * value(j)[c]);
                    let (sum_of, size) =
                        terms.fold((0.0, 0.0), |(s, m), t: f64| (s + t, m + t.abs()));
                    let values: f64 = seen.iter().map(|&j| value(j)[c].abs()).sum();
                    b.out[q_at + c] =
                        (2.0 * weight_error + sum + rounding) * size + FLUSHED * values;
                    out[c] = sum_of;
                    let stored_error = b.out[q_at + c] * (1.0 + rounding) + rounding * sum_of.abs();
                    delta_error += g[c].abs() * stored_error;
                }
                delta_error += dim * magnitude(g, &out);

                let delta = dot(g, &out);
                let p_error = score_error + lse_error + ULP * (largest + lse.abs() + 4.0);
                for (&j, e) in seen.iter().zip(&exps) {
                    let p = e / total;
                    let dp = dot(g, value(j));
                    let dp_error = dim * magnitude(g, value(j));
                    let relative = p_error + 4.0 * ULP;
                    let spread = relative * (dp.abs() + delta.abs()) + dp_error + delta_error;
                    let ds = scale * p * (dp - delta).abs();
                    let ds_error = scale * p * spread * (1.0 + rounding)
                        + rounding * ds
                        + FLUSHED * scale * (dp.abs() + delta.abs());
                    for c in 0..d {
                        b.dqueries[q_at + c] += (ds_error + sum * ds) * key(j)[c].abs();
                        b.dkeys[at(j) + c] += (ds_error + below * ds) * q[c].abs();
                        b.dvalues[at(j) + c] +=
                            ((p_error + below + rounding) * p + FLUSHED) * g[c].abs();
                    }
                }
            }
        }
    }
    b
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// The sum of the magnitudes of the terms of a dot product.
fn magnitude(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x * y).abs()).sum()
}
