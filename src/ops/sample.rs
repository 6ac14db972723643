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
