//! Query rewriting: thoughts as text of the query, in a study, an evaluation and a search.

use super::trainable::trainable;
use super::{Shop, failed};
use serde_json::Value;
use std::collections::BTreeMap;

const STUDY: &str = r#"
    title = "Rewriting"
    queries = "test.jsonl"
    seeds = [3]
    steps = 2
    baseline = "direct"
    [[method]]
    name = "direct"
    recipe = "direct.toml"
    [[method]]
    name = "rewriting"
    recipe = "direct.toml"
    rewriter = { recipe = "lrem.toml", stage = "cold_start" }
    [[method]]
    name = "the teacher's"
    recipe = "direct.toml"
    rewriter = { thoughts = "gold" }
"#;

/// What embeds, its index, and what rewrites.
const EMBEDS: &str = "out/models/direct-3/model out/models/direct-3/index";
const REWRITES: &str = "out/models/lrem-3/model";

fn shop() -> Shop {
    let shop = trainable("direct.toml", "lrem.toml");
    shop.write("study.toml", STUDY);
    shop
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Methods that were measured.
fn measured(printed: &str) -> Vec<&str> {
    let lines = printed.lines().filter(|l| l.contains(" hard queries, "));
    lines.map(|l| l.split(" budget").next().unwrap()).collect()
}

/// What `lrem search` prints as thoughts, by query.
fn thoughts(printed: &str) -> BTreeMap<String, String> {
    let block = |block: &str| {
        let mut lines = block.lines();
        let id = lines.next().unwrap().split_once(": ").unwrap().0;
        let thought = lines.next().unwrap().strip_prefix("thought: ").unwrap();
        let text = thought.rsplit_once(" (").unwrap().0;
        (id.to_string(), text.to_string())
    };
    printed.trim_end().split("\n\n").map(block).collect()
}

/// The run of the test queries, each rewritten by hand with the thought that `thought` has for its line.
fn by_hand(shop: &Shop, thought: impl Fn(&Value) -> String) -> String {
    let rewrite = |line: &str| {
        let mut triplet = json(line);
        let query = triplet["query"].as_str().unwrap();
        let text = format!("{query} {}", thought(&triplet));
        triplet["query"] = text.trim_end().into();
        format!("{triplet}\n")
    };
    let text: String = shop.text("test.jsonl").lines().map(rewrite).collect();
    shop.write("by-hand.jsonl", text);
    shop.prints(&format!(
        "evaluate {EMBEDS} --queries by-hand.jsonl --run by-hand --measures hit@100"
    ));
    shop.text("by-hand")
}

#[test]
fn queries_are_embedded_with_the_other_models_thoughts() {
    let shop = shop();
    let printed = shop.prints("ablate study.toml --out out");
    assert_eq!(
        measured(&printed),
        ["direct", "the teacher's", "rewriting"],
        "{printed}"
    );

    // The thoughts are those that the rewriting model thinks where it embeds by itself.
    shop.prints(&format!(
        "index {REWRITES} --input catalogue.jsonl --out own"
    ));
    let own = thoughts(&shop.prints(&format!("search {REWRITES} own --queries test.jsonl")));
    let cell = json(&shop.text("out/cells/rewriting-4-3/cell.json"));
    assert_eq!(cell["budget"], 4);
    assert_eq!(own.len(), 10);
    assert!(own.values().any(|thought| !thought.is_empty()), "{own:?}");
    for (id, thought) in &own {
        assert_eq!(
            cell["queries"][id]["thoughts"],
            Value::from([thought.as_str()])
        );
    }
    assert!(cell["latency"]["p50"].as_f64().unwrap() > 0.0);
    assert!(shop.text("out/report.md").contains("| rewriting | 4 | "));

    // What is found is what the queries find with these thoughts as text.
    let rewritten = by_hand(&shop, |t| own[t["id"].as_str().unwrap()].clone());
    assert_eq!(shop.text("out/cells/rewriting-4-3/run"), rewritten);
    assert!(shop.text("out/cells/direct-0-3/run") != rewritten);
    for command in ["evaluate", "search"] {
        let depth = match command {
            "search" => "--top 100",
            _ => "--measures hit@100",
        };
        shop.prints(&format!(
            "{command} {EMBEDS} --queries test.jsonl --run run --rewriter {REWRITES} {depth}"
        ));
        assert_eq!(shop.text("run"), rewritten, "{command}");
    }
    let gold = by_hand(&shop, |t| t["cot"].as_str().unwrap().to_string());
    assert_eq!(shop.text("out/cells/the-teacher-s-0-3/run"), gold);
    let cell = json(&shop.text("out/cells/the-teacher-s-0-3/cell.json"));
    let query = &cell["queries"]["q0"];
    assert_eq!(query["thoughts"], json(r#"["red tea"]"#));
    assert_eq!(query["tokens"], json("[2]"));
    assert_eq!(query["query"], "red steel");

    // Another rewriting model: what it rewrites is measured again, and nothing else.
    assert!(measured(&shop.prints("ablate study.toml --out out")).is_empty());
    let recipe = shop.text("lrem.toml").replace("1e-3", "2e-3");
    shop.write("lrem.toml", recipe);
    let printed = shop.prints("ablate study.toml --out out");
    assert_eq!(measured(&printed), ["rewriting"], "{printed}");
}

#[test]
fn one_query_and_the_prompt_say_what_the_file_says() {
    let shop = Shop::make();
    shop.model("writes", "emb", "get");
    shop.prints("index model --input catalogue.jsonl --out shop");
    let queries = ["red tea", "blue kettle", "tea kettle steel", "mug oak"];
    shop.write("q.txt", queries.join("\n"));
    let common = [
        "search",
        "model",
        "shop",
        "--rewriter",
        "writes",
        "--think",
        "3",
    ];
    let singles = shop.searched(&common, queries);
    // The budget is the rewriting model's, whose thoughts are shown.
    let own = "search writes own --think 3 --queries q.txt";
    shop.prints("index writes --input catalogue.jsonl --out own");
    let own = thoughts(&shop.prints(own));
    for (n, single) in singles.iter().enumerate() {
        let thought = format!("thought: {} (", own[&(n + 1).to_string()]);
        assert!(single.starts_with(&thought), "{single} {thought}");
    }
}

#[test]
fn rewriters_that_cannot_be() {
    let shop = shop();
    let leaky = shop.text("lrem.toml").replace("train.jsonl", "test.jsonl");
    shop.write("leaky.toml", leaky);
    let rewriter = "recipe = \"direct.toml\"\n    rewriter = { recipe = \"lrem.toml\"";
    for (from, to, message) in [
        (
            rewriter,
            "recipe = \"lrem.toml\"\n    rewriter = { recipe = \"lrem.toml\"",
            "study.toml: method.recipe: `rewriting` embeds rewritten queries, but the model of lrem.toml \
             thinks itself; expected one that does not",
        ),
        (
            rewriter,
            "recipe = \"direct.toml\"\n    rewriter = { recipe = \"direct.toml\"",
            "study.toml: method.rewriter.recipe: `rewriting`: the model of direct.toml does not think; \
             expected one that does",
        ),
        (
            "rewriter = { recipe = \"lrem.toml\"",
            "rewriter = { recipe = \"leaky.toml\"",
            "leaky.toml: 10 of the queries in test.jsonl are in test.jsonl: test query `q0` is training \
             query `q0`; expected none",
        ),
    ] {
        assert!(STUDY.contains(from), "{from}");
        shop.write("study.toml", STUDY.replace(from, to));
        let output = shop.command("ablate study.toml --out out").output();
        failed(output.unwrap(), 1, message);
        assert!(!shop.path("out").exists(), "{message}");
    }

    shop.prints("index model --input catalogue.jsonl --out shop");
    let search = "search model shop --query tea --rewriter";
    for (line, message) in [
        (
            format!("{search} model --think 0"),
            "--rewriter: model thinks 0 tokens; expected a model that thinks, or --think of at least 1",
        ),
        (
            format!("{search} absent"),
            "absent: No such file or directory (os error 2)",
        ),
    ] {
        failed(shop.command(&line).output().unwrap(), 1, message);
    }
}
