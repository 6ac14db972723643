//! A comparison as a table, a chart and JSON.

use super::{CONFIDENCE, Line, Verdict};
use crate::report::{Bar, BarChart, Look, Table};
use serde_json::{Value, json};

/// How many lines have each verdict, worst first: `1 slower, 7 equal`.
pub fn counts(lines: &[Line]) -> String {
    let count = |verdict: Verdict| {
        let lines = lines.iter().filter(|l| l.verdict == verdict).count();
        (lines > 0).then(|| format!("{lines} {}", verdict.name()))
    };
    let counts: Vec<String> = Verdict::ALL.into_iter().filter_map(count).collect();
    counts.join(", ")
}

/// The lines, those that changed first; `threshold` as they were judged by.
pub fn table(lines: &[Line], threshold: f64) -> Table {
    let caption = format!(
        "{}. NEW / BASE of the time of an iteration, above 1 is slower; all intervals hold together \
         with {} % confidence; changes below {} % count as equal.",
        counts(lines),
        100.0 * CONFIDENCE,
        round(100.0 * threshold),
    );
    let header = [
        "benchmark",
        "BASE",
        "NEW",
        "NEW / BASE",
        "interval",
        "NEW does",
        "verdict",
    ];
    let mut table = Table::new(&caption, &header);
    for line in sorted(lines) {
        let time = |time: Option<f64>| time.map_or(String::new(), nanoseconds);
        let (ratio, interval) = match &line.ratio {
            Some(r) => (
                format!("{:.3}", r.estimate),
                format!("{:.3} to {:.3}", r.low, r.high),
            ),
            None => Default::default(),
        };
        table.rows.push(vec![
            line.id.clone(),
            time(line.base),
            time(line.new),
            ratio,
            interval,
            throughput(line),
            line.verdict.name().to_string(),
        ]);
    }
    table
}

/// The ratios with their intervals, in the order of the table; lines without one are left out.
pub fn chart(lines: &[Line], threshold: f64) -> BarChart {
    let bar = |line: &Line| {
        let ratio = line.ratio?;
        let look = match line.verdict {
            Verdict::Faster => Look::Good,
            Verdict::Slower => Look::Bad,
            Verdict::Unclear => Look::Unsure,
            _ => Look::Neutral,
        };
        Some(Bar {
            name: line.id.clone(),
            value: ratio.estimate,
            ends: [ratio.low, ratio.high],
            text: format!("{:.3} {}", ratio.estimate, line.verdict.name()),
            look,
        })
    };
    let counts = 1.0 + threshold;
    BarChart {
        title: "Benchmarks of two builds".to_string(),
        label: "NEW / BASE of the time of an iteration; in the band, a change counts as none"
            .into(),
        band: [1.0 / counts, 1.0, counts],
        bars: sorted(lines).into_iter().filter_map(bar).collect(),
    }
}

/// One JSON object a line; times in nanoseconds.
pub fn json(line: &Line) -> Value {
    json!({
        "name": line.id,
        "base": line.base,
        "new": line.new,
        "ratio": line.ratio.map(|r| r.estimate),
        "low": line.ratio.map(|r| r.low),
        "high": line.ratio.map(|r| r.high),
        "rounds": line.rounds,
        "verdict": line.verdict.name(),
    })
}

fn sorted(lines: &[Line]) -> Vec<&Line> {
    let mut lines: Vec<&Line> = lines.iter().collect();
    lines.sort_by(|a, b| (a.verdict, &a.id).cmp(&(b.verdict, &b.id)));
    lines
}

/// What NEW does in a second; nothing where the benchmark does not say.
fn throughput(line: &Line) -> String {
    let rate = |count: Option<f64>, unit: &str| {
        let per_second = count? / line.new? * 1e9;
        let (scale, prefix) = match per_second {
            r if r >= 1e9 => (1e9, "G"),
            r if r >= 1e6 => (1e6, "M"),
            r if r >= 1e3 => (1e3, "k"),
            _ => (1.0, ""),
        };
        Some(format!("{} {prefix}{unit}/s", digits(per_second / scale)))
    };
    rate(line.work.bytes, "B")
        .or_else(|| rate(line.work.elements, "elem"))
        .unwrap_or_default()
}

fn nanoseconds(time: f64) -> String {
    match time {
        t if t >= 1e9 => format!("{} s", digits(t / 1e9)),
        t if t >= 1e6 => format!("{} ms", digits(t / 1e6)),
        t if t >= 1e3 => format!("{} µs", digits(t / 1e3)),
        t => format!("{} ns", digits(t)),
    }
}

/// Four digits of a number from 1 to 1000.
fn digits(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.1}"),
        v if v >= 10.0 => format!("{v:.2}"),
        v => format!("{v:.3}"),
    }
}

/// A percentage without the digits that binary fractions add.
fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::{chart, counts, json, nanoseconds, table};
    use crate::bench::compare::{Line, Ratio, Verdict};
    use crate::bench::criterion::Work;

    fn line(id: &str, low: f64, high: f64, work: Work) -> Line {
        let ratio = Ratio {
            estimate: (low * high).sqrt(),
            low,
            high,
        };
        Line {
            id: id.to_string(),
            base: Some(2000.0),
            new: Some(2000.0 * ratio.estimate),
            ratio: Some(ratio),
            work,
            verdict: Verdict::of(&ratio, 0.02),
            rounds: 8,
        }
    }

    #[test]
    fn what_changed_comes_first() {
        let bytes = Work {
            bytes: Some(8e3),
            ..Work::default()
        };
        let lines = [
            line("a", 0.99, 1.0 / 0.99, bytes),
            Line::alone("b", None, Some(5.0)),
            line("c", 1.21, 1.21, Work::default()),
        ];
        assert_eq!(counts(&lines), "1 slower, 1 equal, 1 only in NEW");
        let table = table(&lines, 0.02);
        assert!(table.caption.contains("below 2 %"), "{}", table.caption);
        let row = |i: usize| table.rows[i].join("|");
        assert_eq!(row(0), "c|2.000 µs|2.420 µs|1.210|1.210 to 1.210||slower");
        assert_eq!(
            row(1),
            "a|2.000 µs|2.000 µs|1.000|0.990 to 1.010|4.000 GB/s|equal"
        );
        assert_eq!(row(2), "b||5.000 ns||||only in NEW");
        let bars = chart(&lines, 0.02).bars;
        assert_eq!(bars.len(), 2);
        assert_eq!(bars[0].text, "1.210 slower");
        assert_eq!(json(&lines[1])["ratio"], serde_json::Value::Null);
        assert_eq!(json(&lines[2])["verdict"], "slower");
    }

    #[test]
    fn times_have_their_units() {
        let all = [1.5, 15.0e3, 150.0e6, 2e9].map(nanoseconds);
        assert_eq!(all, ["1.500 ns", "15.00 µs", "150.0 ms", "2.000 s"]);
    }
}
