//! With which thoughts a query is embedded, and how several embeddings of it become one.

use super::normalize;
use crate::ops::sample::Sampling;
use crate::reason::{Question, ThinkOptions, Thought};
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use xxhash_rust::xxh3::Xxh3;

/// Rows decoded at once.
const ROWS: usize = 64;

/// With which thought a query is embedded.
#[derive(Clone, Debug)]
pub enum Thinking {
    /// None: `<emb>` right after the prompt (or the pooling's own position).
    Direct,
    /// The model's own, of at most `budget` tokens.
    Own { budget: usize, options: OwnThoughts },
    /// These texts, one a query, cut to `budget` tokens. Empty texts give `<think></think>`.
    Given { texts: Vec<String>, budget: usize },
}

/// How a model's own thoughts become a query's embedding.
///
/// A small model's thought about a new query is often off, and one embedding trusts it. Thoughts drawn
/// apart agree where they are right and scatter where they are wrong, so the mean of their embeddings
/// keeps the former (as self-consistency does with answers, Wang et al., arXiv 2203.11171); the embedding
/// without a thought, which the same pass over the query yields, holds what the query says itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OwnThoughts {
    /// Thoughts a query, G; the embedding is the mean of their unit vectors.
    pub rollouts: usize,
    /// Temperature that they are drawn at; 0: the most likely thought.
    pub temperature: f32,
    /// Share of the embedding without a thought in the query's.
    pub direct: f32,
    /// Cosine of the embeddings without a thought's last token and with it at which the thought is broken
    /// off; none: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<f32>,
}

impl Thinking {
    /// The model's own thoughts of at most `budget` tokens, or none where the budget is 0.
    pub fn own(budget: usize, options: OwnThoughts) -> Thinking {
        match budget {
            0 => Thinking::Direct,
            budget => Thinking::Own { budget, options },
        }
    }
}

impl Default for OwnThoughts {
    /// The paper's: the most likely thought alone.
    fn default() -> Self {
        OwnThoughts {
            rollouts: 1,
            temperature: 0.0,
            direct: 0.0,
            settled: None,
        }
    }
}

impl OwnThoughts {
    /// What cannot be: the recipe's key and what was expected.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        let apart = self.rollouts == 1 || self.temperature > 0.0;
        let rules = [
            (self.rollouts > 0, "query.rollouts", "expected at least 1"),
            (
                self.temperature.is_finite() && self.temperature >= 0.0,
                "query.temperature",
                "expected a number of at least 0",
            ),
            (
                (0.0..=1.0).contains(&self.direct),
                "query.direct",
                "expected a share from 0 to 1",
            ),
            (
                self.settled
                    .is_none_or(|cosine| (-1.0..=1.0).contains(&cosine)),
                "query.settled",
                "expected a cosine from -1 to 1",
            ),
            (
                apart,
                "query.temperature",
                "expected a number above 0 for several rollouts, which are all the same at 0",
            ),
        ];
        let broken = rules.into_iter().find(|rule| !rule.0);
        broken.map(|(_, field, message)| (field, message))
    }

    /// Queries, by their tokens below the trunk, and how to think about them; `gated`: as a gate asks for
    /// their embeddings without a thought. The thoughts about a query depend on its tokens alone, not on
    /// its place among others.
    pub(super) fn questions(
        &self,
        ids: Vec<Vec<u32>>,
        budget: usize,
        gated: bool,
    ) -> (Vec<Question>, ThinkOptions) {
        let options = ThinkOptions {
            budget,
            sampling: Sampling {
                temperature: self.temperature,
                ..Sampling::GREEDY
            },
            rollouts: self.rollouts,
            direct: gated || self.direct > 0.0,
            settled: self.settled,
            batch: ROWS.max(self.rollouts),
        };
        let question = |ids: Vec<u32>| Question {
            key: key(&ids),
            ids,
        };
        (ids.into_iter().map(question).collect(), options)
    }

    /// The query's embedding `[hidden]` of what came of its question, not of unit length.
    pub(crate) fn blend<T: Borrow<Thought>>(&self, thoughts: &[T]) -> Vec<f32> {
        let thoughts: Vec<&Thought> = thoughts.iter().map(T::borrow).collect();
        if let [thought] = thoughts[..] {
            return thought.embedding.clone();
        }
        let mut sum = vec![0.0; thoughts[0].embedding.len()];
        for (at, thought) in thoughts.into_iter().enumerate() {
            let share = match at < self.rollouts {
                true => (1.0 - self.direct) / self.rollouts as f32,
                false => self.direct,
            };
            let mut unit = thought.embedding.clone();
            normalize(&mut unit, sum.len());
            sum.iter_mut().zip(unit).for_each(|(s, u)| *s += share * u);
        }
        sum
    }
}

/// Key of a query's random numbers.
fn key(ids: &[u32]) -> u64 {
    let mut hash = Xxh3::new();
    ids.iter().for_each(|id| hash.update(&id.to_le_bytes()));
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::OwnThoughts;
    use crate::reason::{Ending, Thought};

    fn thought(embedding: [f32; 2]) -> Thought {
        Thought {
            tokens: Vec::new(),
            drawn: Vec::new(),
            log_probabilities: Vec::new(),
            entropy: 0.0,
            ending: Ending::Closed,
            embedding: embedding.to_vec(),
        }
    }

    #[test]
    fn unit_vectors_are_weighed() {
        let own = OwnThoughts {
            rollouts: 2,
            temperature: 1.0,
            direct: 0.5,
            settled: None,
        };
        // A quarter of (0.6, 0.8) and of (0, 1), half of (1, 0).
        let blend = own.blend(&[[3.0, 4.0], [0.0, 2.0], [5.0, 0.0]].map(thought));
        for (got, expected) in blend.iter().zip([0.65f32, 0.45]) {
            assert!((got - expected).abs() < 1e-6, "{blend:?}");
        }
        let one = OwnThoughts::default().blend(&[thought([3.0, 4.0])]);
        assert_eq!(one, [3.0, 4.0]);
    }
}
