//! Sampling the next token: greedy, temperature, top-k, top-p, min-p.
//!
//! Random numbers come from Philox 4x32-10 keyed by (seed, row key, position), so a row's token does
//! not depend on the batch it is in.

use crate::device::{Memory, Result};

/// How to choose. Filters apply in the order top-k, top-p, min-p, to the probabilities at
/// `temperature`, and the rest is renormalised (as `transformers` orders its warpers).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// 0: greedy (lowest id wins a tie).
    pub temperature: f32,
    /// Keep the k most likely; 0: all.
    pub top_k: usize,
    /// Keep the smallest set of most likely tokens whose probability reaches p; 1: all.
    pub top_p: f32,
    /// Keep tokens at least `min_p` times as likely as the likeliest; 0: all.
    pub min_p: f32,
    pub seed: u64,
}

impl Sampling {
    /// The most likely token.
    pub const GREEDY: Sampling = Sampling {
        temperature: 0.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        seed: 0,
    };
}

/// A chosen token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampled {
    pub token: u32,
    /// Its log-probability at temperature 1, before any filter.
    pub log_probability: f32,
    /// Its log-probability under the distribution it was drawn from (0 for greedy).
    pub sampled_log_probability: f32,
    /// Entropy of the temperature-1 distribution, in nats.
    pub entropy: f32,
}

/// The sampling op.
pub trait Sample: Memory {
    /// Chooses a token for each of `keys.len()` rows of `logits[rows, vocab]`; `keys[i]` is the row's
    /// (row key, position). Tokens in `banned` are never chosen and have no probability.
    fn sample(
        &self,
        vocab: usize,
        logits: &Self::Buffer<f32>,
        sampling: &Sampling,
        keys: &[(u64, u32)],
        banned: &[u32],
    ) -> Result<Vec<Sampled>>;
}

/// Plain f64 implementation.
pub mod reference {
    use super::Sampling;

    /// Probabilities at `temperature` of the tokens that are not banned, before any filter.
    pub fn probabilities(logits: &[f64], temperature: f64, banned: &[u32]) -> Vec<f64> {
        let allowed = |i: usize| !banned.contains(&(i as u32));
        let max = (0..logits.len())
            .filter(|&i| allowed(i))
            .map(|i| logits[i])
            .fold(f64::NEG_INFINITY, f64::max);
        let weight = |i: usize| ((logits[i] - max) / temperature).exp();
        let weights = (0..logits.len()).map(|i| if allowed(i) { weight(i) } else { 0.0 });
        normalised(weights.collect())
    }

    /// Entropy in nats.
    pub fn entropy(probabilities: &[f64]) -> f64 {
        let some = probabilities.iter().filter(|p| **p > 0.0);
        -some.map(|p| p * p.ln()).sum::<f64>()
    }

    /// The distribution that a token is drawn from.
    pub fn distribution(logits: &[f64], sampling: &Sampling, banned: &[u32]) -> Vec<f64> {
        let temperature = match sampling.temperature {
            0.0 => 1.0,
            t => f64::from(t),
        };
        let mut p = probabilities(logits, temperature, banned);
        let mut order: Vec<usize> = (0..p.len())
            .filter(|&i| !banned.contains(&(i as u32)))
            .collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
        let keep = |p: Vec<f64>, kept: &[usize]| {
            let kept = |i: usize| kept.contains(&i);
            normalised(
                (0..p.len())
                    .map(|i| if kept(i) { p[i] } else { 0.0 })
                    .collect(),
            )
        };
        if sampling.temperature == 0.0 {
            return keep(p, &order[..1]);
        }
        if sampling.top_k > 0 {
            order.truncate(sampling.top_k);
            p = keep(p, &order);
        }
        if sampling.top_p < 1.0 {
            let mut before = 0.0;
            let reached = order.iter().position(|&i| {
                before += p[i];
                before >= f64::from(sampling.top_p)
            });
            order.truncate(reached.map_or(order.len(), |i| i + 1));
            p = keep(p, &order);
        }
        let limit = f64::from(sampling.min_p) * p[order[0]];
        order.retain(|&i| p[i] >= limit);
        keep(p, &order)
    }

    fn normalised(weights: Vec<f64>) -> Vec<f64> {
        let total: f64 = weights.iter().sum();
        weights.into_iter().map(|w| w / total).collect()
    }
}
