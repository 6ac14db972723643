//! Two builds' benchmarks side by side: what is faster, slower or equal, and how sure that is.
//!
//! Two ways to measure, one way to judge:
//!
//! - [`folders`]: two criterion folders as they lie on the disk. Whatever happened to the machine
//!   between the two measurements counts as a change.
//! - [`executables`]: two bench executables, run in turns. What happens to the machine happens to both.
//!
//! A machine shared with others drifts by more than the changes that one looks for, so only the second
//! can tell 5 % from nothing there.

mod bootstrap;
mod folders;
mod render;
mod rounds;
mod run;
mod signed_rank;
mod verdict;

pub use folders::folders;
pub use render::{chart, counts, json, table};
pub use rounds::{Plan, executables};
pub use run::Executable;
pub use verdict::Verdict;

use super::criterion::Work;
use super::median;

/// Probability that the intervals of *all* lines of a comparison hold their true ratios (Bonferroni: each
/// line's interval misses with a probability of `(1 − CONFIDENCE) / lines`). At the customary 0.95,
/// every twentieth comparison of a build with itself could call some line different.
pub const CONFIDENCE: f64 = 0.99;

/// The probability with which one line's interval may miss, among `lines` of them.
fn miss(lines: usize) -> f64 {
    (1.0 - CONFIDENCE) / lines.max(1) as f64
}

/// A ratio of times, NEW over BASE: above 1 is slower.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    pub estimate: f64,
    /// The ends of its confidence interval.
    pub low: f64,
    pub high: f64,
}

impl Ratio {
    /// Half the interval's length, as the logarithm of a factor.
    pub fn half_width(&self) -> f64 {
        (self.high / self.low).ln() / 2.0
    }
}

/// One benchmark of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Criterion's full name, `group/function`.
    pub id: String,
    /// Nanoseconds of an iteration: the samples' median of a folder, and the runs' median of an
    /// executable. `None` where that side lacks the benchmark.
    pub base: Option<f64>,
    pub new: Option<f64>,
    /// `None` where a side lacks the benchmark.
    pub ratio: Option<Ratio>,
    /// What an iteration of NEW does, where the benchmark says so.
    pub work: Work,
    pub verdict: Verdict,
    /// Rounds measured; 0 for folders.
    pub rounds: usize,
}

impl Line {
    /// The line of a benchmark that one side lacks.
    fn alone(id: &str, base: Option<f64>, new: Option<f64>) -> Line {
        let verdict = match new {
            None => Verdict::OnlyBase,
            Some(_) => Verdict::OnlyNew,
        };
        Line {
            id: id.to_string(),
            base,
            new,
            ratio: None,
            work: Work::default(),
            verdict,
            rounds: 0,
        }
    }
}
