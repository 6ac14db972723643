//! From groups of thoughts to rewards and advantages.

use super::advantage::{advantages, is_flat, spread};
use super::reward::{Reward, Rollout, Search};
use super::rollouts::Group;
use crate::recipe::Baseline;
use crate::train::training_set::TrainingSet;
use serde_json::{Map, Value};

/// Rewards with their weights, and what they are compared with.
pub struct Judge<'a> {
    pub set: &'a TrainingSet,
    pub rewards: &'a [(f32, Box<dyn Reward>)],
    pub baseline: Baseline,
    /// l.
    pub budget: usize,
}

/// What the thoughts of a step are worth, all lists group by group.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// Mean of every reward, before its weight.
    pub parts: Vec<(String, f64)>,
    /// Weighted sum, `[thoughts]` (eq. 13).
    pub rewards: Vec<f32>,
    /// `[thoughts]`.
    pub advantages: Vec<f32>,
    /// Mean over groups of the rewards' standard deviation.
    pub spread: f64,
    /// Groups whose rewards are all the same.
    pub flat: usize,
}

impl Judge<'_> {
    /// Whether any reward searches the catalogue.
    pub fn searches(&self) -> bool {
        self.rewards.iter().any(|(_, reward)| reward.searches())
    }

    /// Judges thoughts by the ranks of their embeddings among `items` items, `[embedded]` with those of
    /// queries without a thought, and, where rewards ask for it, by their searches, `[thoughts]`; both group
    /// by group.
    pub fn judge(
        &self,
        groups: &[Group],
        ranks: &[u32],
        items: usize,
        searches: Option<&[Search]>,
    ) -> Judgement {
        let mut judgement = Judgement::default();
        let mut sums = vec![0.0f64; self.rewards.len()];
        let mut at = 0;
        let mut ranks = ranks.iter().copied();
        for group in groups {
            let first = at;
            for (thought, rank) in group.thoughts.iter().zip(ranks.by_ref()) {
                let rollout = Rollout {
                    thought,
                    query: &self.set.queries[group.query as usize],
                    budget: self.budget,
                    rank,
                    items,
                    search: searches.map(|s| &s[at]),
                };
                let mut total = 0.0;
                for ((weight, reward), sum) in self.rewards.iter().zip(&mut sums) {
                    let score = reward.score(&rollout);
                    *sum += f64::from(score);
                    total += weight * score;
                }
                judgement.rewards.push(total);
                at += 1;
            }
            if group.direct.is_some() {
                ranks.next();
            }
            let rewards = &judgement.rewards[first..];
            judgement.spread += spread(rewards) / groups.len() as f64;
            judgement.flat += usize::from(is_flat(rewards));
            let advantages = advantages(self.baseline, rewards);
            judgement.advantages.extend(advantages);
        }
        let names = self.rewards.iter().map(|(_, r)| r.name().to_string());
        let means = sums.iter().map(|sum| sum / at.max(1) as f64);
        judgement.parts = names.zip(means).collect();
        judgement
    }
}

impl Judgement {
    /// Mean reward.
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.rewards.iter().map(|&r| f64::from(r)).sum();
        sum / self.rewards.len().max(1) as f64
    }

    /// The parts as a JSON object.
    pub fn parts_json(&self) -> Value {
        let part = |(name, mean): &(String, f64)| (name.clone(), Value::from(*mean));
        Value::Object(self.parts.iter().map(part).collect::<Map<_, _>>())
    }
}
