//! Rewards: what a thought is worth (eq. 9-13), and others to compare with.

use crate::reason::{Ending, Thought};
use crate::recipe::{RewardKind, RewardOptions, RlOptions};

/// A sampled thought with what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Rollout<'a> {
    pub thought: &'a Thought,
    /// Tokens of the query below its trunk.
    pub query: &'a [u32],
    /// l: most tokens that a thought should have.
    pub budget: usize,
    /// Rank of the true item among the `items` of the step, from 1.
    pub rank: u32,
    pub items: usize,
    /// How its embedding searches the whole catalogue; none where no reward asks for it.
    pub search: Option<&'a Search>,
}

/// An embedding's search of the whole catalogue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    /// Rank of the true item, other relevant items left out, from 1.
    pub rank: u32,
    /// Rank of every relevant item, from 1, and its grade.
    pub relevant: Vec<(u32, u32)>,
    /// Items in the catalogue.
    pub items: usize,
}

/// Something that a thought is rewarded for.
pub trait Reward: Send + Sync {
    /// Its name in metrics.
    fn name(&self) -> &str;
    /// Its value, before the weight β.
    fn score(&self, rollout: &Rollout<'_>) -> f32;
    /// Whether it reads [`Rollout::search`].
    fn searches(&self) -> bool {
        false
    }
}

/// The rewards of a recipe with their weights β.
pub fn rewards(options: &RlOptions) -> Vec<(f32, Box<dyn Reward>)> {
    let entries = options.rewards();
    entries.iter().map(|r| (r.weight, reward(r))).collect()
}

/// The reward of a recipe's entry.
pub fn reward(options: &RewardOptions) -> Box<dyn Reward> {
    match options.kind {
        RewardKind::Format => Box::new(Format),
        RewardKind::Length => Box::new(Length),
        RewardKind::Rank => Box::new(Rank),
        RewardKind::CatalogueRank => Box::new(CatalogueRank),
        RewardKind::Graded => Box::new(Graded {
            cutoff: options.cutoff,
        }),
        RewardKind::SoftLength => Box::new(SoftLength {
            slack: options.slack,
        }),
        RewardKind::Repetition => Box::new(Repetition),
    }
}

/// 1 if the model itself closed the thought: `<think> … </think><emb>` (eq. 9). `<think>` and, after
/// `</think>`, `<emb>` are given, so this is all that it can get wrong.
pub struct Format;

impl Reward for Format {
    fn name(&self) -> &str {
        "format"
    }
    fn score(&self, r: &Rollout<'_>) -> f32 {
        f32::from(r.thought.ending == Ending::Closed)
    }
}

/// 1 if the thought ended within the budget (eq. 10).
pub struct Length;

impl Reward for Length {
    fn name(&self) -> &str {
        "length"
    }
    fn score(&self, r: &Rollout<'_>) -> f32 {
        let ended = r.thought.ending != Ending::Budget;
        f32::from(ended && r.thought.tokens.len() <= r.budget)
    }
}

/// `1 − ln(rank)/ln(N)` among the items of the step (eq. 11, 12); 1 where there is but one.
pub struct Rank;

impl Reward for Rank {
    fn name(&self) -> &str {
        "rank"
    }
    fn score(&self, r: &Rollout<'_>) -> f32 {
        log_rank(r.rank, r.items)
    }
}

/// The same over the whole catalogue.
pub struct CatalogueRank;

impl Reward for CatalogueRank {
    fn name(&self) -> &str {
        "catalogue_rank"
    }
    fn score(&self, r: &Rollout<'_>) -> f32 {
        r.search.map_or(0.0, |s| log_rank(s.rank, s.items))
    }
    fn searches(&self) -> bool {
        true
    }
}

fn log_rank(rank: u32, items: usize) -> f32 {
    match items {
        0 | 1 => 1.0,
        n => 1.0 - (f64::from(rank).ln() / (n as f64).ln()) as f32,
    }
}

/// nDCG@cutoff of the catalogue's search, gains being the grades of the relevant items.
pub struct Graded {
    pub cutoff: usize,
}

impl Reward for Graded {
    fn name(&self) -> &str {
        "graded"
    }
    fn score(&self, r: &Rollout<'_>) -> f32 {
        let Some(search) = r.search else {
            return 0.0;
        };
        let discounted = |(rank, grade): (usize, u32)| match rank <= self.cutoff {
            true => f64::from(grade) / (1.0 + rank as f64).log2(),
            false => 0.0,
        };
        let found = search.relevant.iter().map(|&(r, g)| (r as usize, g));
        let mut grades: Vec<u32> = search.relevant.iter().map(|r| r.1).collect();
        grades.sort_unstable_by(|a, b| b.cmp(a));
        let ideal = grades.into_iter().enumerate().map(|(i, g)| (i + 1, g));
        let (found, ideal): (f64, f64) = (found.map(discounted).sum(), ideal.map(discounted).sum());
        (found / ideal.max(f64::MIN_POSITIVE)) as f32
    }
    fn searches(&self) -> bool {
        true
    }
}

/// 0 up to `slack` tokens before the budget, from there falling to −1 at the budget (DAPO, arXiv
/// 2503.14476, eq. 13).
pub struct SoftLength {
    pub slack: usize,
}

impl Reward for SoftLength {
    fn name(&self) -> &str {
        "soft_length"
    }
    fn score(&self, r: &Rollout<'_>) -> f32 {
        let free = r.budget.saturating_sub(self.slack);
        let over = r.thought.tokens.len().saturating_sub(free);
        -(over as f32 / self.slack as f32).min(1.0)
    }
}

/// Minus the share of the thought's tokens that stand in the query already.
pub struct Repetition;

impl Reward for Repetition {
    fn name(&self) -> &str {
        "repetition"
    }
    fn score(&self, r: &Rollout<'_>) -> f32 {
        let tokens = &r.thought.tokens;
        let repeated = tokens.iter().filter(|t| r.query.contains(t)).count();
        -(repeated as f32 / tokens.len().max(1) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thought(tokens: &[u32], ending: Ending) -> Thought {
        Thought {
            tokens: tokens.to_vec(),
            drawn: Vec::new(),
            log_probabilities: Vec::new(),
            entropy: 0.0,
            ending,
            embedding: Vec::new(),
        }
    }

    fn score(kind: RewardKind, rollout: &Rollout<'_>) -> f32 {
        let options = RewardOptions {
            kind,
            cutoff: 3,
            slack: 2,
            ..RewardOptions::default()
        };
        reward(&options).score(rollout)
    }

    #[test]
    fn rewards_are_what_their_formulas_say() {
        let search = Search {
            rank: 10,
            relevant: vec![(2, 1), (9, 3)],
            items: 100,
        };
        let closed = thought(&[5, 6, 7, 8], Ending::Closed);
        let rollout = Rollout {
            thought: &closed,
            query: &[9, 6, 8],
            budget: 5,
            rank: 4,
            items: 16,
            search: Some(&search),
        };
        let cut = thought(&[5; 7], Ending::Budget);
        let broken = thought(&[], Ending::Broken);
        let (cut, broken) = (
            Rollout {
                thought: &cut,
                items: 1,
                search: None,
                ..rollout
            },
            Rollout {
                thought: &broken,
                rank: 16,
                ..rollout
            },
        );
        // DCG 1/log2(3) of an ideal 3/log2(2) + 1/log2(3).
        let ndcg = (1.0 / 3f32.log2()) / (3.0 + 1.0 / 3f32.log2());
        for (kind, values) in [
            (RewardKind::Format, [1.0, 0.0, 0.0]),
            (RewardKind::Length, [1.0, 0.0, 1.0]),
            (RewardKind::Rank, [0.5, 1.0, 0.0]),
            (RewardKind::CatalogueRank, [0.5, 0.0, 0.5]),
            (RewardKind::Graded, [ndcg, 0.0, ndcg]),
            (RewardKind::SoftLength, [-0.5, -1.0, 0.0]),
            (RewardKind::Repetition, [-0.5, 0.0, 0.0]),
        ] {
            for (rollout, want) in [rollout, cut, broken].iter().zip(values) {
                let got = score(kind, rollout);
                assert!((got - want).abs() < 1e-6, "{kind:?}: {got} is not {want}");
            }
        }
    }
}
