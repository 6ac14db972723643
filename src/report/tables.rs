//! The tables of a study.

use super::Report;
use super::cell::Cell;
use super::table::Table;
use super::totals::{Spread, Total, is_hard};

/// Below this p, a difference is marked.
const SIGNIFICANT: f64 = 0.05;
/// Queries shown that gained most, and as many that lost most.
const SHOWN: usize = 8;

/// The paper's Table 1 and 2 in one: a row for every method at its main budget. `†`: its last measure
/// differs from the baseline's with p < 0.05.
pub fn methods(totals: &[Total]) -> Table {
    let measures = totals.first().map_or(&[][..], |t| t.measures.as_slice());
    let mut header = vec!["method".to_string(), "budget".into()];
    header.extend(measures.iter().map(|m| format!("{m}, hard")));
    header.extend(measures.last().map(|m| format!("{m}, plain")));
    header.extend(["difference", "p", "seeds"].map(String::from));
    let rows = totals.iter().filter(|t| t.main).map(|t| {
        let mut row = vec![t.method.clone(), t.setting()];
        let last = t.hard.len().saturating_sub(1);
        let differs = t.against.is_some_and(|a| a.p < SIGNIFICANT);
        row.extend(t.hard.iter().enumerate().map(|(at, s)| {
            let mark = if differs && at == last { "†" } else { "" };
            format!("{}{mark}", spread(*s))
        }));
        row.extend(t.plain.last().map(|s| spread(*s)));
        row.push(
            t.against
                .map_or(String::new(), |a| format!("{:+.4}", a.difference)),
        );
        row.push(t.against.map_or(String::new(), |a| format!("{:.4}", a.p)));
        row.push(t.seeds.len().to_string());
        row
    });
    Table {
        caption:
            "Methods. Mean ± standard deviation over seeds; † differs from the baseline in the \
                  last measure (paired randomisation over hard queries, two-sided, p < 0.05)"
                .into(),
        rows: rows.collect(),
        header,
    }
}

/// The paper's Figure 5 with what it costs: a row for every method and budget, and for every gate.
pub fn latencies(totals: &[Total]) -> Table {
    let timed = match totals.iter().map(|t| t.latency.timed).min() {
        None | Some(0) => String::new(),
        Some(timed) => format!("; {timed} queries"),
    };
    let mut table = Table::new(
        &format!(
            "Budgets: quality and time of a query, warm, at batch 1 (ms{timed}) and at batch 64 (queries/s)"
        ),
        &[
            "method",
            "budget",
            "hard queries",
            "mean ms",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "queries/s",
            "thought about",
            "tokens",
            "closed",
        ],
    );
    table.rows.extend(totals.iter().map(|t| {
        let tokens = t.tokens.iter().sum::<usize>() as f64 / t.tokens.len().max(1) as f64;
        vec![
            t.method.clone(),
            t.setting(),
            t.hard.last().map_or(String::new(), |s| spread(*s)),
            format!("{:.1}", t.latency.mean),
            format!("{:.1}", t.latency.p50),
            format!("{:.1}", t.latency.p95),
            format!("{:.1}", t.latency.p99),
            format!("{:.1}", t.latency.throughput),
            format!("{:.0} %", 100.0 * t.thought_about),
            format!("{tokens:.1}"),
            t.closed
                .map_or(String::new(), |c| format!("{:.0} %", 100.0 * c)),
        ]
    }));
    table
}

/// Every number of every total, for programs.
pub fn results(totals: &[Total]) -> Table {
    let measures = totals.first().map_or(&[][..], |t| t.measures.as_slice());
    let mut header: Vec<String> = ["method", "budget", "gate", "main", "seeds"]
        .map(String::from)
        .to_vec();
    for measure in measures {
        for group in ["hard", "plain"] {
            header.extend([
                format!("{measure} {group} mean"),
                format!("{measure} {group} sd"),
            ]);
        }
    }
    header.extend(["difference", "p", "mean ms", "p50 ms", "p95 ms", "p99 ms"].map(String::from));
    header.extend(["queries/s", "thought about"].map(String::from));
    let rows = totals.iter().map(|t| {
        let seeds: Vec<String> = t.seeds.iter().map(u64::to_string).collect();
        let mut row = vec![
            t.method.clone(),
            t.budget.to_string(),
            t.gate.map_or(String::new(), |g| g.to_string()),
            t.main.to_string(),
            seeds.join(" "),
        ];
        for (hard, plain) in t.hard.iter().zip(&t.plain) {
            for s in [hard, plain] {
                row.extend([s.mean.to_string(), s.deviation.to_string()]);
            }
        }
        row.push(
            t.against
                .map_or(String::new(), |a| a.difference.to_string()),
        );
        row.push(t.against.map_or(String::new(), |a| a.p.to_string()));
        let l = t.latency;
        row.extend([l.mean, l.p50, l.p95, l.p99, l.throughput].map(|x| x.to_string()));
        row.push(t.thought_about.to_string());
        row
    });
    Table {
        caption: String::new(),
        rows: rows.collect(),
        header,
    }
}

/// Every query of every cell, for programs.
pub fn queries(cells: &[Cell]) -> Table {
    let measures = cells.first().map_or(&[][..], |c| c.measures.as_slice());
    let mut header: Vec<String> = [
        "method", "seed", "budget", "gate", "id", "kind", "query", "thoughts",
    ]
    .map(String::from)
    .to_vec();
    header.extend(measures.iter().cloned());
    let rows = cells.iter().flat_map(|cell| {
        cell.queries.iter().map(|(id, q)| {
            let mut row = vec![
                cell.method.clone(),
                cell.seed.to_string(),
                cell.budget.to_string(),
                cell.gate.map_or(String::new(), |g| g.to_string()),
                id.clone(),
                q.kind.clone(),
                q.query.clone(),
                q.thoughts.join(" / "),
            ];
            row.extend(q.values.iter().map(f64::to_string));
            row
        })
    });
    Table {
        caption: String::new(),
        rows: rows.collect(),
        header,
    }
}

/// Hard queries on which a method gained or lost most against the baseline, at the first seed:
/// thoughts and best items side by side.
pub fn side_by_side(report: &Report<'_>, method: &str) -> Option<Table> {
    let first = |name: &str| {
        let mut of_method = report.cells.iter().filter(|c| c.method == name);
        of_method.next()
    };
    let (ours, theirs) = (first(method)?, first(report.baseline)?);
    let last = ours.measures.len().checked_sub(1)?;
    let mut changes: Vec<(f64, &String)> = ours
        .queries
        .iter()
        .filter(|(_, q)| is_hard(&q.kind))
        .filter_map(|(id, q)| {
            let other = theirs.queries.get(id)?;
            Some((q.values[last] - other.values[last], id))
        })
        .filter(|(change, _)| *change != 0.0)
        .collect();
    changes.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let better = changes.iter().filter(|c| c.0 > 0.0).count();
    let worse = changes.len() - better;
    let mut table = Table::new(
        &format!(
            "{method} against {}, seed {}: {better} hard queries better, {worse} worse; those that \
             changed most",
            report.baseline, ours.seed
        ),
        &[
            "query",
            "thoughts",
            "change",
            "found",
            "found by the baseline",
        ],
    );
    let shown = |at: usize| at < SHOWN.min(better) || at + SHOWN.min(worse) >= changes.len();
    for (_, (change, id)) in changes.iter().enumerate().filter(|(at, _)| shown(*at)) {
        let (q, other) = (&ours.queries[*id], &theirs.queries[*id]);
        table.rows.push(vec![
            q.query.clone(),
            q.thoughts.join(" / "),
            format!("{change:+.3}"),
            q.found.join("; "),
            other.found.join("; "),
        ]);
    }
    Some(table)
}

/// The tables as Markdown.
pub fn markdown(report: &Report<'_>, totals: &[Total]) -> String {
    format!(
        "# {}\n\n{}\n\n{}\n{}",
        report.title,
        origin(report),
        methods(totals).markdown(),
        latencies(totals).markdown()
    )
}

/// Where the numbers come from, in a line.
pub fn origin(report: &Report<'_>) -> String {
    let Some(cell) = report.cells.first() else {
        return format!("Made by `{}`; nothing was run yet.", report.command);
    };
    let commit = match &cell.commit {
        Some(commit) => format!(" at {commit}"),
        None => String::new(),
    };
    format!(
        "Made by `{}`{commit} on {}, {}; {} queries; baseline: {}.",
        report.command,
        cell.machine,
        cell.date,
        cell.queries.len(),
        report.baseline
    )
}

fn spread(s: Spread) -> String {
    match s.deviation {
        0.0 => format!("{:.4}", s.mean),
        deviation => format!("{:.4} ± {deviation:.4}", s.mean),
    }
}
