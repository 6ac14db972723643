//! The policy loss over sampled thoughts and its gradient, by every ratio, with and without a reference.
//!
//! Tolerance. A ratio may be off by the roundings of its exponent and of the exponential; where that straddles a
//! clip, either side is right.

use super::{limits, normals, wide};
use crate::device::{Device, Result};
use crate::ops::grpo::{Average, GrpoBatch, GrpoOptions, Ratio, reference};
use crate::ops::philox::PhiloxStream;
use crate::workbench::{Contract, Cost, Draw, Probe};
use serde::{Deserialize, Serialize};
use std::ops::Range;

const SINGLE: f64 = f32::EPSILON as f64;
const DOUBLE: f64 = f64::EPSILON;

/// Thoughts and tokens of the batch beyond those of the part that is computed.
const MORE: (usize, usize) = (3, 17);

/// The ratios, and the weight of the KL term with each.
const WAYS: [(&str, Ratio, f32); 4] = [
    ("by thought", Ratio::Thought, 0.25),
    ("by mean", Ratio::Mean, 0.25),
    ("by token", Ratio::Token, 0.25),
    ("by token without KL", Ratio::Token, 0.0),
];

/// The contract of `grpo`.
pub struct GrpoContract;

/// Tokens of every thought, and the loss.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GrpoShape {
    pub lengths: Vec<usize>,
    /// How far log-probabilities are apart.
    pub drift: f32,
    pub average: Average,
    pub clip: (f32, f32),
}

impl Contract for GrpoContract {
    type Shape = GrpoShape;
    const OP: &'static str = "grpo";
    const TYPED: bool = false;

    fn shape(draw: Draw, random: &mut PhiloxStream) -> GrpoShape {
        let mut lengths = |thoughts: usize, most: usize| -> Vec<usize> {
            (0..thoughts).map(|_| 1 + random.below(most)).collect()
        };
        let lengths = match draw {
            Draw::Counted => lengths(64, 64),
            // More thoughts than a block has, and more tokens than the last holds.
            Draw::Model => [lengths(37, 40), vec![2100]].concat(),
            Draw::Smallest => vec![1],
            _ => lengths(8, 30),
        };
        GrpoShape {
            lengths,
            drift: [0.0, 0.05, 0.4][if draw == Draw::Any {
                random.below(3)
            } else {
                1
            }],
            average: [Average::Thoughts, Average::Tokens, Average::Budget(24.0)][random.below(3)],
            clip: match draw {
                Draw::Any => {
                    [(0.0, 0.0), (0.02, 0.05), (0.2, 0.3), (f32::INFINITY, 0.1)][random.below(4)]
                }
                _ => (0.02, 0.03),
            },
        }
    }

    fn limits(s: &GrpoShape) -> std::result::Result<(), String> {
        limits::positive("1 + drift", 1.0 + s.drift)?;
        let tokens = s
            .lengths
            .iter()
            .fold(0usize, |n, &len| n.saturating_add(len));
        let shortest = s.lengths.iter().copied().min().unwrap_or(0);
        limits::sizes(&[("a length", shortest), ("tokens", tokens)], &[])
    }

    fn costs(s: &GrpoShape, _: u64, _: usize) -> Vec<Cost> {
        let (thoughts, tokens) = (s.lengths.len(), s.lengths.iter().sum::<usize>());
        // Of the first way, with a ratio a thought and KL: three log-probabilities in, a coefficient out.
        let bytes = 16 * tokens + 40 * thoughts + 4;
        vec![Cost::new(Self::OP, bytes, 12 * tokens + 10 * thoughts)]
    }

    fn run<D: Device>(
        s: &GrpoShape,
        draw: Draw,
        seed: u64,
        probe: &mut Probe<'_, D>,
    ) -> Result<()> {
        // What an infinite log-probability is worth is not the contract's.
        let draw = draw.finite();
        let mut offsets = vec![0];
        for n in &s.lengths {
            offsets.push(offsets[offsets.len() - 1] + *n as u32);
        }
        let (thoughts, tokens) = (s.lengths.len(), s.lengths.iter().sum::<usize>());
        let nll: Vec<f32> = normals(draw, seed, 1, tokens)
            .iter()
            .map(|x| x.abs())
            .collect();
        let near = |stream: u64| -> Vec<f32> {
            let apart = normals(Draw::Any, seed, stream, tokens);
            let pairs = nll.iter().zip(apart);
            pairs.map(|(x, apart)| s.drift * apart - x).collect()
        };
        let (old, base) = (near(2), near(3));
        let mut advantages = normals(Draw::Any, seed, 4, thoughts);
        advantages
            .iter_mut()
            .skip(1)
            .step_by(4)
            .for_each(|a| *a = 0.0);
        let batch = GrpoBatch {
            offsets: &offsets,
            advantages: &advantages,
            old: &old,
            reference: &base,
            total: (thoughts + MORE.0, tokens + MORE.1),
        };
        let nll_in = probe.floats("nll", &nll)?;
        for (way, ratio, kl) in WAYS {
            let options = GrpoOptions {
                ratio,
                average: s.average,
                clip: s.clip,
                kl,
            };
            let got = probe.device.grpo(&options, &batch, &nll_in)?;
            let wide_nll = wide(&nll);
            let loss = reference::grpo(&options, &batch, &wide_nll);
            let gradient = reference::grpo_backward(&options, &batch, &wide_nll);
            let bounds = Bounds::new(&options, &batch, &wide_nll);
            let errors = bounds.coefficients.iter().zip(&gradient);
            let errors = errors.map(|(e, g)| e + SINGLE * g.abs()).collect();
            let coefficients = got.coefficients;
            probe.take_host(
                format!("coefficients {way}"),
                coefficients,
                gradient,
                errors,
            );
            let measures = [got.loss as f32, got.kl as f32, got.clipped as f32];
            let want = vec![loss, bounds.kl, bounds.clipped];
            // In f32, as all outputs are looked at.
            let rounded = |x: f64| SINGLE * x.abs();
            let allowed = vec![
                bounds.loss + rounded(loss),
                bounds.kl_error + rounded(bounds.kl),
                bounds.doubtful,
            ];
            let name = format!("loss, KL and clipped ratios {way}");
            probe.take_host(name, measures.into(), want, allowed);
            // All that f32 does not show.
            let off = [got.loss - loss, got.kl - bounds.kl].map(|off| off as f32);
            let allowed = vec![bounds.loss, bounds.kl_error];
            let name = format!("errors of loss and KL {way}");
            probe.take_host(name, off.into(), vec![0.0; 2], allowed);
        }
        Ok(())
    }
}

/// How far the loss may be off where all but the coefficients is in f64, and the measures that come with
/// it.
struct Bounds {
    /// Before they are rounded to f32 for the last time.
    coefficients: Vec<f64>,
    loss: f64,
    kl: f64,
    kl_error: f64,
    clipped: f64,
    /// Ratios so near an edge of the clip that rounding decides their side.
    doubtful: f64,
}

impl Bounds {
    fn new(o: &GrpoOptions, b: &GrpoBatch<'_>, nll: &[f64]) -> Bounds {
        let mut bounds = Bounds {
            coefficients: vec![0.0; nll.len()],
            loss: 0.0,
            kl: 0.0,
            kl_error: 0.0,
            clipped: 0.0,
            doubtful: 0.0,
        };
        // A sum over all tokens, and the few roundings of each of its terms.
        let sum = (nll.len() + 8) as f64 * DOUBLE;
        for (thought, &advantage) in b.advantages.iter().enumerate() {
            let tokens = b.offsets[thought] as usize..b.offsets[thought + 1] as usize;
            let weight = o.average.weight(tokens.len(), b.total);
            let parts: Vec<Range<usize>> = match o.ratio {
                Ratio::Token => tokens.clone().map(|t| t..t + 1).collect(),
                _ => vec![tokens.clone()],
            };
            for part in parts {
                bounds.surrogate(o, b, nll, (part, f64::from(advantage), weight), sum);
            }
            for t in tokens.filter(|_| o.kl > 0.0) {
                let apart = f64::from(b.reference[t]) + nll[t];
                let (power, size) = (apart.exp(), apart.abs());
                bounds.kl += weight * (power - apart - 1.0);
                let error = weight * (power * (1.0 + size) + size + 1.0);
                bounds.kl_error += sum * error;
                bounds.loss += sum * f64::from(o.kl) * error;
                // Where the coefficient was rounded before this was added, twice.
                let pull = f64::from(o.kl) * weight * (power - 1.0).abs();
                bounds.coefficients[t] += SINGLE * pull + sum * f64::from(o.kl) * error;
            }
        }
        bounds
    }

    /// Adds what the ratio over the tokens of `part` is off by, and what depends on it.
    fn surrogate(
        &mut self,
        o: &GrpoOptions,
        b: &GrpoBatch<'_>,
        nll: &[f64],
        (part, advantage, weight): (Range<usize>, f64, f64),
        sum: f64,
    ) {
        let n = part.len() as f64;
        let deltas = part.clone().map(|t| -nll[t] - f64::from(b.old[t]));
        let (all, size) = deltas.fold((0.0, 0.0), |(s, m), d: f64| (s + d, m + d.abs()));
        let (over, share) = match o.ratio {
            Ratio::Mean => (n, 1.0),
            _ => (1.0, n),
        };
        let ratio = (all / over).exp();
        // A sum of roundings in the exponent, and the exponential's own.
        let error = ratio * ((n + 2.0) * DOUBLE * size / over + 4.0 * DOUBLE);
        let edges = [1.0 - f64::from(o.clip.0), 1.0 + f64::from(o.clip.1)];
        let kept = ratio.max(edges[0]).min(edges[1]);
        let clips = if advantage >= 0.0 {
            ratio > kept
        } else {
            ratio < kept
        };
        let near = |edge: f64| (ratio - edge).abs() <= error + DOUBLE * edge.abs();
        // A ratio of exactly 1 is not in doubt: the exponential of 0 is exact.
        let doubtful = size > 0.0 && edges.iter().any(|&e| e.is_finite() && near(e));
        self.clipped += f64::from(clips);
        self.doubtful += f64::from(doubtful);
        let scale = weight * advantage.abs();
        self.loss += n * scale * (error + sum * ratio.max(kept.abs()));
        let pull = if clips { 0.0 } else { ratio };
        for t in part {
            let jump = if doubtful { ratio } else { 0.0 };
            let off = jump + SINGLE * pull + error + sum * ratio;
            self.coefficients[t] += share * scale * off;
        }
    }
}
