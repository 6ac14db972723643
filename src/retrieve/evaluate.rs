//! A run against judgements: every query's values, and their means per kind of query.

use super::metrics::{Judged, Metric};
use super::table::TextTable;
use super::trec::{Qrels, Run};
use crate::data::Triplet;
use crate::data::triplet::PLAIN;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What becomes of judged queries that the run does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// They count as 0, as with `trec_eval -c`.
    Zero,
    /// They are left out of the means, as trec_eval does by default.
    Skip,
}

/// Values of every query, in the byte order of their ids.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// What was measured.
    pub metrics: Vec<Metric>,
    /// Query id → one value a metric.
    pub queries: BTreeMap<String, Vec<f64>>,
}

/// Means over a group of queries.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// The kind of query, `hard` (all but plain) or `all`.
    pub kind: String,
    /// Number of queries.
    pub queries: usize,
    /// One mean a metric.
    pub values: Vec<f64>,
}

/// Means per kind of query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// What was measured.
    pub metrics: Vec<Metric>,
    /// The kinds in byte order with `plain` last, then `hard` where there are plain and other
    /// queries, then `all`.
    pub groups: Vec<Group>,
}

/// Measures `run` against `qrels`. Queries without judgements are left out, as trec_eval does.
pub fn evaluate(qrels: &Qrels, run: &Run, metrics: &[Metric], missing: Missing) -> Evaluation {
    let mut queries = BTreeMap::new();
    for (query, judgements) in qrels {
        let entries = match (run.get(query), missing) {
            (Some(entries), _) => entries.as_slice(),
            (None, Missing::Zero) => &[],
            (None, Missing::Skip) => continue,
        };
        let judged = Judged::new(judgements, entries);
        let values = metrics.iter().map(|&metric| judged.value(metric)).collect();
        queries.insert(query.clone(), values);
    }
    Evaluation {
        metrics: metrics.to_vec(),
        queries,
    }
}

/// The kind of every query, for [`Evaluation::summary`].
pub fn kinds_of(triplets: &[Triplet]) -> BTreeMap<String, String> {
    let kind = |triplet: &Triplet| (triplet.id.clone(), triplet.kind.clone());
    triplets.iter().map(kind).collect()
}

impl Evaluation {
    /// Means over the queries for which `belongs` holds, and their number.
    pub fn mean(&self, belongs: impl Fn(&str) -> bool) -> (usize, Vec<f64>) {
        let mut sums = vec![0.0; self.metrics.len()];
        let mut count = 0;
        // In the order of their ids, as trec_eval sums.
        for (_, values) in self.queries.iter().filter(|(query, _)| belongs(query)) {
            count += 1;
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += value;
            }
        }
        if count > 0 {
            sums.iter_mut().for_each(|sum| *sum /= count as f64);
        }
        (count, sums)
    }

    /// Means per kind. `kinds` maps query id to kind; queries not in it count in `all` only.
    pub fn summary(&self, kinds: &BTreeMap<String, String>) -> Summary {
        let kind_of = |query: &str| kinds.get(query).map(String::as_str);
        let mut names: Vec<&str> = self.queries.keys().filter_map(|q| kind_of(q)).collect();
        names.sort_unstable_by_key(|&name| (name == PLAIN, name));
        names.dedup();
        let group = |kind: &str, belongs: &dyn Fn(&str) -> bool| {
            let (queries, values) = self.mean(belongs);
            let kind = kind.to_string();
            Group {
                kind,
                queries,
                values,
            }
        };
        let mut groups: Vec<Group> = names
            .iter()
            .map(|&name| group(name, &|query| kind_of(query) == Some(name)))
            .collect();
        if names.len() > 1 && names.contains(&PLAIN) {
            let is_hard = |query: &str| kind_of(query).is_some_and(|kind| kind != PLAIN);
            groups.push(group("hard", &is_hard));
        }
        groups.push(group("all", &|_| true));
        Summary {
            metrics: self.metrics.clone(),
            groups,
        }
    }

    /// The lines that `trec_eval` prints, `-q`'s too with `per_query`.
    pub fn trec_text(&self, per_query: bool) -> String {
        let mut text = String::new();
        let mut lines = |query: &str, values: &[f64]| {
            for (metric, value) in self.metrics.iter().zip(values) {
                let name = metric.trec_name();
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{name:<22}\t{query}\t{value:6.4}");
            }
        };
        if per_query {
            for (query, values) in &self.queries {
                lines(query, values);
            }
        }
        lines("all", &self.mean(|_| true).1);
        text
    }
}

impl Summary {
    /// The group named `kind`.
    pub fn group(&self, kind: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.kind == kind)
    }

    /// The value of `metric` for the group named `kind`.
    pub fn value(&self, kind: &str, metric: Metric) -> Option<f64> {
        let at = self.metrics.iter().position(|&other| other == metric)?;
        Some(self.group(kind)?.values[at])
    }

    /// A row for every kind, a column for every metric.
    pub fn table(&self) -> TextTable {
        let mut header = vec!["kind".to_string(), "queries".to_string()];
        header.extend(self.metrics.iter().map(Metric::to_string));
        let mut table = TextTable::new(header);
        for group in &self.groups {
            let mut row = vec![group.kind.clone(), group.queries.to_string()];
            row.extend(group.values.iter().map(|value| format!("{value:.4}")));
            table.push(row);
        }
        table
    }
}

/// Several methods side by side: a row for every kind and metric, a column for every method. The
/// summaries are of the same queries and metrics; what one lacks is left blank.
pub fn compare(methods: &[(&str, &Summary)]) -> TextTable {
    let mut header: Vec<String> = ["kind", "queries", "metric"].map(String::from).to_vec();
    header.extend(methods.iter().map(|(name, _)| name.to_string()));
    let mut table = TextTable::new(header);
    let Some((_, first)) = methods.first() else {
        return table;
    };
    for group in &first.groups {
        for (at, &metric) in first.metrics.iter().enumerate() {
            // Said once a group, so that the groups are seen.
            let (kind, queries) = if at == 0 {
                (group.kind.clone(), group.queries.to_string())
            } else {
                (String::new(), String::new())
            };
            let mut row = vec![kind, queries, metric.to_string()];
            row.extend(methods.iter().map(|(_, summary)| {
                let value = summary.value(&group.kind, metric);
                value.map_or(String::new(), |value| format!("{value:.4}"))
            }));
            table.push(row);
        }
    }
    table
}
