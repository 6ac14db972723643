//! `lrem bench latency`.

use super::{Shop, failed};
use serde_json::Value;

#[test]
fn every_budget_has_its_line() {
    let shop = Shop::make();
    let line = "bench latency model --queries test.jsonl --think 0,6 --json";
    let measured = |line: &str| -> Vec<Value> {
        let printed = shop.prints(line);
        printed
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    };
    let with = measured(line);
    let without = measured(&format!("{line} --no-drafts"));
    for (measured, drafts) in [(&with, true), (&without, false)] {
        assert_eq!(measured.len(), 2);
        for (line, think) in measured.iter().zip([0, 6]) {
            assert_eq!(line["think"], think);
            assert_eq!(line["drafts"], drafts);
            let of = |name: &str| line[name].as_f64().unwrap();
            assert!(
                0.0 < of("p50_ms") && of("p50_ms") <= of("p95_ms") && of("p95_ms") <= of("p99_ms")
            );
        }
        assert_eq!(measured[0]["passes"], 1.0);
        assert_eq!(measured[0]["tokens"], 0.0);
    }
    // The first queries come twice: what was thought about them is known.
    let passes = |measured: &[Value]| measured[1]["passes"].as_f64().unwrap();
    assert!(passes(&with) < passes(&without), "{with:?} {without:?}");
    assert_eq!(with[1]["tokens"], without[1]["tokens"]);

    let printed = shop.prints("bench latency model --queries test.jsonl --think 0");
    let row = printed.lines().nth(1).unwrap();
    assert!(row.starts_with("0      0.0     1.0"), "{printed}");
}

#[test]
fn what_cannot_be_timed_is_an_error() {
    let shop = Shop::make();
    shop.model("mean", "mean", "find");
    let run = |line: &str| {
        shop.command(&format!("bench latency {line}"))
            .output()
            .unwrap()
    };
    shop.write("long.jsonl", format!("tea\n{}\n", "tea ".repeat(9000)));
    failed(
        run("model --queries long.jsonl --think 0"),
        1,
        "long.jsonl:2: the query takes 9004 tokens with its prompt and thought; the context holds 64",
    );
    failed(
        run("mean --queries test.jsonl --think 0,8"),
        1,
        "--think 8: the model's pooling is \"mean\", which reads no thought; expected --think 0",
    );
}
