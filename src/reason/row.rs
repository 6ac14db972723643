//! A row of the decode loop.

use super::thought::{Ending, Thought};
use crate::ops::forest::Span;
use crate::ops::sample::Sampled;
use crate::text::Prompts;

/// A row being decoded.
pub struct Row {
    pub question: usize,
    pub rollout: usize,
    pub key: u64,
    pub span: Span,
    /// Tokens of `span` that are in the cache.
    pub cached: usize,
    /// Tokens to feed in the next pass.
    pub next: Vec<u32>,
    pub thought: Thought,
    pub entropy: f32,
}

impl Row {
    /// Takes a sampled token: one more of the thought, or the end of it. `control` tokens break it off.
    pub fn take(&mut self, s: Sampled, budget: usize, p: &Prompts, control: &[u32]) {
        let thought = &mut self.thought;
        let closes = s.token == p.end_think;
        if thought.tokens.len() == budget && !closes {
            // The budget is spent: `</think>` is already on its way, and this token is not used.
            thought.ending = Ending::Budget;
            return;
        }
        self.entropy += s.entropy;
        thought.drawn.push(s.token);
        thought.log_probabilities.push(s.log_probability);
        if closes || control.contains(&s.token) {
            thought.ending = if closes {
                Ending::Closed
            } else {
                Ending::Broken
            };
            self.next = vec![p.end_think, p.emb];
            return;
        }
        thought.tokens.push(s.token);
        self.next = vec![s.token];
        if thought.tokens.len() == budget {
            self.next.extend([p.end_think, p.emb]);
        }
    }
}
