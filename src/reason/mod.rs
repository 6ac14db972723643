//! Reasoning: batched generation of thoughts over a cache with shared trunks. The `<emb>` hidden
//! state falls out of the same loop, so a query is never encoded twice.

mod direct;
mod drafts;
mod generate;
mod pass;
mod row;
mod step;
mod think;
mod thought;

pub use drafts::Drafts;
pub use generate::Generator;
pub use think::Reasoner;
pub use thought::{Ending, Question, ThinkOptions, Thought};
