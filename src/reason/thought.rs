//! What is asked of the decode loop and what comes out of it.

use crate::ops::sample::Sampling;

/// How to think.
#[derive(Clone, Copy, Debug)]
pub struct ThinkOptions {
    /// Most tokens of a thought, `l`.
    pub budget: usize,
    pub sampling: Sampling,
    /// Thoughts per query, `G`.
    pub rollouts: usize,
    /// Embed every query without a thought too, in the pass that its prompt goes in by.
    pub direct: bool,
    /// Most rows decoded at once.
    pub batch: usize,
}

impl ThinkOptions {
    /// Rows of the decode loop that a query takes.
    pub(super) fn rows(&self) -> usize {
        self.rollouts + usize::from(self.direct)
    }

    /// Cache rows that those take besides the query's own tokens.
    pub(super) fn cache_rows(&self) -> usize {
        self.rollouts * (self.budget + CLOSING) + usize::from(self.direct)
    }
}

/// Tokens of a branch around its thought: `<think>`, `</think>`, `<emb>`.
pub(super) const CLOSING: usize = 3;

/// A query to think about.
#[derive(Clone, Debug)]
pub struct Question {
    /// Tokens below the query trunk ([`Prompts::query`](crate::text::Prompts::query)).
    pub ids: Vec<u32>,
    /// Key of its random numbers; rollout `g` uses `key + g`.
    pub key: u64,
}

/// How a thought ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The model wrote `</think>`.
    Closed,
    /// The budget ran out; `</think>` was forced.
    Budget,
    /// The model wrote another control token; `</think>` was forced.
    Broken,
    /// There is no thought: `<emb>` came right after the query.
    Direct,
}

/// A thought and the embedding that it led to.
#[derive(Clone, Debug)]
pub struct Thought {
    /// Tokens between `<think>` and `</think>`.
    pub tokens: Vec<u32>,
    /// Tokens that the model drew: those of the thought, and the one that ended it, unless the budget
    /// did.
    pub drawn: Vec<u32>,
    /// Log-probability of every drawn token at temperature 1.
    pub log_probabilities: Vec<f32>,
    /// Mean entropy of the distributions the tokens came from, in nats.
    pub entropy: f32,
    pub ending: Ending,
    /// Last hidden state at `<emb>`, `[hidden]`, not normalised.
    pub embedding: Vec<f32>,
}
