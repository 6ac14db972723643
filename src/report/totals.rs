//! Results of a method at a budget or gate over its seeds, and whether they differ from the baseline's.

use super::cell::{Cell, Latency};
use crate::data::triplet::PLAIN;
use crate::retrieve::significance::{Paired, paired_randomisation};

/// Mean and sample standard deviation over seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    pub mean: f64,
    /// 0 for one seed.
    pub deviation: f64,
}

impl Spread {
    /// Of one value a seed.
    pub fn of(values: &[f64]) -> Spread {
        let count = values.len() as f64;
        if values.is_empty() {
            return Spread::default();
        }
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let deviation = match values.len() {
            1 => 0.0,
            _ => (squares / (count - 1.0)).sqrt(),
        };
        Spread { mean, deviation }
    }
}

/// A method at a budget, or behind a gate.
#[derive(Clone, Debug)]
pub struct Total {
    pub method: String,
    pub budget: usize,
    /// Margin below which a query was thought about; none: every one was.
    pub gate: Option<f32>,
    /// Whether this is the setting that the tables show.
    pub main: bool,
    pub seeds: Vec<u64>,
    pub measures: Vec<String>,
    /// One spread a measure: over the hard queries (all kinds but plain), and over the plain ones.
    pub hard: Vec<Spread>,
    pub plain: Vec<Spread>,
    /// The hard queries' values of the last measure, each the mean over the seeds, against those of the
    /// baseline; absent for the baseline itself.
    pub against: Option<Paired>,
    /// Means over seeds; `timed` is the least.
    pub latency: Latency,
    /// Tokens of every thought.
    pub tokens: Vec<usize>,
    /// Share of the queries that were thought about.
    pub thought_about: f64,
    /// Share of own thoughts that the model closed itself.
    pub closed: Option<f64>,
}

impl Total {
    /// The budget, and the margin where there is a gate.
    pub fn setting(&self) -> String {
        match self.gate {
            None => self.budget.to_string(),
            Some(margin) => format!("{}, margin {margin}", self.budget),
        }
    }
}

/// Totals in the order of the cells. A method's first budget or gate is its main one; methods are compared
/// with the main total of the method `baseline`.
pub fn totals(baseline: &str, cells: &[Cell]) -> Vec<Total> {
    let mut groups: Vec<Vec<&Cell>> = Vec::new();
    for cell in cells {
        let same = |group: &&mut Vec<&Cell>| {
            let setting = |c: &Cell| (c.budget, c.gate);
            group[0].method == cell.method && setting(group[0]) == setting(cell)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(cell),
            None => groups.push(vec![cell]),
        }
    }
    let is_main = |at: usize| {
        let method = &groups[at][0].method;
        let first = groups.iter().position(|g| g[0].method == *method);
        first == Some(at)
    };
    let theirs = (0..groups.len()).find(|&g| is_main(g) && groups[g][0].method == baseline);
    let theirs = theirs.map(|g| query_means(&groups[g]));
    (0..groups.len())
        .map(|g| {
            let group = &groups[g];
            let first = group[0];
            let against = match &theirs {
                Some(theirs) if first.method != baseline => {
                    paired_randomisation(&query_means(group), theirs)
                }
                _ => None,
            };
            let closed: Vec<f64> = group.iter().filter_map(|c| c.closed).collect();
            Total {
                method: first.method.clone(),
                budget: first.budget,
                gate: first.gate,
                main: is_main(g),
                seeds: group.iter().map(|c| c.seed).collect(),
                measures: first.measures.clone(),
                hard: spreads(group, is_hard),
                plain: spreads(group, |kind| !is_hard(kind)),
                against,
                latency: mean_latency(group),
                tokens: group
                    .iter()
                    .flat_map(|c| c.queries.values())
                    .flat_map(|q| q.tokens.iter().copied())
                    .collect(),
                thought_about: mean_of(group, Cell::thought_about),
                closed: (!closed.is_empty()).then(|| Spread::of(&closed).mean),
            }
        })
        .collect()
}

/// Whether a kind of query is hard.
pub(super) fn is_hard(kind: &str) -> bool {
    kind != PLAIN
}

/// The last measure of every hard query, the mean over the seeds, in the order of their ids.
fn query_means(group: &[&Cell]) -> Vec<f64> {
    let last = group[0].measures.len() - 1;
    let seeds: Vec<Vec<f64>> = group.iter().map(|c| c.values(last, is_hard)).collect();
    let queries = seeds.iter().map(Vec::len).min().unwrap_or(0);
    let mean = |q: usize| seeds.iter().map(|s| s[q]).sum::<f64>() / seeds.len() as f64;
    (0..queries).map(mean).collect()
}

fn spreads(group: &[&Cell], belongs: impl Fn(&str) -> bool + Copy) -> Vec<Spread> {
    (0..group[0].measures.len())
        .map(|measure| {
            let mean = |cell: &&Cell| Spread::of(&cell.values(measure, belongs)).mean;
            Spread::of(&group.iter().map(mean).collect::<Vec<_>>())
        })
        .collect()
}

fn mean_latency(group: &[&Cell]) -> Latency {
    Latency {
        mean: mean_of(group, |c| c.latency.mean),
        p50: mean_of(group, |c| c.latency.p50),
        p95: mean_of(group, |c| c.latency.p95),
        p99: mean_of(group, |c| c.latency.p99),
        throughput: mean_of(group, |c| c.latency.throughput),
        timed: group.iter().map(|c| c.latency.timed).min().unwrap_or(0),
    }
}

fn mean_of(group: &[&Cell], of: fn(&Cell) -> f64) -> f64 {
    group.iter().map(|c| of(c)).sum::<f64>() / group.len() as f64
}

/// Of points (latency, quality), which are on the Pareto front: no other is at least as fast and at
/// least as good, and better in one of both.
pub(super) fn on_front(points: &[(f64, f64)]) -> Vec<bool> {
    let beaten = |&(x, y): &(f64, f64)| {
        points
            .iter()
            .any(|&(a, b)| a <= x && b >= y && (a < x || b > y))
    };
    points.iter().map(|p| !beaten(p)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Spread, on_front};

    #[test]
    fn spread_of_known_values() {
        let spread = Spread::of(&[2.0, 4.0, 9.0]);
        assert_eq!(spread.mean, 5.0);
        assert!((spread.deviation - 13f64.sqrt()).abs() < 1e-12);
        assert_eq!(Spread::of(&[3.0]).deviation, 0.0);
    }

    #[test]
    fn the_front_holds_what_nothing_beats() {
        let points = [(1.0, 1.0), (2.0, 3.0), (3.0, 2.0), (2.0, 2.0), (1.0, 1.0)];
        assert_eq!(on_front(&points), [true, true, false, false, true]);
    }
}
