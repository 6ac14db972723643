//! Sampling on the CPU: a row at a time, in a few vectorised passes over the vocabulary.

use super::math::exp;
use super::reduce::{BLOCK, sum_block, sum_terms};
use super::sample_filter::{Cut, Row, group_maxima};
use super::{Cpu, Isa, parallel};
use crate::device::Result;
use crate::ops::sample::*;
use crate::per_isa;
use std::cell::RefCell;

impl Sample for Cpu {
    fn sample(
        &self,
        vocab: usize,
        logits: &Vec<f32>,
        sampling: &Sampling,
        keys: &[(u64, u32)],
        banned: &[u32],
    ) -> Result<Vec<Sampled>> {
        sampling.check(vocab, keys.len(), logits.len(), banned)?;
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
        rows.map(|(i, token)| token.ok_or_else(|| broken_row(i)))
            .collect()
    }
}

/// Chooses from a row whose banned tokens are −∞; `None` where it has NaN, +∞ or only −∞.
fn choose(isa: Isa, logits: &[f32], sampling: &Sampling, key: (u64, u32)) -> Option<Sampled> {
    let maxima = group_maxima(isa, logits);
    let max = maxima.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (sum, weighted) = moments(isa, logits, max);
    if !(sum.is_finite() && weighted.is_finite()) {
        return None;
    }
    let row = Row {
        isa,
        logits,
        maxima: &maxima,
        max,
        temperature: sampling.temperature,
    };
    let (token, probability) = if sampling.temperature == 0.0 {
        let first = row.between(max, f32::INFINITY).next()?;
        (first.id() as usize, 1.0)
    } else {
        draw(&row, row.cut(sampling), uniform(sampling.seed, key))?
    };
    Some(Sampled {
        token: token as u32,
        log_probability: (f64::from(logits[token] - max) - sum.ln()) as f32,
        sampled_log_probability: probability.ln() as f32,
        entropy: (sum.ln() - weighted / sum) as f32,
    })
}

/// Draws from the tokens up to `cut`: the one where their cumulative probability, in the order of
/// ids, passes `at`. With its probability.
fn draw(row: &Row<'_>, cut: Cut, at: f64) -> Option<(usize, f64)> {
    // Up to the cut's id its equals are kept, behind it only what is higher.
    let split = row.logits.len().min(cut.id() as usize + 1);
    let limits = [cut.logit(), cut.logit().next_up()];
    let mut blocks = Vec::new();
    for (range, limit) in [0..split, split..row.logits.len()].into_iter().zip(limits) {
        for start in range.clone().step_by(BLOCK) {
            let block = start..range.end.min(start + BLOCK);
            let logits = &row.logits[block.clone()];
            let sum = sum_kept(row.isa, logits, row.max, row.temperature, limit);
            blocks.push((block, limit, sum));
        }
    }
    let total: f64 = blocks.iter().map(|b| b.2).sum();
    let (i, before) = pass(blocks.iter().map(|b| b.2), at * total)?;
    let (block, limit, _) = blocks.swap_remove(i);
    let weight = |&x: &f32| match x >= limit {
        true => f64::from(exp((x - row.max) / row.temperature)),
        false => 0.0,
    };
    let weights = row.logits[block.clone()].iter().map(weight);
    let (i, _) = pass(weights, at * total - before)?;
    let token = block.start + i;
    Some((token, weight(&row.logits[token]) / total))
}

/// Where the running sum of `weights` passes `limit`, or the last weight above 0 should rounding
/// leave the sum below; and the sum before it.
fn pass(weights: impl Iterator<Item = f64>, limit: f64) -> Option<(usize, f64)> {
    let (mut sum, mut found) = (0.0, None);
    for (i, weight) in weights.enumerate().filter(|(_, w)| *w > 0.0) {
        found = Some((i, sum));
        sum += weight;
        if sum > limit {
            break;
        }
    }
    found
}

per_isa! {
    /// `Σ e` and `Σ e·(x − max)` with `e = exp(x − max)`.
    fn moments(row: &[f32], max: f32) -> (f64, f64) {
        let (mut sum, mut weighted) = (0.0, 0.0);
        for block in row.chunks(BLOCK) {
            let (mut terms, mut products) = ([0.0; BLOCK], [0.0; BLOCK]);
            for ((t, p), &x) in terms.iter_mut().zip(&mut products).zip(block) {
                // A banned token: 0 · −∞ would be NaN.
                let d = if x - max < -1000.0 { -1000.0 } else { x - max };
                *t = exp(d);
                *p = *t * d;
            }
            sum += sum_terms(&mut terms, block.len());
            weighted += sum_terms(&mut products, block.len());
        }
        (sum, weighted)
    }
}

per_isa! {
    /// The weights of a block's tokens with a logit of `limit` or more.
    fn sum_kept(block: &[f32], max: f32, temperature: f32, limit: f32) -> f64 {
        sum_block(block, |x| {
            let weight = exp((x - max) / temperature);
            if x >= limit { weight } else { 0.0 }
        })
    }
}
