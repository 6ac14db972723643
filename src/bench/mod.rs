//! Measuring: the engine's workloads ([`engine`]), the comparison of two builds ([`compare`]), and how much of
//! the machine the ops use ([`roofline`]).

pub mod compare;
pub mod criterion;
pub mod engine;
pub mod roofline;

mod cold_start;
mod decode;
mod encode;
mod rl;

pub use cold_start::ColdStartStep;
pub use decode::{Decode, Lengths};
pub use encode::Encode;
pub use rl::{Drawn, RlStep};

use crate::device::Result;
use crate::ops::philox::PhiloxStream;
use crate::text::Prompts;

/// A workload that is set up.
pub trait Work {
    /// What has to be done before each run and is not measured.
    ///
    /// # Errors
    /// Where the device fails.
    fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    /// What is measured. Work that was put on a GPU need not be done when this returns.
    ///
    /// # Errors
    /// Where the device fails, and for a run whose figures would mean nothing.
    fn run(&mut self) -> Result<()>;
}

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
