//! `lrem bench compare` and `roofline`: on criterion folders made by hand, and on executables that act as
//! criterion's do.

use super::{Shop, failed, succeeded};
use serde_json::Value;
use std::fs;
use std::process::Command;

/// Puts a benchmark's results into `folder`: ten samples of about `time` nanoseconds an iteration.
fn benchmark(shop: &Shop, folder: &str, id: &str, baseline: &str, time: f64) {
    let place = format!("{folder}/{}/{baseline}", id.replace(' ', "_"));
    fs::create_dir_all(shop.path(&place)).unwrap();
    let about = format!(
        "{{\"group_id\": \"g\", \"full_id\": \"{id}\", \"throughput\": {{\"Bytes\": 4000}}}}"
    );
    shop.write(&format!("{place}/benchmark.json"), about);
    let iters: Vec<f64> = (1..=10).map(f64::from).collect();
    let times: Vec<f64> = iters
        .iter()
        .map(|n| n * time * (1.0 + 0.001 * (n - 5.5)))
        .collect();
    let sample =
        format!("{{\"sampling_mode\": \"Linear\", \"iters\": {iters:?}, \"times\": {times:?}}}");
    shop.write(&format!("{place}/sample.json"), sample);
}

fn two_folders() -> Shop {
    let shop = Shop::make();
    for (folder, id, time) in [
        ("base", "g/same", 1000.0),
        ("base", "g/slowed", 1000.0),
        ("base", "g/faster", 1000.0),
        ("base", "g/gone", 1000.0),
        ("new", "g/same", 1001.0),
        ("new", "g/slowed", 1050.0),
        ("new", "g/faster", 800.0),
        ("new", "g/added", 1000.0),
    ] {
        benchmark(&shop, folder, id, "new", time);
    }
    shop
}

fn lines(printed: &str) -> Vec<(String, String)> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| line[key].as_str().unwrap().to_string();
        (text("name"), text("verdict"))
    };
    printed.lines().map(line).collect()
}

#[test]
fn every_line_has_its_verdict() {
    let shop = two_folders();
    let printed = shop.prints("bench compare base new --json");
    let expected = [
        ("g/added", "only in NEW"),
        ("g/faster", "faster"),
        ("g/gone", "only in BASE"),
        ("g/same", "equal"),
        ("g/slowed", "slower"),
    ];
    assert_eq!(
        lines(&printed),
        expected.map(|(a, b)| (a.into(), b.into())).to_vec()
    );
    let printed = shop.prints("bench compare base new --svg plot.svg --markdown table.md");
    assert!(printed.contains("1 slower, 1 faster, 1 equal"), "{printed}");
    let first = printed.lines().nth(1).unwrap();
    assert!(
        first.starts_with("g/slowed") && first.contains("1.050") && first.contains("3.810 GB/s"),
        "{first}"
    );
    let markdown = shop.text("table.md");
    assert!(
        markdown.contains("| g/faster | 1.000 µs | 800.0 ns | 0.800 |"),
        "{markdown}"
    );
    let svg = shop.text("plot.svg");
    assert!(svg.starts_with("<svg") && svg.contains("1.050 slower") && !svg.contains("NaN"));
    assert_eq!(shop.prints("bench compare base new --markdown -"), markdown);
    let printed = shop.prints("bench compare base new --filter g/slowed --threshold 0.1 --json");
    assert_eq!(lines(&printed), [("g/slowed".into(), "equal".into())]);
}

#[test]
fn baselines_have_names() {
    let shop = Shop::make();
    benchmark(&shop, "results", "g/a", "main", 1000.0);
    benchmark(&shop, "results", "g/a", "new", 1100.0);
    let printed = shop.prints("bench compare results@main results --json");
    assert_eq!(lines(&printed), [("g/a".into(), "slower".into())]);
}

#[test]
fn a_slower_build_fails_where_that_is_asked_for() {
    let shop = two_folders();
    let command = "bench compare base new --markdown table.md --json --fail-on-slower";
    let output = shop.command(command).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("lrem: of the benchmarks, 1 slower") && error.lines().count() == 1);
    assert!(shop.path("table.md").exists());
    shop.prints("bench compare new new --fail-on-slower");
}

#[test]
fn bad_results_are_named() {
    let shop = two_folders();
    let fails = |message: &str| {
        failed(
            shop.command("bench compare base new").output().unwrap(),
            1,
            message,
        );
    };
    let sample = "new/g/same/new/sample.json";
    for (text, message) in [
        (
            "{\"iters\": [1.0",
            "EOF while parsing a list at line 1 column 14; expected {\"iters\": […], \"times\": […]}",
        ),
        (
            "{\"iters\": [], \"times\": []}",
            "0 iteration counts and 0 times; expected as many of both, at least one",
        ),
        (
            "{\"iters\": [1.0], \"times\": []}",
            "1 iteration counts and 0 times; expected as many of both, at least one",
        ),
        (
            "{\"iters\": [2], \"times\": [0]}",
            "a sample with 0; expected counts and nanoseconds above 0",
        ),
        (
            "{\"iters\": [-1], \"times\": [1]}",
            "a sample with -1; expected counts and nanoseconds above 0",
        ),
    ] {
        shop.write(sample, text);
        fails(&format!("{sample}: {message}"));
    }
    fs::remove_file(shop.path(sample)).unwrap();
    fails(&format!(
        "cannot read {sample}: No such file or directory (os error 2)"
    ));

    let shop = two_folders();
    let output = |line: &str| shop.command(line).output().unwrap();
    benchmark(&shop, "new", "other", "new", 1.0);
    let about = shop.text("new/g/same/new/benchmark.json");
    shop.write("new/other/new/benchmark.json", about);
    let message = String::from_utf8(output("bench compare base new").stderr).unwrap();
    let named = message.contains("new/other/new") && message.contains("new/g/same/new");
    assert!(
        named && message.contains("benchmark `g/same` is also in"),
        "{message}"
    );

    let no_file = "No such file or directory (os error 2)";
    failed(
        output("bench compare absent base"),
        1,
        &format!("cannot read absent: {no_file}"),
    );
    fs::create_dir(shop.path("empty")).unwrap();
    for (folder, path, baseline) in [("empty", "empty", "new"), ("base@main", "base", "main")] {
        let message = format!(
            "{path}: no criterion results; expected folders `GROUP/FUNCTION/{baseline}` with a \
             benchmark.json, as `cargo bench` leaves them in target/criterion"
        );
        failed(output(&format!("bench compare {folder} base")), 1, &message);
    }
    let message = "base: no benchmark's name contains `zzz`, nor in BASE";
    failed(output("bench compare base base --filter zzz"), 1, message);
    let message = "base and test.jsonl: expected two criterion folders or two bench executables";
    failed(output("bench compare base test.jsonl"), 1, message);
}

/// A script that lists two benchmarks as criterion does, and "measures" them.
fn executable(shop: &Shop, name: &str, times: [&str; 2]) {
    let script = format!(
        "#!/bin/sh\n\
         case \"$*\" in *--list*) printf 'g/a b: benchmark\\ng/c: benchmark\\n'; exit;; esac\n\
         for id; do :; done\n\
         case $id in *c) time={};; *) time={};; esac\n\
         mkdir -p \"$CRITERION_HOME/x/new\" && cd \"$CRITERION_HOME/x/new\"\n\
         echo \"{{\\\"full_id\\\": \\\"$id\\\", \\\"throughput\\\": null}}\" >benchmark.json\n\
         echo \"{{\\\"iters\\\": [1], \\\"times\\\": [$time]}}\" >sample.json\n",
        times[1], times[0]
    );
    script_at(shop, name, &script);
}

/// An executable file, put there by another process: while this one has it open for writing, a thread
/// that starts a command passes that on, and nobody can run it.
fn script_at(shop: &Shop, name: &str, text: &str) {
    shop.write("script", text);
    let mut install = Command::new("install");
    install
        .args(["-m", "755"])
        .arg(shop.path("script"))
        .arg(shop.path(name));
    assert!(install.status().unwrap().success());
}

#[test]
fn executables_run_in_turns() {
    let shop = Shop::make();
    // The time varies with the process's number by up to 1 %.
    executable(
        &shop,
        "base_exe",
        ["$((1000 + $$ % 10))", "$((1000 + $$ % 10))"],
    );
    executable(
        &shop,
        "new_exe",
        ["$((1050 + $$ % 10))", "$((1000 + $$ % 10))"],
    );
    let printed = succeeded(
        shop.command("bench compare base_exe new_exe --json")
            .output()
            .unwrap(),
    );
    assert_eq!(
        lines(&printed),
        [
            ("g/a b".into(), "slower".into()),
            ("g/c".into(), "equal".into())
        ]
    );
}

#[test]
fn executables_that_are_none_of_criterions_are_named() {
    let shop = Shop::make();
    executable(&shop, "good", ["1000", "1000"]);
    let output = |line: &str| shop.command(line).output().unwrap();
    let path = |name: &str| shop.path(name).canonicalize().unwrap();
    script_at(&shop, "silent", "#!/bin/sh\n");
    script_at(&shop, "angry", "#!/bin/sh\necho no >&2\nexit 3\n");
    shop.write("plain", "text");
    let message = format!(
        "{}: lists no benchmarks; expected a criterion executable, as `cargo bench --no-run` builds",
        path("silent").display()
    );
    failed(output("bench compare good silent"), 1, &message);
    let message = format!(
        "{}: ended with exit status: 3: no; expected a criterion executable",
        path("angry").display()
    );
    failed(output("bench compare angry good"), 1, &message);
    let message = format!(
        "cannot run {}: Permission denied (os error 13)",
        path("plain").display()
    );
    failed(output("bench compare plain good"), 1, &message);
    let message = format!(
        "{}: 5 rounds; 2 benchmarks need 9 or more for their intervals",
        path("good").display()
    );
    failed(output("bench compare good good --rounds 5"), 1, &message);
}

#[test]
fn ops_that_count_bytes_are_on_the_roofline() {
    let shop = Shop::make();
    benchmark(&shop, "results", "g/bytes alone", "new", 1000.0);
    let about = "{\"full_id\": \"g/bytes alone\", \"throughput\": {\"Elements\": 8000}}";
    shop.write("results/g/bytes_alone/new/benchmark.json", about);
    let output = shop.command("bench roofline results").output().unwrap();
    let message = "results: no benchmark whose name contains `` counts bytes; expected \
                   `Throughput::Bytes` or `Throughput::ElementsAndBytes`";
    failed(output, 1, message);
    benchmark(&shop, "results", "g/both", "new", 1000.0);
    let about = "{\"full_id\": \"g/both\", \"throughput\": {\"ElementsAndBytes\": {\"elements\": 8000, \
                 \"bytes\": 4000}}}";
    shop.write("results/g/both/new/benchmark.json", about);
    let printed = shop.prints("bench roofline results --svg plot.svg");
    let rows: Vec<&str> = printed.lines().collect();
    assert!(
        rows[1].starts_with("1  g/both     2.00") && rows[1].contains("8.00"),
        "{printed}"
    );
    assert!(
        rows.len() == 3 && rows[2].contains("GFLOP/s in f32"),
        "{printed}"
    );
    assert!(shop.text("plot.svg").contains("roof in f32"));
}
