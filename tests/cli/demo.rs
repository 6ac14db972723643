//! `lrem demo`, with a small model and shop where it looks for its own.

use super::trainable::{CURVES, trainable};
use super::{Shop, browser, failed};

const METHODS: [(&str, &str, &str); 4] = [
    ("untrained", "model", "untrained/index"),
    ("direct", "out/direct/model", "direct/index"),
    ("LREM cold start", "out/lrem/model", "lrem/index"),
    ("LREM + RL", "out/lrem/rl/model", "lrem/rl/index"),
];

fn shop() -> Shop {
    let shop = trainable("recipes/direct.toml", "recipes/shop.toml");
    std::fs::create_dir_all(shop.path("data/shop")).unwrap();
    shop.write("data/shop/test.jsonl", shop.text("test.jsonl"));
    shop
}

/// nDCG@10 on hard queries by `lrem evaluate`.
fn evaluated(shop: &Shop, model: &str, index: &str, thinks: bool) -> f64 {
    let think = if thinks { "" } else { "--think 0" };
    let json = shop.prints(&format!(
        "evaluate {model} out/{index} --queries test.jsonl --measures ndcg@10 --format json {think}"
    ));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let groups = json["groups"].as_array().unwrap();
    let hard = groups.iter().find(|g| g["kind"] == "hard").unwrap();
    hard["values"][0].as_f64().unwrap()
}

#[test]
fn a_table_examples_and_a_report() {
    let shop = shop();
    let demo = "demo --steps 2 --out out";
    let printed = shop.prints(demo);
    let lines: Vec<&str> = printed.lines().collect();
    let said = |start: &str| lines.iter().position(|line| line.starts_with(start));
    assert_eq!(
        lines[0],
        "base model model; 30 products, 10 test queries; 2 steps of 4 query-product pairs"
    );
    let header = said("kind ").expect("a table");
    let example = said("qa: blue cotton").expect("an example");
    assert!(lines[example + 1].starts_with("  <think> "), "{printed}");
    assert!(lines[example + 2].contains(" 1. "), "{printed}");
    let end = [
        "wrote out/report.html",
        "Search it yourself: target/release/lrem search out/lrem/rl/model out/lrem/rl/index --titles \
         catalogue.jsonl",
    ];
    assert_eq!(lines[lines.len() - 2..], end);

    // What is printed and reported is what `lrem evaluate` measures.
    let hard = said("hard ").expect("hard queries");
    let shown: Vec<&str> = lines[hard + 2].split_whitespace().collect();
    assert_eq!(shown[0], "nDCG@10");
    let csv = shop.text("out/results.csv");
    for (at, (name, model, index)) in METHODS.into_iter().enumerate() {
        assert!(lines[header].contains(name), "{printed}");
        let expected = evaluated(&shop, model, index, name.starts_with("LREM"));
        assert_eq!(shown[at + 1], format!("{expected:.4}"), "{name}");
        let row = csv.lines().find(|row| row.starts_with(&format!("{name},")));
        let row: Vec<&str> = row.unwrap().split(',').collect();
        let column = csv.split(',').position(|c| c == "nDCG@10 hard mean");
        let value: f64 = row[column.unwrap()].parse().unwrap();
        assert!(
            (value - expected).abs() < 1e-9,
            "{name}: {value} {expected}"
        );
    }
    // Ten queries a method.
    assert_eq!(shop.text("out/queries.csv").lines().count(), 1 + 4 * 10);

    let page = shop.text("out/report.html");
    for part in [
        "<h1>The bundled shop, 2 steps a training</h1>",
        "Made by `lrem demo --out out --steps 2 --device cpu`",
        "<summary>recipes/direct.toml</summary>",
        "<summary>recipes/shop.toml</summary>",
    ] {
        assert!(page.contains(part), "no {part}");
    }
    let plots = [
        "Quality against latency",
        "Length of thoughts",
        "Format of thoughts",
    ];
    if let Some(shown) = browser::open(&shop.path("out/report.html")) {
        shown.is_whole(
            &[
                "Methods.",
                "Budgets: quality and time of a query, warm, at batch 1 (ms; 10 queries)",
                "untrained against direct, seed 0:",
                "LREM cold start against direct, seed 0:",
                "LREM + RL against direct, seed 0:",
            ],
            &[&plots[..], &CURVES].concat(),
        );
    }
    again(&shop, demo, &printed, &page);
}

/// A second run measures nothing that is there and of the same: times, which never repeat, are the first's.
fn again(shop: &Shop, demo: &str, printed: &str, page: &str) {
    let rest = |printed: &str| printed[printed.find("\nkind ").unwrap()..].to_string();
    let reused = shop.prints(demo);
    assert!(reused.contains("lrem: out/lrem/rl/model is there\n"));
    assert_eq!(rest(&reused), rest(printed));
    assert_eq!(shop.text("out/report.html"), page);

    // What was found is gone, or the model thinks less: measured again.
    let cells = ["untrained", "direct", "lrem", "lrem/rl"];
    let cells = || cells.map(|cell| shop.text(&format!("out/cells/{cell}/cell.json")));
    let before = cells();
    std::fs::remove_file(shop.path("out/cells/direct/run")).unwrap();
    let settings = "out/lrem/rl/model/lrem.json";
    let text = shop.text(settings);
    let spare = text.replace("\"budget\": 4", "\"budget\": 1");
    assert_ne!(spare, text);
    shop.write(settings, spare);
    let changed = shop.prints(demo);
    let same: Vec<bool> = cells().iter().zip(&before).map(|(a, b)| a == b).collect();
    assert_eq!(same, [true, false, true, false], "{changed}");
    assert!(shop.text("out/results.csv").contains("\nLREM + RL,1,"));
}

#[test]
fn demos_that_cannot_be() {
    let shop = shop();
    std::fs::create_dir_all(shop.path("out")).unwrap();
    shop.write("out/steps", "many\n");
    let run = |line: &str| shop.command(line).output().unwrap();
    let message = "out/steps: `many` is not a number of steps";
    failed(run("demo --out out"), 1, message);
    std::fs::rename(shop.path("model"), shop.path("gone")).unwrap();
    let message = "model is missing; `make setup` fetches the base model";
    failed(run("demo --out out"), 1, message);
}
