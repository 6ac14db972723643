//! Sampling the next token: greedy, temperature, top-k, top-p, min-p.
//!
//! Random numbers come from Philox 4x32-10 keyed by (seed, row key, position), so a row's token does
//! not depend on the batch it is in.
//!
//! Tolerance: probabilities are f32 exponentials, so a filter's edge and a draw's are within 1e-6 of
//! the exact ones; log-probabilities and entropy are within a few f32 roundings of the logits' range.

use super::philox::{philox, uniform53};
use crate::device::{DeviceError, Memory, Result, at_least};

/// How to choose. Filters apply in the order top-k, top-p, min-p, as `transformers` orders its warpers:
/// to the probabilities at `temperature`, renormalised after each. Equally likely tokens rank by id, so
/// top-k keeps exactly k (`transformers` keeps all that tie with the k-th).
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

    /// Checks the contract's limits for `rows` rows in `logits` numbers.
    pub fn check(&self, vocab: usize, rows: usize, logits: usize, banned: &[u32]) -> Result<()> {
        at_least(OP, "logits", logits, rows * vocab)?;
        let wrong = |message| Err(DeviceError::Argument { op: OP, message });
        let temperature = self.temperature;
        if !(temperature >= 0.0 && temperature.is_finite()) {
            return wrong(format!("temperature {temperature} is not at least 0"));
        }
        for (name, p) in [("top_p", self.top_p), ("min_p", self.min_p)] {
            if !(0.0..=1.0).contains(&p) {
                return wrong(format!("{name} {p} is not between 0 and 1"));
            }
        }
        if let Some(id) = banned.iter().find(|&&id| id as usize >= vocab) {
            return wrong(format!(
                "banned token {id} is outside the vocabulary of {vocab}"
            ));
        }
        Ok(())
    }
}

const OP: &str = "sample";

/// The error of a row that nothing can be chosen from.
pub fn broken_row(row: usize) -> DeviceError {
    DeviceError::Argument {
        op: OP,
        message: format!("row {row} has a logit that is not finite, or no token left"),
    }
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

/// The number in [0, 1) that a row draws with: the token is the first, in the order of ids, where the
/// cumulative probability exceeds it.
pub fn uniform(seed: u64, (row_key, position): (u64, u32)) -> f64 {
    // Sets these counters apart from those of `PhiloxStream`.
    const STREAM: u32 = 0x5341_4d50;
    let counter = [position, STREAM, row_key as u32, (row_key >> 32) as u32];
    let words = philox(seed, counter);
    uniform53(words[0], words[1])
}

/// The sampling op.
pub trait Sample: Memory {
    /// Chooses a token for each of `keys.len()` rows of `logits[rows, vocab]`; `keys[i]` is the row's
    /// (row key, position). Tokens in `banned` are never chosen and have no probability.
    ///
    /// A row with a NaN, +∞ or nothing but −∞ and banned tokens is an error, as are a negative
    /// temperature, and a `top_p` or `min_p` outside [0, 1]. −∞ is a logit like a banned token's.
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

    /// The tokens that are not banned, best first; equally likely ones by id.
    pub fn ranked(logits: &[f64], banned: &[u32]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..logits.len())
            .filter(|&i| !banned.contains(&(i as u32)))
            .collect();
        // Adding 0 makes 0 of −0.
        let logit = |i: usize| logits[i] + 0.0;
        order.sort_by(|&a, &b| logit(b).total_cmp(&logit(a)).then(a.cmp(&b)));
        order
    }

    /// The distribution that a token is drawn from.
    pub fn distribution(logits: &[f64], sampling: &Sampling, banned: &[u32]) -> Vec<f64> {
        let temperature = match sampling.temperature {
            0.0 => 1.0,
            t => f64::from(t),
        };
        let mut p = probabilities(logits, temperature, banned);
        let mut order = ranked(logits, banned);
        let keep = |p: Vec<f64>, kept: &[usize]| {
            let mut of_kept = vec![0.0; p.len()];
            kept.iter().for_each(|&i| of_kept[i] = p[i]);
            normalised(of_kept)
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
