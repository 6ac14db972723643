//! What one cell of a study gave: a method, a seed, a budget or gate.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Times of embedding queries, warm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Milliseconds from a query's text to its embedding, one query at a time: the mean, and what the
    /// half, the 95th and the 99th hundredth of the queries are faster than.
    pub mean: f64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    /// Queries a second, 64 at a time.
    pub throughput: f64,
    /// Queries that were timed one by one; 0: not known.
    #[serde(default)]
    pub timed: usize,
}

impl Latency {
    /// Latency of queries that took `milliseconds` each, and `throughput`.
    pub fn of(mut milliseconds: Vec<f64>, throughput: f64) -> Latency {
        milliseconds.sort_by(f64::total_cmp);
        // Nearest rank.
        let at = |share: f64| {
            let rank = (share * milliseconds.len() as f64).ceil() as usize;
            milliseconds
                .get(rank.saturating_sub(1))
                .copied()
                .unwrap_or(0.0)
        };
        Latency {
            mean: milliseconds.iter().sum::<f64>() / milliseconds.len().max(1) as f64,
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            throughput,
            timed: milliseconds.len(),
        }
    }
}

/// A query's result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QueryResult {
    pub kind: String,
    pub query: String,
    /// One value a measure.
    pub values: Vec<f64>,
    /// Its thoughts; none without thinking.
    pub thoughts: Vec<String>,
    /// Tokens of each.
    pub tokens: Vec<usize>,
    /// Titles of the best items.
    pub found: Vec<String>,
}

/// The result of a cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub method: String,
    pub seed: u64,
    /// Most tokens of a thought.
    pub budget: usize,
    /// Margin below which a query was thought about; none: every one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<f32>,
    /// What decides on the result: the method, its recipe, the model. Another value: run it again.
    pub made_of: String,
    /// Processor and device.
    pub machine: String,
    /// `YYYY-MM-DD`.
    pub date: String,
    /// The commit of the working directory, where it is a checkout.
    pub commit: Option<String>,
    /// Names of the measures.
    pub measures: Vec<String>,
    pub queries: BTreeMap<String, QueryResult>,
    /// Share of the model's own thoughts that it closed itself; absent where there are none.
    pub closed: Option<f64>,
    pub latency: Latency,
}

impl Cell {
    /// Values of measure `at` of the queries for which `belongs` says so of their kind, in the order of
    /// their ids.
    pub fn values(&self, at: usize, belongs: impl Fn(&str) -> bool) -> Vec<f64> {
        let queries = self.queries.values().filter(|q| belongs(&q.kind));
        queries.map(|q| q.values[at]).collect()
    }

    /// Share of the queries that were thought about.
    pub fn thought_about(&self) -> f64 {
        let thought_about = self.queries.values().filter(|q| !q.thoughts.is_empty());
        thought_about.count() as f64 / self.queries.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Latency;

    #[test]
    fn hundredths_by_nearest_rank() {
        let latency = Latency::of((1..=200).rev().map(f64::from).collect(), 3.0);
        assert_eq!(
            (latency.mean, latency.p50, latency.p95, latency.p99),
            (100.5, 100.0, 190.0, 198.0)
        );
        assert_eq!(latency.timed, 200);
        assert_eq!(Latency::of(vec![7.0], 0.0).p99, 7.0);
        assert_eq!(Latency::of(Vec::new(), 0.0).p50, 0.0);
    }
}
