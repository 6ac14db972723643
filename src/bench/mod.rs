//! Measuring: the engine's workloads, the comparison of two builds ([`compare`]), and how much of the
//! machine the ops use ([`roofline`]).
//!
//! The workloads are defined once for `lrem bench engine`, the criterion suite and the comparison with
//! other engines.
//!
//! | name | work | unit |
//! |---|---|---|
//! | `prefill 512` | one sequence of 512 tokens, hidden states only | tok/s |
//! | `embed 64x24` | 64 sequences of 24 tokens, hidden states only | items/s |
//! | `decode batch B` | 16 greedy tokens a sequence after a context of 64, without its prefill | tok/s |
//! | `cold-start step 16 pairs` | forward, backward and AdamW of 16 pairs: a query of 12 tokens below instructions of 64 with a thought of 16, an item of 24 below 16 | pairs/s |
//! | `RL step 4 queries x 8` | 8 thoughts of 16 tokens sampled for each of 4 such queries, then forward, backward and AdamW of the policy loss and InfoNCE over all of them | queries/s |

pub mod compare;
pub mod criterion;
pub mod roofline;

mod cold_start;
mod decode;
mod encode;
mod rl;

pub use cold_start::{ColdStartStep, PAIRS};
pub use decode::{DECODED, Decode};
pub use encode::Encode;
pub use rl::{QUERIES, ROLLOUTS, RlStep};

use crate::ops::philox::PhiloxStream;
use crate::text::Prompts;

/// Tokens of a training workload: instructions before and text of a query, instructions before and
/// text of an item.
const QUERY: (usize, usize) = (64, 12);
const ITEM: (usize, usize) = (16, 24);

fn draw(random: &mut PhiloxStream, vocab: usize, len: usize) -> Vec<u32> {
    (0..len).map(|_| random.below(vocab) as u32).collect()
}

/// Random instructions; the vocabulary's last tokens are the special ones.
fn prompts(random: &mut PhiloxStream, vocab: usize) -> Prompts {
    let [think, end_think, emb] = [0, 1, 2].map(|back| vocab as u32 - 1 - back);
    Prompts {
        query_prefix: draw(random, vocab, QUERY.0),
        query_suffix: Vec::new(),
        item_prefix: draw(random, vocab, ITEM.0),
        item_suffix: Vec::new(),
        think,
        end_think,
        emb,
    }
}

/// The middle value, or the mean of the middle two. `values` must not be empty.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    median_of_sorted(&sorted)
}

fn median_of_sorted(sorted: &[f64]) -> f64 {
    let (below, above) = ((sorted.len() - 1) / 2, sorted.len() / 2);
    (sorted[below] + sorted[above]) / 2.0
}
