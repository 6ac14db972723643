//! Reasoning: batched generation of thoughts over a cache with shared trunks. The `<emb>` hidden
//! state falls out of the same loop, so a query is never encoded twice.

mod direct;
mod think;

pub use think::{Ending, Question, Reasoner, ThinkOptions, Thought};
