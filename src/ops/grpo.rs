//! The policy loss of the reinforcement stage over sampled thoughts, fused with its gradient: ratio of
//! probabilities, PPO's clip, optional KL to a reference (lrem eq. 14; variants below).
//!
//! Thought `r` has advantage `A_r` and the tokens `t` of `offsets[r]..offsets[r+1]`, whose
//! log-probabilities are `−nll_t` now and `old_t` when they were sampled. With `δ_t = −nll_t − old_t`:
//!
//! | [`Ratio`] | ρ | source |
//! |---|---|---|
//! | `Thought` | `exp(Σ_t δ_t)`, one for the thought | lrem eq. 14 |
//! | `Mean` | `exp(mean_t δ_t)`, one for the thought | GSPO, arXiv 2507.18071, eq. 7 |
//! | `Token` | `exp(δ_t)`, one a token | GRPO, arXiv 2402.03300; DAPO, arXiv 2503.14476 |
//!
//! `loss = −Σ_r Σ_t w_rt · min(ρ·A_r, clip(ρ, 1−low, 1+high)·A_r) + kl · Σ_r Σ_t w_rt · k3_t`, where
//! `k3 = exp(ref − logp) − (ref − logp) − 1` (arXiv 2402.03300, eq. 4) and `w_rt` is by [`Average`].
//! The gradient of an unclipped thought-wide ratio at the sampling policy is REINFORCE's.
//!
//! Tolerance: log-probabilities are f32, everything else f64, so loss and coefficients are within 1e-9
//! relative of the reference's where no ratio lies within 1e-9 of a clip's edge, plus the rounding of
//! the coefficients to f32. A few flops and 12 bytes a token: the op is bound by its launch.

use crate::device::{DeviceError, Memory, Result};

/// What the probability ratio is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ratio {
    Thought,
    Mean,
    Token,
}

/// How the terms are averaged: the weight `w_rt` of a token among `R` thoughts of `n_r` tokens.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Average {
    /// `1/(R·n_r)`: every thought counts the same.
    Thoughts,
    /// `1/Σn`: every token of the batch counts the same (DAPO).
    Tokens,
    /// `1/(R·budget)`: no thought's length changes its tokens' weight (Dr. GRPO, arXiv 2503.20783).
    Budget(f32),
}

/// The shape of the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GrpoOptions {
    pub ratio: Ratio,
    pub average: Average,
    /// How far below and above 1 a ratio may go before its term stops pulling; infinite: no clip.
    pub clip: (f32, f32),
    /// Weight of the KL term; 0: none, and no reference is needed.
    pub kl: f32,
}

/// Thoughts of a batch, or of a part of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct GrpoBatch<'a> {
    /// First token of every thought and the end of the last, `[thoughts + 1]`.
    pub offsets: &'a [u32],
    /// `[thoughts]`.
    pub advantages: &'a [f32],
    /// Log-probabilities under the policy that sampled, `[tokens]`.
    pub old: &'a [f32],
    /// Log-probabilities under the reference model, `[tokens]`; empty where `kl` is 0.
    pub reference: &'a [f32],
    /// Thoughts and tokens that the average runs over: those of the whole batch, of which this may be a
    /// part.
    pub total: (usize, usize),
}

/// Value and gradient of a batch's loss.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GrpoOutput {
    /// This batch's share of the loss.
    pub loss: f64,
    /// `d loss / d nll`, `[tokens]`.
    pub coefficients: Vec<f32>,
    /// Ratios whose term the clip cut off, and ratios in all.
    pub clipped: usize,
    pub ratios: usize,
    /// Weighted mean of `k3`, this batch's share; 0 without a reference.
    pub kl: f64,
}

/// The policy loss op.
pub trait Grpo: Memory {
    /// Loss and gradient at `nll[tokens]`, the negative log-probabilities of the sampled tokens.
    ///
    /// Offsets that do not rise from 0 to the number of tokens, a thought without a token, lists of
    /// other lengths, a negative clip and a total below the batch's own are errors.
    fn grpo(
        &self,
        options: &GrpoOptions,
        batch: &GrpoBatch<'_>,
        nll: &Self::Buffer<f32>,
    ) -> Result<GrpoOutput>;
}

impl Average {
    /// `w_rt` of a token of a thought of `tokens`, over `total` thoughts and tokens.
    pub fn weight(self, tokens: usize, total: (usize, usize)) -> f64 {
        match self {
            Average::Thoughts => 1.0 / (total.0 * tokens) as f64,
            Average::Tokens => 1.0 / total.1 as f64,
            Average::Budget(budget) => 1.0 / (total.0 as f64 * f64::from(budget)),
        }
    }
}

impl GrpoBatch<'_> {
    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.old.len()
    }

    /// Checks the batch against the contract.
    pub fn check(&self, options: &GrpoOptions) -> Result<()> {
        let ends = (self.offsets.first(), self.offsets.last());
        let rising = self.offsets.windows(2).all(|w| w[0] < w[1]);
        let budget = match options.average {
            Average::Budget(budget) => budget,
            _ => 1.0,
        };
        let rules = [
            (
                ends == (Some(&0), Some(&(self.old.len() as u32))) && rising,
                "offsets have to rise from 0 to the number of tokens",
            ),
            (
                self.advantages.len() + 1 == self.offsets.len(),
                "expected an advantage a thought",
            ),
            (
                options.kl == 0.0 || self.reference.len() == self.old.len(),
                "expected a reference log-probability a token",
            ),
            (
                self.total.0 >= self.advantages.len() && self.total.1 >= self.old.len(),
                "the total is smaller than the batch",
            ),
            (
                options.clip.0 >= 0.0 && options.clip.1 >= 0.0,
                "a clip cannot be negative",
            ),
            (
                options.kl >= 0.0 && budget > 0.0,
                "kl and budget have to be positive",
            ),
        ];
        match rules.iter().find(|r| !r.0) {
            None => Ok(()),
            Some((_, message)) => Err(DeviceError::Argument {
                op: "grpo",
                message: (*message).into(),
            }),
        }
    }
}

/// Plain f64 implementation.
pub mod reference {
    use super::{GrpoBatch, GrpoOptions, Ratio};

    /// The loss; its gradient is checked by finite differences.
    pub fn grpo(o: &GrpoOptions, b: &GrpoBatch<'_>, nll: &[f64]) -> f64 {
        let mut loss = 0.0;
        for (r, &advantage) in b.advantages.iter().enumerate() {
            let tokens = b.offsets[r] as usize..b.offsets[r + 1] as usize;
            let (advantage, n) = (f64::from(advantage), tokens.len() as f64);
            let delta = |t: usize| -nll[t] - f64::from(b.old[t]);
            let all: f64 = tokens.clone().map(delta).sum();
            for t in tokens.clone() {
                let ratio = match o.ratio {
                    Ratio::Thought => all.exp(),
                    Ratio::Mean => (all / n).exp(),
                    Ratio::Token => delta(t).exp(),
                };
                let (low, high) = (1.0 - f64::from(o.clip.0), 1.0 + f64::from(o.clip.1));
                let clipped = ratio.max(low).min(high);
                let weight = o.average.weight(tokens.len(), b.total);
                loss -= weight * (ratio * advantage).min(clipped * advantage);
                if o.kl > 0.0 {
                    let apart = f64::from(b.reference[t]) + nll[t];
                    loss += f64::from(o.kl) * weight * (apart.exp() - apart - 1.0);
                }
            }
        }
        loss
    }

    /// `d loss / d nll`: the derivative of every term, clipped terms having none.
    pub fn grpo_backward(o: &GrpoOptions, b: &GrpoBatch<'_>, nll: &[f64]) -> Vec<f64> {
        let mut gradient = vec![0.0; nll.len()];
        for (r, &advantage) in b.advantages.iter().enumerate() {
            let tokens = b.offsets[r] as usize..b.offsets[r + 1] as usize;
            let (advantage, n) = (f64::from(advantage), tokens.len() as f64);
            let delta = |t: usize| -nll[t] - f64::from(b.old[t]);
            let all: f64 = tokens.clone().map(delta).sum();
            let weight = o.average.weight(tokens.len(), b.total);
            let pulls = |ratio: f64| {
                let (low, high) = (1.0 - f64::from(o.clip.0), 1.0 + f64::from(o.clip.1));
                (advantage >= 0.0 && ratio <= high) || (advantage < 0.0 && ratio >= low)
            };
            for t in tokens.clone() {
                // d ratio / d nll is −ratio, times the number of tokens that it appears in.
                let (ratio, share) = match o.ratio {
                    Ratio::Thought => (all.exp(), n),
                    Ratio::Mean => ((all / n).exp(), 1.0),
                    Ratio::Token => (delta(t).exp(), 1.0),
                };
                if pulls(ratio) {
                    gradient[t] += weight * advantage * ratio * share;
                }
                if o.kl > 0.0 {
                    let apart = f64::from(b.reference[t]) + nll[t];
                    gradient[t] += f64::from(o.kl) * weight * (apart.exp() - 1.0);
                }
            }
        }
        gradient
    }
}
