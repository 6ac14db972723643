//! The plots of a study.

use super::curves::Curve;
use super::scale::Axis;
use super::shares::ShareChart;
use super::svg::{Chart, Mark, Series};
use super::totals::{Total, on_front};
use std::cmp::Ordering;

/// A report's plots as SVG; empty where there is nothing to show.
pub struct Drawn {
    pub latency: String,
    pub budgets: String,
    pub lengths: String,
    pub formats: String,
    /// Title and plot of every field of the learning curves.
    pub learning: Vec<(String, String)>,
}

impl Drawn {
    pub fn of(totals: &[Total], curves: &[Curve]) -> Drawn {
        let learning = learning(curves).into_iter();
        Drawn {
            latency: trade(totals).svg(),
            budgets: budgets(totals).svg(),
            lengths: lengths(totals).svg(),
            formats: formats(totals).svg(),
            learning: learning.map(|c| (c.title.clone(), c.svg())).collect(),
        }
    }

    /// Each plot with a name for its file.
    pub fn named(&self) -> impl Iterator<Item = (String, &str)> {
        let named = [
            ("latency", &self.latency),
            ("budgets", &self.budgets),
            ("lengths", &self.lengths),
            ("formats", &self.formats),
        ];
        let named = named.map(|(name, svg)| (name.to_string(), svg.as_str()));
        let file = |title: &str| title.replace(": ", "-").to_lowercase();
        let learning = self.learning.iter();
        let learning = learning.map(move |(title, svg)| (file(title), svg.as_str()));
        named.into_iter().chain(learning)
    }
}

/// Names of the methods, in order, each once.
pub fn methods(totals: &[Total]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for total in totals {
        if !names.contains(&total.method.as_str()) {
            names.push(&total.method);
        }
    }
    names
}

/// Quality on hard queries against the mean latency of a query: filled marks are on the Pareto front,
/// numbers are budgets, and margins along the line of a method with gates.
///
/// The mean, as a gate's queries are of two kinds: their median is the time of either.
fn trade(totals: &[Total]) -> Chart {
    let quality = |t: &Total| t.hard.last().copied().unwrap_or_default();
    let points: Vec<(f64, f64)> = totals
        .iter()
        .map(|t| (t.latency.mean, quality(t).mean))
        .collect();
    let front = on_front(&points);
    let series = methods(totals).into_iter().map(|name| {
        let of_method = totals.iter().zip(&front).filter(|(t, _)| t.method == name);
        let mark = |(t, &filled): (&Total, &bool)| Mark {
            x: t.latency.mean,
            y: quality(t).mean,
            error: quality(t).deviation,
            label: t.gate.map_or(t.budget.to_string(), |g| g.to_string()),
            filled,
        };
        let mut marks: Vec<(Option<f32>, Mark)> = of_method.map(|m| (m.0.gate, mark(m))).collect();
        marks.sort_by(|(a, _), (b, _)| a.partial_cmp(b).unwrap_or(Ordering::Equal));
        Series {
            name: name.to_string(),
            line: marks.iter().any(|(gate, _)| gate.is_some()),
            marks: marks.into_iter().map(|(_, mark)| mark).collect(),
            dots: true,
        }
    });
    Chart {
        title: "Quality against latency".into(),
        x: Axis {
            label: "mean time of one query, ms".into(),
            logarithmic: true,
        },
        y: Axis::linear(&format!("{}, hard queries", measure(totals))),
        series: series.collect(),
    }
}

/// Quality against the budget, of the methods that were tried at several.
fn budgets(totals: &[Total]) -> Chart {
    let series = methods(totals).into_iter().filter_map(|name| {
        let mut marks: Vec<Mark> = totals
            .iter()
            .filter(|t| t.method == name && t.gate.is_none())
            .map(|t| {
                let quality = t.hard.last().copied().unwrap_or_default();
                Mark {
                    x: t.budget as f64,
                    y: quality.mean,
                    error: quality.deviation,
                    label: String::new(),
                    filled: true,
                }
            })
            .collect();
        marks.sort_by(|a, b| a.x.total_cmp(&b.x));
        (marks.len() > 1).then(|| Series {
            name: name.to_string(),
            marks,
            line: true,
            dots: true,
        })
    });
    Chart {
        title: "Quality against the thought's budget".into(),
        x: Axis::linear("most tokens of a thought"),
        y: Axis::linear(&format!("{}, hard queries", measure(totals))),
        series: series.collect(),
    }
}

/// Shares of thoughts by their number of tokens, main totals only.
fn lengths(totals: &[Total]) -> Chart {
    let with_thoughts = totals.iter().filter(|t| t.main && !t.tokens.is_empty());
    let series = with_thoughts.map(|total| {
        let longest = total.tokens.iter().copied().max().unwrap_or(0);
        let mut counts = vec![0usize; longest + 1];
        total.tokens.iter().for_each(|&n| counts[n] += 1);
        let share = |(n, count): (usize, usize)| Mark {
            x: n as f64,
            y: count as f64 / total.tokens.len() as f64,
            ..Mark::default()
        };
        Series {
            name: total.method.clone(),
            marks: counts.into_iter().enumerate().map(share).collect(),
            line: true,
            dots: false,
        }
    });
    Chart {
        title: "Length of thoughts".into(),
        x: Axis::linear("tokens"),
        y: Axis::linear("share of thoughts"),
        series: series.collect(),
    }
}

/// How own thoughts ended, main totals only.
fn formats(totals: &[Total]) -> ShareChart {
    let main = totals.iter().filter(|t| t.main);
    let bars = main.filter_map(|t| Some((t.method.clone(), t.closed?)));
    ShareChart {
        title: "Format of thoughts".into(),
        label: "share of thoughts".into(),
        parts: ["closed by the model".into(), "cut short".into()],
        bars: bars.collect(),
    }
}

/// One chart for every field of the curves, in the order in which they come.
fn learning(curves: &[Curve]) -> Vec<Chart> {
    let mut fields: Vec<&str> = Vec::new();
    for curve in curves {
        if !fields.contains(&curve.field.as_str()) {
            fields.push(&curve.field);
        }
    }
    let chart = |field: &str| Chart {
        title: format!("Training: {field}"),
        x: Axis::linear("step"),
        y: Axis::linear(field),
        series: curves
            .iter()
            .filter(|c| c.field == field)
            .map(|c| Series {
                name: c.name.clone(),
                marks: c
                    .points
                    .iter()
                    .map(|&(x, y)| Mark {
                        x,
                        y,
                        ..Mark::default()
                    })
                    .collect(),
                line: true,
                dots: false,
            })
            .collect(),
    };
    fields.into_iter().map(chart).collect()
}

fn measure(totals: &[Total]) -> &str {
    let first = totals.first();
    first
        .and_then(|t| t.measures.last())
        .map_or("", String::as_str)
}
