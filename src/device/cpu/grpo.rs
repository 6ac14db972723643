//! The policy loss on the CPU: one pass over each thought for its ratio, one for its terms, in f64.

use super::Cpu;
use crate::device::{Result, at_least};
use crate::ops::grpo::*;

impl Grpo for Cpu {
    fn grpo(
        &self,
        options: &GrpoOptions,
        batch: &GrpoBatch<'_>,
        nll: &Vec<f32>,
    ) -> Result<GrpoOutput> {
        batch.check(options)?;
        at_least("grpo", "nll", nll.len(), batch.tokens())?;
        let mut out = GrpoOutput {
            coefficients: Vec::with_capacity(batch.tokens()),
            ..GrpoOutput::default()
        };
        for (ends, &advantage) in batch.offsets.windows(2).zip(batch.advantages) {
            let tokens = ends[0] as usize..ends[1] as usize;
            let terms = Terms {
                options,
                advantage: f64::from(advantage),
                weight: options.average.weight(tokens.len(), batch.total),
            };
            let deltas = nll[tokens.clone()].iter().zip(&batch.old[tokens.clone()]);
            let deltas = deltas.map(|(&nll, &old)| -f64::from(nll) - f64::from(old));
            let n = tokens.len() as f64;
            match options.ratio {
                Ratio::Token => {
                    for delta in deltas {
                        let pull = terms.surrogate(delta.exp(), 1.0, &mut out);
                        out.coefficients.push(pull as f32);
                    }
                }
                whole => {
                    let sum: f64 = deltas.sum();
                    let pull = if whole == Ratio::Mean {
                        terms.surrogate((sum / n).exp(), n, &mut out) / n
                    } else {
                        terms.surrogate(sum.exp(), n, &mut out)
                    };
                    let coefficients = std::iter::repeat_n(pull as f32, tokens.len());
                    out.coefficients.extend(coefficients);
                }
            }
            if options.kl > 0.0 {
                for t in tokens {
                    let apart = f64::from(batch.reference[t]) + f64::from(nll[t]);
                    out.kl += terms.weight * (apart.exp() - apart - 1.0);
                    let pull = f64::from(options.kl) * terms.weight * (apart.exp() - 1.0);
                    out.coefficients[t] = (f64::from(out.coefficients[t]) + pull) as f32;
                }
            }
        }
        out.loss += f64::from(options.kl) * out.kl;
        Ok(out)
    }
}

/// What the terms of a thought share.
struct Terms<'a> {
    options: &'a GrpoOptions,
    advantage: f64,
    weight: f64,
}

impl Terms<'_> {
    /// Adds the clipped term of a ratio that stands for `tokens` tokens; returns its derivative by
    /// `−ln ρ`.
    fn surrogate(&self, ratio: f64, tokens: f64, out: &mut GrpoOutput) -> f64 {
        let (low, high) = self.options.clip;
        let kept = ratio.clamp(1.0 - f64::from(low), 1.0 + f64::from(high));
        let a = self.advantage;
        let clips = if a >= 0.0 { ratio > kept } else { ratio < kept };
        let weight = self.weight * tokens;
        out.ratios += 1;
        out.clipped += usize::from(clips);
        out.loss -= weight * if clips { kept } else { ratio } * a;
        if clips { 0.0 } else { weight * ratio * a }
    }
}
