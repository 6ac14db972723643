//! Sampling on the CPU: a row at a time, no sort of the vocabulary.
//!
//! Every filter keeps a prefix of the tokens in the order best first (higher logit, then lower id).
//! A lower bound on the prefix' last logit, found from the maxima of groups of tokens, leaves few
//! candidates; the exact prefix is then selected among them.

use super::math::exp;
use super::{Cpu, Isa, parallel};
use crate::device::{DeviceError, Result, at_least};
use crate::ops::philox::{philox, uniform53};
use crate::ops::sample::*;
use crate::per_isa;
use std::cell::RefCell;

const OP: &str = "sample";
/// Tokens whose maximum is kept.
const GROUP: usize = 64;
/// Tokens whose sum of weights is kept.
const BLOCK: usize = 1024;
const LANES: usize = 32;
/// Sets the counters of this op apart from those of `PhiloxStream`.
const STREAM: u32 = 0x5341_4d50;

impl Sample for Cpu {
    fn sample(
        &self,
        vocab: usize,
        logits: &Vec<f32>,
        sampling: &Sampling,
        keys: &[(u64, u32)],
        banned: &[u32],
    ) -> Result<Vec<Sampled>> {
        at_least(OP, "logits", logits.len(), keys.len() * vocab)?;
        let wrong = |message| Err(DeviceError::Argument { op: OP, message });
        let Sampling {
            temperature,
            top_p,
            min_p,
            ..
        } = *sampling;
        if !(temperature >= 0.0 && temperature.is_finite()) {
            return wrong(format!("temperature {temperature} is not at least 0"));
        }
        for (name, p) in [("top_p", top_p), ("min_p", min_p)] {
            if !(0.0..=1.0).contains(&p) {
                return wrong(format!("{name} {p} is not between 0 and 1"));
            }
        }
        if let Some(id) = banned.iter().find(|&&id| id as usize >= vocab) {
            return wrong(format!(
                "banned token {id} is outside the vocabulary of {vocab}"
            ));
        }
        thread_local! {
            static ROW: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
        }
        let mut chosen = vec![None; keys.len()];
        let slots = parallel::Rows::new(&mut chosen, 1);
        parallel::run(keys.len(), |i| {
            ROW.with_borrow_mut(|row| {
                row.clear();
                row.extend_from_slice(&logits[i * vocab..(i + 1) * vocab]);
                for &id in banned {
                    row[id as usize] = f32::NEG_INFINITY;
                }
                slots.take(i)[0] = choose(self.isa, row, sampling, keys[i]);
            });
        });
        let rows = chosen.into_iter().enumerate();
        rows.map(|(i, token)| {
            let message = || format!("row {i} has a logit that is not finite, or no token left");
            token.ok_or_else(|| DeviceError::Argument {
                op: OP,
                message: message(),
            })
        })
        .collect()
    }
}

/// Chooses from a row whose banned tokens are −∞; `None` where it has NaN, +∞ or only −∞.
fn choose(isa: Isa, row: &[f32], sampling: &Sampling, key: (u64, u32)) -> Option<Sampled> {
    let mut maxima = vec![0.0; row.len().div_ceil(GROUP)];
    group_maxima(isa, row, &mut maxima);
    let max = maxima.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (sum, weighted) = moments(isa, row, max);
    if !(sum.is_finite() && weighted.is_finite()) {
        return None;
    }
    let (token, sampled_log_probability) = if sampling.temperature == 0.0 {
        let group = maxima.iter().position(|&m| m == max)? * GROUP;
        let within = row[group..].iter().position(|&v| v == max)?;
        ((group + within) as u32, 0.0)
    } else {
        let (row_key, position) = key;
        let counter = [position, STREAM, row_key as u32, (row_key >> 32) as u32];
        let words = philox(sampling.seed, counter);
        let uniform = uniform53(words[0], words[1]);
        let row = Row {
            isa,
            logits: row,
            maxima: &maxima,
            max,
            temperature: sampling.temperature,
        };
        let (token, probability) = row.draw(sampling, uniform)?;
        (token, probability.ln() as f32)
    };
    Some(Sampled {
        token,
        log_probability: (f64::from(row[token as usize] - max) - sum.ln()) as f32,
        sampled_log_probability,
        entropy: (sum.ln() - weighted / sum) as f32,
    })
}

/// A row of logits to draw from.
struct Row<'a> {
    isa: Isa,
    logits: &'a [f32],
    /// The maximum of every group of logits.
    maxima: &'a [f32],
    max: f32,
    temperature: f32,
}

/// A token that may pass the filters.
#[derive(Clone, Copy)]
struct Candidate {
    /// Ascending from best to worst: descending logit above, id below.
    key: u64,
    /// exp((logit − max) / temperature).
    weight: f32,
}

impl Row<'_> {
    /// Draws a token: the one where the cumulative probability, in the order of ids, passes
    /// `uniform`. With its probability.
    fn draw(&self, sampling: &Sampling, uniform: f64) -> Option<(u32, f64)> {
        let top_k = match sampling.top_k {
            0 => self.logits.len(),
            k => k.min(self.logits.len()),
        };
        let narrowed = top_k < self.logits.len();
        if !narrowed && sampling.top_p >= 1.0 && sampling.min_p <= 0.0 {
            return self.draw_from_all(uniform);
        }
        let (min_p, top_p) = (f64::from(sampling.min_p), f64::from(sampling.top_p));
        let mut candidates = if narrowed {
            self.top_k(top_k)
        } else if top_p < 1.0 {
            // Tokens below this weight hold together less than 1 − top_p: none is in the nucleus.
            let total: f64 = self.block_sums().iter().sum();
            let mut candidates = self.above((1.0 - top_p) * total / self.logits.len() as f64);
            keep_nucleus(&mut candidates, top_p * total);
            candidates
        } else {
            self.above(min_p)
        };
        if narrowed && top_p < 1.0 {
            let total: f64 = candidates.iter().map(|c| f64::from(c.weight)).sum();
            keep_nucleus(&mut candidates, top_p * total);
        }
        candidates.retain(|c| f64::from(c.weight) >= min_p);
        let total: f64 = candidates.iter().map(|c| f64::from(c.weight)).sum();
        let weights = candidates.iter().map(|c| c.weight);
        let (i, weight) = pass(weights, uniform * total)?;
        Some((candidates[i].key as u32, weight / total))
    }

    fn draw_from_all(&self, uniform: f64) -> Option<(u32, f64)> {
        let sums = self.block_sums();
        let total: f64 = sums.iter().sum();
        let mut rest = uniform * total;
        // The last block with any weight, should rounding leave a rest behind it.
        let mut block = sums.iter().rposition(|&s| s > 0.0)?;
        for (i, &sum) in sums[..block].iter().enumerate() {
            if rest < sum {
                block = i;
                break;
            }
            rest -= sum;
        }
        let start = block * BLOCK;
        let end = self.logits.len().min(start + BLOCK);
        let weights = self.logits[start..end].iter().map(|&x| self.weight(x));
        let (i, weight) = pass(weights, rest)?;
        Some(((start + i) as u32, weight / total))
    }

    fn weight(&self, logit: f32) -> f32 {
        exp((logit - self.max) / self.temperature)
    }

    /// Sums of the weights of blocks of tokens.
    fn block_sums(&self) -> Vec<f64> {
        let blocks = self.logits.chunks(BLOCK);
        blocks
            .map(|block| sum_weights(self.isa, block, self.max, self.temperature))
            .collect()
    }

    /// The `k` best tokens, in the order of ids.
    fn top_k(&self, k: usize) -> Vec<Candidate> {
        // k groups reach the k-th highest maximum, so at least k tokens do.
        let limit = if k <= self.maxima.len() {
            let mut maxima = self.maxima.to_vec();
            *maxima
                .select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a))
                .1
        } else {
            f32::NEG_INFINITY
        };
        let mut candidates = self.reaching(limit);
        if candidates.len() > k {
            let mut keys: Vec<u64> = candidates.iter().map(|c| c.key).collect();
            let last = *keys.select_nth_unstable(k - 1).1;
            candidates.retain(|c| c.key <= last);
        }
        candidates
    }

    /// At least the tokens with `weight` or more, in the order of ids.
    fn above(&self, weight: f64) -> Vec<Candidate> {
        // Half the weight: room for the rounding of the exponential.
        let below = f64::from(self.temperature) * (0.5 * weight).ln();
        self.reaching((f64::from(self.max) + below) as f32)
    }

    /// The tokens with a logit of `limit` or more, in the order of ids; never the banned.
    fn reaching(&self, limit: f32) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        let groups = self.logits.chunks(GROUP).zip(self.maxima).enumerate();
        for (g, (group, _)) in groups.filter(|(_, (_, max))| **max >= limit) {
            for (i, &logit) in group.iter().enumerate() {
                if logit >= limit && logit > f32::NEG_INFINITY {
                    candidates.push(Candidate {
                        key: rank_key(logit, (g * GROUP + i) as u32),
                        weight: self.weight(logit),
                    });
                }
            }
        }
        candidates
    }
}

fn rank_key(logit: f32, id: u32) -> u64 {
    // −0 counts as 0; then the usual map of floats to integers of the same order, reversed.
    let bits = (logit + 0.0).to_bits();
    let descending = if bits >> 31 == 1 {
        bits
    } else {
        !bits & 0x7fff_ffff
    };
    u64::from(descending) << 32 | u64::from(id)
}

/// Keeps the smallest prefix, best first, whose weights reach `mass`.
fn keep_nucleus(candidates: &mut Vec<Candidate>, mut mass: f64) {
    let mut ranked = candidates.clone();
    let mut rest = &mut ranked[..];
    while rest.len() > 1 {
        let half = rest.len() / 2;
        rest.select_nth_unstable_by_key(half, |c| c.key);
        let sum: f64 = rest[..half].iter().map(|c| f64::from(c.weight)).sum();
        if sum >= mass {
            rest = &mut rest[..half];
        } else {
            mass -= sum;
            rest = &mut rest[half..];
        }
    }
    if let Some(last) = rest.first().map(|c| c.key) {
        candidates.retain(|c| c.key <= last);
    }
}

/// Where the running sum of `weights` passes `limit` and the weight there, or the last weight above 0.
fn pass(weights: impl Iterator<Item = f32>, limit: f64) -> Option<(usize, f64)> {
    let (mut sum, mut last) = (0.0, None);
    for (i, weight) in weights.enumerate().filter(|(_, w)| *w > 0.0) {
        last = Some((i, f64::from(weight)));
        sum += f64::from(weight);
        if sum > limit {
            break;
        }
    }
    last
}

per_isa! {
    fn group_maxima(row: &[f32], maxima: &mut [f32]) {
        for (group, out) in row.chunks(GROUP).zip(maxima) {
            let mut lanes = [f32::NEG_INFINITY; 16];
            for part in group.chunks(16) {
                for (lane, &v) in lanes.iter_mut().zip(part) {
                    *lane = if v > *lane { v } else { *lane };
                }
            }
            *out = lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
        }
    }
}

per_isa! {
    /// `Σ e` and `Σ e·(x − max)` with `e = exp(x − max)`.
    fn moments(row: &[f32], max: f32) -> (f64, f64) {
        let (mut sum, mut weighted) = (0.0, 0.0);
        for block in row.chunks(BLOCK) {
            let (mut sums, mut products) = ([0.0f32; LANES], [0.0f32; LANES]);
            for part in block.chunks(LANES) {
                for ((s, p), &x) in sums.iter_mut().zip(&mut products).zip(part) {
                    // A banned token: 0 · −∞ would be NaN.
                    let d = if x - max < -1000.0 { -1000.0 } else { x - max };
                    let e = exp(d);
                    *s += e;
                    *p += e * d;
                }
            }
            sum += sums.iter().map(|&v| f64::from(v)).sum::<f64>();
            weighted += products.iter().map(|&v| f64::from(v)).sum::<f64>();
        }
        (sum, weighted)
    }
}

per_isa! {
    fn sum_weights(block: &[f32], max: f32, temperature: f32) -> f64 {
        let mut lanes = [0.0f32; LANES];
        for part in block.chunks(LANES) {
            for (lane, &x) in lanes.iter_mut().zip(part) {
                *lane += exp((x - max) / temperature);
            }
        }
        lanes.iter().map(|&v| f64::from(v)).sum()
    }
}
