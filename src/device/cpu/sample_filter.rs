//! The filters of sampling, without a sort of the vocabulary.
//!
//! Every filter keeps a prefix of the tokens in the order best first (higher logit, then lower id),
//! and so do all of them together. A prefix is named by its last token, the [`Cut`].

use super::Isa;
use super::math::exp;
use super::reduce::{BLOCK, any_between, sum_terms};
use crate::ops::sample::Sampling;
use crate::per_isa;

/// Tokens looked at together.
const CHUNK: usize = 64;
/// Groups of a block: every 16th token belongs to one, so that a group is a lane of a vector.
const GROUPS: usize = 16;
/// Tokens in doubt that are sorted rather than halved once more.
const FEW: u32 = 256;

/// The last token that is kept: all with a higher logit are, and of its equals those up to its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cut(u64);

impl Cut {
    /// Keeps everything.
    pub const NONE: Cut = Cut(u64::MAX);

    fn new(logit: f32, id: u32) -> Cut {
        // −0 counts as 0; then the usual map of floats to integers, here of the reverse order, so
        // that keys ascend from best to worst.
        let bits = (logit + 0.0).to_bits();
        let descending = if bits >> 31 == 1 {
            bits
        } else {
            !bits & 0x7fff_ffff
        };
        Cut(u64::from(descending) << 32 | u64::from(id))
    }

    pub fn logit(self) -> f32 {
        let high = (self.0 >> 32) as u32;
        let bits = if high >> 31 == 1 {
            high
        } else {
            !high & 0x7fff_ffff
        };
        if self == Cut::NONE {
            f32::NEG_INFINITY
        } else {
            f32::from_bits(bits)
        }
    }

    pub fn id(self) -> u32 {
        self.0 as u32
    }
}

/// A row of finite logits, or −∞ where banned.
pub struct Row<'a> {
    pub isa: Isa,
    pub logits: &'a [f32],
    /// The maxima of disjoint groups of logits, and of all.
    pub maxima: &'a [f32],
    pub max: f32,
    pub temperature: f32,
}

impl Row<'_> {
    /// Where top-k, top-p and min-p, in this order, cut the row.
    pub fn cut(&self, sampling: &Sampling) -> Cut {
        let top_p = f64::from(sampling.top_p);
        let mut cut = Cut::NONE;
        if (1..self.logits.len()).contains(&sampling.top_k) {
            let mut best = self.top_k(sampling.top_k);
            if top_p < 1.0 {
                best.sort_unstable();
                let total: f64 = best.iter().map(|c| self.weight(c.logit())).sum();
                cut = self.reach(&best, top_p * total);
            } else {
                cut = best.into_iter().max().unwrap_or(cut);
            }
        } else if top_p < 1.0 {
            cut = self.nucleus(top_p);
        }
        if sampling.min_p > 0.0 {
            let below = f64::from(self.temperature) * f64::from(sampling.min_p).ln();
            let limit = (f64::from(self.max) + below) as f32;
            cut = cut.min(Cut::new(limit, u32::MAX));
        }
        cut
    }

    fn weight(&self, logit: f32) -> f64 {
        f64::from(exp((logit - self.max) / self.temperature))
    }

    /// The `k` best tokens, in no order.
    fn top_k(&self, k: usize) -> Vec<Cut> {
        // k groups reach the k-th highest maximum, so at least k tokens do.
        let limit = if k <= self.maxima.len() {
            let mut maxima = self.maxima.to_vec();
            *maxima
                .select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a))
                .1
        } else {
            f32::NEG_INFINITY
        };
        let mut best: Vec<Cut> = self.between(limit, f32::INFINITY).collect();
        if best.len() > k {
            best.select_nth_unstable(k - 1);
            best.truncate(k);
        }
        best
    }

    /// The tokens with logits in `low..high`, in the order of ids.
    pub fn between(&self, low: f32, high: f32) -> impl Iterator<Item = Cut> {
        let chunks = self.logits.chunks(CHUNK).enumerate();
        let some = chunks.filter(move |(_, chunk)| any_between(self.isa, chunk, low, high));
        some.flat_map(move |(c, chunk)| {
            let tokens = chunk.iter().enumerate();
            let found = tokens.filter(move |(_, x)| low <= **x && **x < high);
            found.map(move |(i, &x)| Cut::new(x, (c * CHUNK + i) as u32))
        })
    }

    /// Where the weights of `ranked` tokens, best first, reach `mass`.
    fn reach(&self, ranked: &[Cut], mass: f64) -> Cut {
        let mut sum = 0.0;
        let reached = ranked.iter().find(|c| {
            sum += self.weight(c.logit());
            sum >= mass
        });
        reached.or(ranked.last()).copied().unwrap_or(Cut::NONE)
    }

    /// Cuts where `top_p` of all weight is reached: a logit interval around the cut is halved until
    /// it holds few tokens, which are then sorted.
    fn nucleus(&self, top_p: f64) -> Cut {
        let mut weights = vec![0.0; self.logits.len()];
        fill_weights(
            self.isa,
            self.logits,
            self.max,
            self.temperature,
            &mut weights,
        );
        let above = |limit: f32| mass_above(self.isa, self.logits, &weights, limit);
        let (total, _) = above(f32::NEG_INFINITY);
        let mass = top_p * total;
        // Tokens below this share hold less than 1 − top_p together (half: room for rounding).
        let share = 0.5 * (1.0 - top_p) * total / self.logits.len() as f64;
        let below = f64::from(self.temperature) * share.ln();
        let mut low = (f64::from(self.max) + below) as f32;
        let mut high = self.max.next_up();
        let (mut at_low, mut at_high) = (above(low), (0.0, 0));
        while at_low.1 - at_high.1 > FEW {
            let middle = 0.5 * low + 0.5 * high;
            if !(low < middle && middle < high) {
                break;
            }
            let at = above(middle);
            if at.0 >= mass {
                (low, at_low) = (middle, at);
            } else {
                (high, at_high) = (middle, at);
            }
        }
        let mut doubtful: Vec<Cut> = self.between(low, high).collect();
        doubtful.sort_unstable();
        self.reach(&doubtful, mass - at_high.0)
    }
}

/// The maxima of disjoint groups of a row, each of at most 64 tokens.
pub fn group_maxima(isa: Isa, row: &[f32]) -> Vec<f32> {
    let mut maxima = vec![f32::NEG_INFINITY; row.len().div_ceil(BLOCK) * GROUPS];
    fill_maxima(isa, row, &mut maxima);
    maxima
}

per_isa! {
    fn fill_maxima(row: &[f32], maxima: &mut [f32]) {
        for (block, maxima) in row.chunks(BLOCK).zip(maxima.chunks_exact_mut(GROUPS)) {
            let mut lanes = [f32::NEG_INFINITY; GROUPS];
            let (parts, rest) = block.as_chunks::<GROUPS>();
            for part in parts {
                for (max, &x) in lanes.iter_mut().zip(part) {
                    *max = if x > *max { x } else { *max };
                }
            }
            for (max, &x) in lanes.iter_mut().zip(rest) {
                *max = max.max(x);
            }
            maxima.copy_from_slice(&lanes);
        }
    }
}

per_isa! {
    fn fill_weights(logits: &[f32], max: f32, temperature: f32, weights: &mut [f32]) {
        for (w, &x) in weights.iter_mut().zip(logits) {
            *w = exp((x - max) / temperature);
        }
    }
}

per_isa! {
    /// The weight and the number of the tokens with a logit of `limit` or more.
    fn mass_above(logits: &[f32], weights: &[f32], limit: f32) -> (f64, u32) {
        let (mut mass, mut count) = (0.0, 0);
        for (logits, weights) in logits.chunks(BLOCK).zip(weights.chunks(BLOCK)) {
            let mut terms = [0.0f32; BLOCK];
            for ((term, &x), &w) in terms.iter_mut().zip(logits).zip(weights) {
                *term = if x >= limit { w } else { 0.0 };
            }
            mass += sum_terms(&mut terms, logits.len());
            for &x in logits {
                count += u32::from(x >= limit);
            }
        }
        (mass, count)
    }
}
