//! The policy loss of an update, as a loss over the batch's drawn tokens.

use super::judge::Judgement;
use super::rollouts::Group;
use crate::device::{Device, Result};
use crate::ops::grpo::{GrpoBatch, GrpoOptions};
use crate::train::contrast::Contrast;
use crate::train::token_loss::TokenLoss;

/// The policy loss times γ1 over a step's thoughts. The first update's ranks judge them; later updates
/// keep the advantages.
pub struct PolicyLoss<'a> {
    options: GrpoOptions,
    /// γ1.
    weight: f32,
    /// Tokens of every thought, and their log-probabilities when they were drawn.
    lengths: Vec<usize>,
    old: Vec<f32>,
    /// Under the reference model; empty without one.
    reference: Vec<f32>,
    judge: Box<dyn Fn(&Contrast) -> Judgement + 'a>,
    pub judgement: Option<Judgement>,
    /// Thoughts and tokens that this update has seen.
    at: (usize, usize),
    pub seen: Seen,
}

/// What an update found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub loss: f64,
    pub kl: f64,
    pub clipped: usize,
    pub ratios: usize,
    /// Sum over tokens of how far the log-probability is from the one at drawing.
    pub moved: f64,
    pub tokens: usize,
}

impl<'a> PolicyLoss<'a> {
    /// The loss over the thoughts of `groups`; `judge` gives their advantages from the first update's
    /// ranks.
    pub fn new(
        options: GrpoOptions,
        weight: f32,
        groups: &[Group],
        reference: Vec<f32>,
        judge: impl Fn(&Contrast) -> Judgement + 'a,
    ) -> PolicyLoss<'a> {
        let thoughts = || groups.iter().flat_map(|g| &g.thoughts);
        let old = thoughts().flat_map(|t| t.log_probabilities.iter().copied());
        PolicyLoss {
            options,
            weight,
            lengths: thoughts().map(|t| t.drawn.len()).collect(),
            old: old.collect(),
            reference,
            judge: Box::new(judge),
            judgement: None,
            at: (0, 0),
            seen: Seen::default(),
        }
    }

    /// Starts another update over the same thoughts.
    pub fn again(&mut self) {
        self.at = (0, 0);
        self.seen = Seen::default();
    }
}

impl<D: Device> TokenLoss<D> for PolicyLoss<'_> {
    fn compared(&mut self, _: &D, contrast: &Contrast) -> Result<()> {
        if self.judgement.is_none() {
            self.judgement = Some((self.judge)(contrast));
        }
        Ok(())
    }

    fn coefficients(&mut self, device: &D, nll: &D::Buffer<f32>, len: usize) -> Result<Vec<f32>> {
        let (first, token) = self.at;
        let (mut offsets, mut last) = (vec![0], first);
        while offsets[last - first] < len as u32 {
            offsets.push(offsets[last - first] + self.lengths[last] as u32);
            last += 1;
        }
        let tokens = token..token + len;
        let advantages = match &self.judgement {
            Some(judgement) => judgement.advantages[first..last].to_vec(),
            None => vec![0.0; last - first],
        };
        let batch = GrpoBatch {
            offsets: &offsets,
            advantages: &advantages,
            old: &self.old[tokens.clone()],
            reference: self.reference.get(tokens.clone()).unwrap_or(&[]),
            total: (self.lengths.len(), self.old.len()),
        };
        let mut out = device.grpo(&self.options, &batch, nll)?;
        let now = device.download(nll, len)?;
        let moved = now.iter().zip(batch.old);
        self.seen.moved += moved.map(|(n, o)| f64::from((n + o).abs())).sum::<f64>();
        self.seen.tokens += len;
        self.seen.loss += out.loss;
        self.seen.kl += out.kl;
        self.seen.clipped += out.clipped;
        self.seen.ratios += out.ratios;
        self.at = (last, tokens.end);
        out.coefficients.iter_mut().for_each(|c| *c *= self.weight);
        Ok(out.coefficients)
    }

    fn value(&self) -> f64 {
        f64::from(self.weight) * self.seen.loss
    }
}
