//! What may come of a draw whose exponentials are f32, instead of what the exact one gives.
//!
//! With `a = (x − max)/T` a weight is `exp(a)`, off by two roundings of its argument, its own, and those of
//! sums by halves; and by 2⁻⁴⁰, where weights are counted in such steps. So every filter's edge and the
//! draw itself lie in a band, and where a band holds more than one token, each of them is right. Errors are
//! to first order: that `ULP` is twice a rounding is more than the rest.

use super::wide;
use crate::ops::sample::{Sampled, Sampling, reference};

const ULP: f64 = f32::EPSILON as f64;
/// Roundings of an exponential and of a sum of 1024 by halves.
const ROUNDINGS: f64 = 8.0;
/// 2⁻⁴⁰.
const STEP: f64 = 1.0 / (1u64 << 40) as f64;

/// A number and how far off it may be.
pub type Near = (f64, f64);

/// What a row has to give.
pub struct Expected {
    pub token: f64,
    pub log_probability: Near,
    pub sampled_log_probability: Near,
    pub entropy: Near,
}

/// A row of logits, what is drawn from it and with which number in [0, 1).
pub struct Row<'a> {
    pub logits: &'a [f32],
    pub sampling: &'a Sampling,
    pub banned: &'a [u32],
    pub at: f64,
}

/// Weights at a temperature, that of the likeliest 1, with their errors.
struct Weights {
    of: Vec<f64>,
    /// `|a|` where there is a weight.
    apart: Vec<f64>,
    errors: Vec<f64>,
}

impl Weights {
    fn new(logits: &[f64], temperature: f64, banned: &[u32]) -> Weights {
        let mut of = reference::probabilities(logits, temperature, banned);
        let most = of.iter().copied().fold(0.0, f64::max);
        of.iter_mut().for_each(|w| *w /= most);
        let apart = of.iter().map(|&w| if w > 0.0 { -w.ln() } else { 0.0 });
        let apart: Vec<f64> = apart.collect();
        let error = |(w, apart): (&f64, &f64)| w * (apart + ROUNDINGS) * ULP + STEP;
        let errors = of.iter().zip(&apart).map(error).collect();
        Weights { of, apart, errors }
    }

    /// The sum of some tokens' weights, and its error relative to it.
    fn sum(&self, tokens: impl Iterator<Item = usize>) -> (f64, f64) {
        let terms = tokens.map(|i| (self.of[i], self.errors[i]));
        let (sum, error) = terms.fold((0.0, 0.0), |(s, e), t| (s + t.0, e + t.1));
        (sum, error / sum)
    }
}

impl Row<'_> {
    /// What a device that gave `got` should have given: the same token where it may be drawn.
    pub fn expected(&self, got: &Sampled) -> Expected {
        let logits = wide(self.logits);
        let (token, sampled) = if self.sampling.temperature == 0.0 {
            (reference::ranked(&logits, self.banned)[0], (0.0, 0.0))
        } else {
            self.drawn(&logits, got)
        };
        let plain = Weights::new(&logits, 1.0, self.banned);
        let (sum, error) = plain.sum(0..logits.len());
        let log = plain.of[token].ln() - sum.ln();
        let share = |i: usize| plain.of[i] / sum;
        // The mean of |a|, and the errors of its terms.
        let (mut mean, mut off) = (0.0, 0.0);
        for (i, apart) in plain.apart.iter().enumerate() {
            mean += share(i) * apart;
            off += (plain.errors[i] / sum + share(i) * ULP) * apart;
        }
        let entropy = sum.ln() + mean;
        Expected {
            token: token as f64,
            log_probability: (log, error + ULP * (plain.apart[token] + log.abs())),
            sampled_log_probability: sampled,
            entropy: (entropy, error * (1.0 + mean) + off + ULP * entropy),
        }
    }

    /// The token that is drawn at a temperature, and its log-probability.
    fn drawn(&self, logits: &[f64], got: &Sampled) -> (usize, Near) {
        let temperature = f64::from(self.sampling.temperature);
        let weights = Weights::new(logits, temperature, self.banned);
        let order = reference::ranked(logits, self.banned);
        let exact = self.kept(logits, self.sampling);
        let [fewest, most] = self.edges(logits, &weights).map(|s| self.kept(logits, &s));
        // The exact number first, so that it is what a wrong token is compared with.
        let numbers = [exact].into_iter().chain(fewest..=most);
        let mut found = None;
        for number in numbers {
            let mut tokens = order[..number].to_vec();
            tokens.sort_unstable();
            let (sum, error) = weights.sum(tokens.iter().copied());
            let log = |token: usize| {
                let log = weights.of[token].ln() - sum.ln();
                let own = (weights.apart[token] + ROUNDINGS) * ULP;
                (log, own + error + ULP * log.abs())
            };
            let (mut before, mut drawn) = (0.0, tokens[0]);
            for token in tokens {
                let upto = before + weights.of[token] / sum;
                if before <= self.at && weights.of[token] > 0.0 {
                    drawn = token;
                }
                // Both what is passed and the sum that it is a part of are off.
                let may = before - 2.0 * error <= self.at && self.at <= upto + 2.0 * error;
                if may && token == got.token as usize {
                    let (want, allowed) = log(token);
                    let distance = (f64::from(got.sampled_log_probability) - want).abs();
                    if distance <= allowed {
                        return (token, (want, allowed));
                    }
                }
                before = upto;
            }
            found = found.or(Some((drawn, log(drawn))));
        }
        found.unwrap_or((order[0], (0.0, 0.0)))
    }

    /// How many of the best tokens can be drawn.
    fn kept(&self, logits: &[f64], sampling: &Sampling) -> usize {
        let p = reference::distribution(logits, sampling, self.banned);
        p.iter().filter(|p| **p > 0.0).count()
    }

    /// The filters at the ends of their bands where they keep least, and where they keep most.
    fn edges(&self, logits: &[f64], weights: &Weights) -> [Sampling; 2] {
        let sampling = *self.sampling;
        let filtered = Sampling {
            top_p: 1.0,
            min_p: 0.0,
            ..sampling
        };
        let p = reference::distribution(logits, &filtered, self.banned);
        let (_, error) = weights.sum((0..p.len()).filter(|&i| p[i] > 0.0));
        // The limit of min-p is a logit, rounded to f32.
        let top = logits[reference::ranked(logits, self.banned)[0]];
        let temperature = f64::from(sampling.temperature);
        let below = temperature * f64::from(sampling.min_p).ln();
        let factor = (ULP * (top.abs() + below.abs()) / temperature).exp();
        let rounded = |x: f64, up: bool| {
            let x = x as f32;
            let x = if up { x.next_up() } else { x.next_down() };
            x.clamp(0.0, 1.0)
        };
        [false, true].map(|most| {
            let (top_p, min_p) = (f64::from(sampling.top_p), f64::from(sampling.min_p));
            let more = if most { 2.0 * error } else { -2.0 * error };
            let times = if most { 1.0 / factor } else { factor };
            Sampling {
                top_p: match sampling.top_p < 1.0 {
                    true => rounded(top_p + more, most),
                    false => 1.0,
                },
                min_p: match sampling.min_p > 0.0 {
                    true => rounded(min_p * times, !most),
                    false => 0.0,
                },
                ..sampling
            }
        })
    }
}
