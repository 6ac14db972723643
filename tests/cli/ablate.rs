//! `lrem ablate`: a small study, again, and studies that cannot be.

use super::trainable::{CURVES, trainable};
use super::{Shop, browser, failed};

const STUDY: &str = r#"
    title = "Small & quick"
    queries = "test.jsonl"
    seeds = [3, 4]
    budgets = [0, 2]
    steps = 2
    baseline = "direct"
    [[method]]
    name = "direct"
    recipe = "direct.toml"
    [[method]]
    name = "cold start"
    recipe = "lrem.toml"
    stage = "cold_start"
    sweep = true
    [[method]]
    name = "with RL"
    recipe = "lrem.toml"
    [[method]]
    name = "random"
    recipe = "lrem.toml"
    thoughts = "random"
    [[method]]
    name = "several"
    recipe = "lrem.toml"
    query = { rollouts = 3, temperature = 1.0, direct = 0.5 }
    [[method]]
    name = "gated"
    recipe = "lrem.toml"
    gates = [0.01, 0, 9]
"#;

fn shop() -> Shop {
    let shop = trainable("direct.toml", "lrem.toml");
    shop.write("study.toml", STUDY);
    shop
}

/// Fields of the row of `results.csv` for a method and budget, by the header's names.
fn result(shop: &Shop, method: &str, budget: &str) -> impl Fn(&str) -> String {
    let text = shop.text("out/results.csv");
    let rows: Vec<Vec<String>> = text
        .lines()
        .map(|line| line.trim_end().split(',').map(String::from).collect())
        .collect();
    let row = rows
        .iter()
        .find(|row| row[0] == method && row[1] == budget)
        .unwrap_or_else(|| panic!("no row {method} {budget} in {text}"))
        .clone();
    let header = rows[0].clone();
    move |name| row[header.iter().position(|h| h == name).expect("a column")].clone()
}

#[test]
fn a_study_runs_once_and_reports() {
    let shop = shop();
    let printed = shop.prints("ablate study.toml --out out");
    // Six methods, one of them at three budgets and one at three gates, with two seeds each.
    let cells = printed.lines().filter(|l| l.contains(" hard queries, "));
    assert_eq!(cells.count(), 10 * 2, "{printed}");
    assert!(printed.ends_with("wrote out/report.html\n"));

    // The numbers are those that `lrem evaluate` measures on the same models.
    for (method, budget, model, options) in [
        ("direct", "0", "direct-3/model", ""),
        ("cold start", "4", "lrem-3/model", ""),
        ("cold start", "2", "lrem-3/model", "--think 2"),
        ("cold start", "0", "lrem-3/model", "--think 0"),
        ("with RL", "4", "lrem-3/rl/model", ""),
        ("random", "4", "lrem-3/rl/model", "--thoughts random"),
        (
            "several",
            "4",
            "lrem-3/rl/model",
            "--rollouts 3 --temperature 1 --direct 0.5",
        ),
    ] {
        let mean = |seed: &str| -> f64 {
            let model = model.replace("-3", &format!("-{seed}"));
            let index = model.replace("/model", "/index");
            let json = shop.prints(&format!(
                "evaluate out/models/{model} out/models/{index} --queries test.jsonl --measures ndcg@10 \
                 --format json {options}"
            ));
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            let groups = json["groups"].as_array().unwrap();
            let hard = groups.iter().find(|g| g["kind"] == "hard").unwrap();
            hard["values"][0].as_f64().unwrap()
        };
        let (three, four) = (mean("3"), mean("4"));
        let field = result(&shop, method, budget);
        let close = |name: &str, expected: f64| {
            let got: f64 = field(name).parse().unwrap();
            assert!(
                (got - expected).abs() < 1e-9,
                "{method} {budget} {name}: {got} {expected}"
            );
        };
        close("nDCG@10 hard mean", (three + four) / 2.0);
        close("nDCG@10 hard sd", (three - four).abs() / 2f64.sqrt());
        assert_eq!(field("seeds"), "3 4");
        assert!(field("p50 ms").parse::<f64>().unwrap() > 0.0);
        assert_eq!(field("p").is_empty(), method == "direct");
    }

    // A cell says what it is of.
    let recipe = shop.text("out/cells/with-RL-4-3/recipe.toml");
    assert!(
        recipe.contains("seed = 3") && recipe.contains("[rl]"),
        "{recipe}"
    );

    // Behind a gate of 0 nothing is thought about, behind a high one everything.
    let nothing = shop.prints(
        "evaluate out/models/lrem-3/rl/model out/models/lrem-3/rl/index --queries test.jsonl \
         --measures ndcg@10 --think 0 --format json --per-query",
    );
    let nothing: serde_json::Value = serde_json::from_str(&nothing).unwrap();
    let of = |cell: &str| -> serde_json::Value {
        let text = shop.text(&format!("out/cells/{cell}/cell.json"));
        serde_json::from_str(&text).unwrap()
    };
    let [shut, some, open] = [
        "gated-4-gate-0-3",
        "gated-4-gate-0.01-3",
        "gated-4-gate-9-3",
    ]
    .map(of);
    let all = of("with-RL-4-3");
    for (id, query) in all["queries"].as_object().unwrap() {
        let of = |cell: &serde_json::Value| cell["queries"][id].clone();
        assert_eq!(of(&shut)["values"][2], nothing["per_query"][id][0]);
        assert!(of(&shut)["thoughts"].as_array().unwrap().is_empty());
        assert_eq!(of(&open), *query);
        assert!(of(&some) == of(&shut) || of(&some) == *query);
    }
    let share = |gate: &str| -> f64 {
        let text = shop.text("out/results.csv");
        let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
        let column = |name| header.iter().position(|h| *h == name).unwrap();
        let mut rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let row = rows.find(|row| row[0] == "gated" && row[column("gate")] == gate);
        row.unwrap()[column("thought about")].parse().unwrap()
    };
    assert_eq!([share("0"), share("9")], [0.0, 1.0]);
    assert!((0.0..=1.0).contains(&share("0.01")));

    let page = shop.text("out/report.html");
    for part in [
        "<h1>Small &amp; quick</h1>",
        "<caption>Methods.",
        "Quality against latency",
        "<h2>Learning curves</h2>",
        "Training: reward",
        "<summary>several</summary>",
        "<td>gated</td><td>4, margin 0.01</td>",
        "<summary>lrem.toml</summary>",
    ] {
        assert!(page.contains(part), "no {part}");
    }
    assert!(!page.contains("NaN"));
    // Nothing is fetched: the only address is SVG's namespace.
    let addresses = page.matches("://").count();
    assert_eq!(
        addresses,
        page.matches("http://www.w3.org/2000/svg").count()
    );
    let plots = [
        "Quality against latency",
        "Quality against the thought's budget",
        "Length of thoughts",
        "Format of thoughts",
    ];
    if let Some(shown) = browser::open(&shop.path("out/report.html")) {
        shown.is_whole(
            &[
                "Methods.",
                "Budgets:",
                "cold start against direct, seed 3:",
                "with RL against direct, seed 3:",
                "random against direct, seed 3:",
                "several against direct, seed 3:",
                "gated against direct, seed 3:",
            ],
            &[&plots[..], &CURVES].concat(),
        );
    }
    assert!(shop.text("out/report.md").contains("| direct | 0 | "));
    for figure in [
        "latency",
        "budgets",
        "lengths",
        "formats",
        "training-info_nce",
    ] {
        let svg = shop.text(&format!("out/figures/{figure}.svg"));
        assert!(page.contains(&svg), "{figure} is not the page's");
    }
    // Ten queries a cell.
    assert_eq!(
        shop.text("out/queries.csv").lines().count(),
        1 + 10 * 2 * 10
    );

    // Nothing is made again, and what changed is.
    let again = shop.prints("ablate study.toml --out out");
    assert!(!again.contains(" hard queries, "), "{again}");
    assert_eq!(shop.text("out/report.html"), page);
    // The report needs results alone: models, which are large, may be gone.
    let aside = |from: &str, to: &str| std::fs::rename(shop.path(from), shop.path(to)).unwrap();
    let models: Vec<String> = [3, 4]
        .iter()
        .flat_map(|seed| {
            [
                format!("direct-{seed}"),
                format!("lrem-{seed}"),
                format!("lrem-{seed}/rl"),
            ]
        })
        .collect();
    for (at, unit) in models.iter().enumerate() {
        aside(&format!("out/models/{unit}/model"), &format!("model-{at}"));
    }
    let report_only = "ablate study.toml --out out --report-only";
    assert_eq!(shop.prints(report_only), "wrote out/report.html\n");
    assert_eq!(shop.text("out/report.html"), page);
    for (at, unit) in models.iter().enumerate() {
        aside(&format!("model-{at}"), &format!("out/models/{unit}/model"));
    }
    let study = STUDY.replace("direct = 0.5", "direct = 0.25");
    shop.write("study.toml", study.replace("0, 9]", "0, 9, 0.5]"));
    let changed = shop.prints("ablate study.toml --out out");
    let cells: Vec<&str> = changed
        .lines()
        .filter(|l| l.contains(" hard queries, "))
        .collect();
    assert_eq!(cells.len(), 4, "{changed}");
    for seed in 0..2 {
        assert!(cells[2 * seed].starts_with("several budget 4 seed "));
        assert!(cells[2 * seed + 1].starts_with("gated budget 4 gate 0.5 seed "));
    }
}

#[test]
fn studies_that_cannot_be() {
    let shop = shop();
    for (from, to, message) in [
        (
            "baseline = \"direct\"",
            "baseline = \"best\"",
            "study.toml: baseline: `best` is not a method; expected the name of one",
        ),
        (
            "name = \"random\"",
            "name = \"direct\"",
            "study.toml: method.name: `direct` and `direct`; expected names with different letters and digits",
        ),
        (
            "seeds = [3, 4]",
            "seeds = []",
            "study.toml: seeds: expected at least one",
        ),
        (
            "queries = \"test.jsonl\"",
            "queries = \"train.jsonl\"",
            "direct.toml: 10 of the queries in train.jsonl are in train.jsonl: test query `t0` is training \
             query `t0`; expected none",
        ),
        (
            "gates = [0.01, 0, 9]",
            "gates = [0.01, -1]",
            "study.toml: method.gates: `gated`: expected numbers of at least 0",
        ),
        (
            "gates = [0.01, 0, 9]",
            "gates = [0.01, 0.01]",
            "study.toml: method.gates: `gated`: expected each number once",
        ),
        (
            "gates = [0.01, 0, 9]",
            "gates = [1]\nsweep = true",
            "study.toml: method.gates: `gated`: expected own thoughts and no sweep beside gates",
        ),
        (
            "name = \"direct\"",
            "name = \"direct\"\ngates = [1]",
            "study.toml: method.gates: `direct` has no thoughts to be spared; expected a budget above 0",
        ),
        (
            "recipe = \"direct.toml\"",
            "recipe = \"absent.toml\"",
            "absent.toml: No such file or directory (os error 2)",
        ),
    ] {
        shop.write("study.toml", STUDY.replace(from, to));
        let output = shop
            .command("ablate study.toml --out out")
            .output()
            .unwrap();
        failed(output, 1, message);
        assert!(!shop.path("out").exists(), "{message}");
    }
}
