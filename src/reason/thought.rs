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
    /// Break a thought off when one more token leaves the embedding where it was: when the cosine of the
    /// embeddings that it would have without its last token and with it is at least this. Every pass looks
    /// at `</think><emb>` as well then, two rows more a thought, and there are no drafts.
    pub settled: Option<f32>,
    /// Most thoughts decoded at once.
    pub batch: usize,
}

impl ThinkOptions {
    /// Cache rows that a query takes besides its own tokens.
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
    /// The embedding had [settled](ThinkOptions::settled); `</think>` was forced.
    Settled,
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

impl Thought {
    /// Without tokens and, so far, without an embedding.
    pub(super) fn empty(ending: Ending) -> Thought {
        Thought {
            tokens: Vec::new(),
            drawn: Vec::new(),
            log_probabilities: Vec::new(),
            entropy: 0.0,
            ending,
            embedding: Vec::new(),
        }
    }

    /// No thought: the hidden state at `<emb>` right after the query.
    pub(super) fn direct(embedding: &[f32]) -> Thought {
        Thought {
            embedding: embedding.to_vec(),
            ..Thought::empty(Ending::Direct)
        }
    }
}
