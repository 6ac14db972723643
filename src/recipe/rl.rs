//! The table `[rl]` of a recipe: the reinforcement stage, with the paper's values as defaults.

use crate::ops::grpo::{Average, GrpoOptions, Ratio};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The reinforcement stage (eq. 9-16).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RlOptions {
    pub variant: Variant,
    /// Query-item pairs, which need no thoughts; by default the cold start's triplets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<PathBuf>,
    /// Share of the training queries that this stage keeps to itself, drawn at random: the cold start does not
    /// see them, as in the paper. 0: both stages learn from all.
    pub share: f32,
    /// Optimizer steps that draw new thoughts.
    pub steps: usize,
    /// Queries per step (the paper: 256).
    pub queries: usize,
    /// Queries whose thoughts are computed at a time in an update; all items of the step stay the pool
    /// that ranks and negatives come from.
    pub micro_batch: usize,
    /// G: thoughts per query.
    pub rollouts: usize,
    /// Updates on the same thoughts.
    pub updates: usize,
    /// Temperature that thoughts are sampled at.
    pub temperature: f32,
    /// Tokens that a thought may go on beyond the budget l before it is cut off.
    pub overrun: usize,
    /// Catalogue items added to a step's own as negatives, drawn at random: with few queries a step they
    /// give ranks room.
    pub extra_items: usize,
    pub learning_rate: f32,
    pub warmup: f32,
    /// Last learning rate as a share of the peak.
    pub floor: f32,
    /// γ1.
    pub grpo: f32,
    /// γ2.
    pub info_nce: f32,
    /// How far below and above 1 a ratio may go; by default the variant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<(f32, f32)>,
    /// Weight of the KL term to the cold start's model (the paper: none).
    pub kl: f32,
    /// Rewards and their weights; none: the paper's three (eq. 13).
    pub reward: Vec<RewardOptions>,
    /// Steps between refreshes of the catalogue's embeddings, for the rewards that search it.
    pub refresh: usize,
    /// Steps between checkpoints; 0: only at the end.
    pub checkpoint_every: usize,
}

impl Default for RlOptions {
    fn default() -> Self {
        RlOptions {
            variant: Variant::Grpo,
            train: None,
            share: 0.0,
            steps: 100,
            queries: 256,
            micro_batch: 8,
            rollouts: 8,
            updates: 1,
            temperature: 1.0,
            overrun: 0,
            extra_items: 0,
            learning_rate: 1e-6,
            warmup: 0.03,
            floor: 0.0,
            grpo: 1.0,
            info_nce: 0.1,
            clip: None,
            kl: 0.0,
            reward: Vec::new(),
            refresh: 50,
            checkpoint_every: 25,
        }
    }
}

/// Which policy gradient: presets of the same loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// The paper's: one ratio a thought, advantages in standard deviations of the group (eq. 14).
    #[default]
    Grpo,
    /// Dr. GRPO (arXiv 2503.20783): no division by the deviation, nor by a thought's length.
    DrGrpo,
    /// DAPO (arXiv 2503.14476): token ratios, mean over all tokens, a higher upper clip, and groups of
    /// equal rewards drawn again.
    Dapo,
    /// GSPO (arXiv 2507.18071): the thought's ratio normalised by its length, tightly clipped.
    Gspo,
    /// REINFORCE leave-one-out (arXiv 2402.14740): the others' mean reward as baseline, no clip.
    Rloo,
}

/// What a reward is compared with inside its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// (r − mean) / std.
    Standardised,
    /// r − mean.
    Mean,
    /// r − mean of the others.
    LeaveOneOut,
}

impl Variant {
    /// Baseline, ratio, average and clip; `budget` is l.
    fn preset(self, budget: f32) -> (Baseline, Ratio, Average, (f32, f32)) {
        // PPO's usual clip; the paper names none.
        let usual = (0.2, 0.2);
        match self {
            Variant::Grpo => (
                Baseline::Standardised,
                Ratio::Thought,
                Average::Thoughts,
                usual,
            ),
            Variant::DrGrpo => (Baseline::Mean, Ratio::Token, Average::Budget(budget), usual),
            Variant::Dapo => (
                Baseline::Standardised,
                Ratio::Token,
                Average::Tokens,
                (0.2, 0.28),
            ),
            Variant::Gspo => (
                Baseline::Standardised,
                Ratio::Mean,
                Average::Thoughts,
                (3e-4, 4e-4),
            ),
            Variant::Rloo => (
                Baseline::LeaveOneOut,
                Ratio::Thought,
                Average::Thoughts,
                (f32::INFINITY, f32::INFINITY),
            ),
        }
    }

    /// Whether groups of equal rewards, which teach nothing, are drawn again.
    pub fn draws_again(self) -> bool {
        self == Variant::Dapo
    }
}

impl RlOptions {
    /// Baseline and shape of the loss; `budget` is l.
    pub fn loss(&self, budget: usize) -> (Baseline, GrpoOptions) {
        let (baseline, ratio, average, clip) = self.variant.preset(budget.max(1) as f32);
        let options = GrpoOptions {
            ratio,
            average,
            clip: self.clip.unwrap_or(clip),
            kl: self.kl,
        };
        (baseline, options)
    }

    /// The rewards: those of the recipe, or the paper's with β = (0.5, 0.2, 1) (eq. 13).
    pub fn rewards(&self) -> Vec<RewardOptions> {
        let paper = [
            (RewardKind::Format, 0.5),
            (RewardKind::Length, 0.2),
            (RewardKind::Rank, 1.0),
        ];
        if self.reward.is_empty() {
            let reward = |(kind, weight)| RewardOptions {
                kind,
                weight,
                ..RewardOptions::default()
            };
            return paper.map(reward).to_vec();
        }
        self.reward.clone()
    }

    /// What is wrong, as field and expectation.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let positive = |x: f32| x.is_finite() && x > 0.0;
        let share = |x: f32| (0.0..=1.0).contains(&x);
        let weight = |x: f32| x.is_finite() && x >= 0.0;
        let counts = [
            (self.steps, "rl.steps"),
            (self.queries, "rl.queries"),
            (self.micro_batch, "rl.micro_batch"),
            (self.updates, "rl.updates"),
            (self.refresh, "rl.refresh"),
        ];
        if let Some((_, field)) = counts.iter().find(|c| c.0 == 0) {
            return Some((field, "expected at least 1"));
        }
        let finite = self.reward.iter().all(|r| r.weight.is_finite());
        let cutoffs = self.reward.iter().all(|r| r.cutoff > 0 && r.slack > 0);
        let rules = [
            (
                self.rollouts > 1,
                "rl.rollouts",
                "expected at least 2: a thought is judged against its group",
            ),
            (
                (0.0..1.0).contains(&self.share),
                "rl.share",
                "expected a share from 0 to less than 1",
            ),
            (
                self.share == 0.0 || self.train.is_none(),
                "rl.share",
                "expected 0 beside rl.train: the stage has queries of its own",
            ),
            (
                positive(self.temperature),
                "rl.temperature",
                "expected a number above 0",
            ),
            (
                positive(self.learning_rate),
                "rl.learning_rate",
                "expected a number above 0",
            ),
            (
                share(self.warmup),
                "rl.warmup",
                "expected a share from 0 to 1",
            ),
            (
                share(self.floor),
                "rl.floor",
                "expected a share from 0 to 1",
            ),
            (
                weight(self.grpo) && weight(self.info_nce) && weight(self.kl),
                "rl.grpo, rl.info_nce, rl.kl",
                "expected numbers of at least 0",
            ),
            (
                self.clip
                    .is_none_or(|(low, high)| low >= 0.0 && high >= 0.0),
                "rl.clip",
                "expected two numbers of at least 0",
            ),
            (finite, "rl.reward.weight", "expected a finite number"),
            (
                cutoffs,
                "rl.reward.cutoff, rl.reward.slack",
                "expected at least 1",
            ),
        ];
        let broken = rules.into_iter().find(|r| !r.0)?;
        Some((broken.1, broken.2))
    }
}

/// A reward with its weight β.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RewardOptions {
    pub kind: RewardKind,
    pub weight: f32,
    /// `graded`: the rank down to which products count.
    pub cutoff: usize,
    /// `soft_length`: tokens before the budget from which the penalty grows.
    pub slack: usize,
}

impl Default for RewardOptions {
    fn default() -> Self {
        RewardOptions {
            kind: RewardKind::Rank,
            weight: 1.0,
            cutoff: 10,
            slack: 4,
        }
    }
}

/// What a thought is rewarded for; `src/train/rl/reward.rs` has the formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardKind {
    Format,
    Length,
    /// Rank of the item in the batch (eq. 11, 12).
    Rank,
    /// Rank of the item in the whole catalogue.
    CatalogueRank,
    /// nDCG of the catalogue's search against the triplet's `grades`.
    Graded,
    SoftLength,
    Repetition,
}
