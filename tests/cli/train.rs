//! `lrem train`: both stages by one recipe, or the second from an earlier model.

use super::{Shop, failed};

const RECIPE: &str = r#"
    [model]
    base = "model"
    context = 64
    [prompt]
    query_prefix = "find query"
    query_suffix = "?"
    item_prefix = "find item"
    item_suffix = "!"
    [data]
    catalogue = "catalogue.jsonl"
    train = "test.jsonl"
    [train]
    batch = 4
    steps = 2
    [thought]
    budget = 4
"#;

const RL: &str = r#"
    [rl]
    train = "pairs.jsonl"
    steps = 2
    queries = 2
    rollouts = 2
"#;

/// A shop with a recipe of both stages, the second over pairs without thoughts.
fn shop() -> Shop {
    let shop = Shop::make();
    shop.write("recipe.toml", format!("{RECIPE}{RL}"));
    let pairs: String = shop
        .text("test.jsonl")
        .lines()
        .map(|line| {
            let mut pair: serde_json::Value = serde_json::from_str(line).unwrap();
            pair.as_object_mut().unwrap().remove("cot");
            format!("{pair}\n")
        })
        .collect();
    shop.write("pairs.jsonl", pairs);
    shop
}

#[test]
fn one_recipe_runs_both_stages() {
    let shop = shop();
    let said = shop.prints("train recipe.toml --out run");
    assert_eq!(said, "trained model in run/rl/model\n");
    for file in [
        "run/metrics.jsonl",
        "run/rl/metrics.jsonl",
        "run/rl/thoughts.jsonl",
    ] {
        assert_eq!(shop.text(file).lines().count(), 2, "{file}");
    }
    assert_ne!(
        shop.read("run/model/model.safetensors"),
        shop.read("run/rl/model/model.safetensors")
    );
    shop.prints("index run/rl/model --input catalogue.jsonl --out index");
    let found = shop.prints("search run/rl/model index --query tea --top 3");
    assert!(found.starts_with("thought: "), "{found}");
    // The second stage from the first one's model is the same as in one go.
    let said = shop.prints("train recipe.toml --out again --from run/model");
    assert_eq!(said, "trained model in again/rl/model\n");
    assert_eq!(
        shop.read("again/rl/model/model.safetensors"),
        shop.read("run/rl/model/model.safetensors")
    );
    assert!(!shop.path("again/model").exists());
}

#[test]
fn a_share_of_the_queries_is_kept_from_the_first_stage() {
    let shop = shop();
    let recipe = RECIPE
        .replace("batch = 4", "batch = 1")
        .replace("steps = 2", "epochs = 1.0");
    shop.write("all.toml", format!("{recipe}{RL}"));
    let rl = RL.replace("train = \"pairs.jsonl\"", "share = 0.5");
    shop.write("parted.toml", format!("{recipe}{rl}"));
    let [all, parted] = ["all", "parted"].map(|run| {
        shop.prints(&format!("train {run}.toml --out {run}"));
        shop.text(&format!("{run}/metrics.jsonl")).lines().count()
    });
    assert!(0 < parted && parted < all, "{parted} of {all} pairs");
}

#[test]
fn what_does_not_fit_is_one_line() {
    let shop = shop();
    let fails = |line: &str, message: &str| {
        failed(shop.command(line).output().unwrap(), 1, message);
    };
    shop.write("cold.toml", RECIPE);
    fails(
        "train cold.toml --out run --from model",
        "cold.toml: --from needs a recipe with a table [rl]",
    );
    shop.write("pairs.toml", RECIPE.replace("test.jsonl", "pairs.jsonl"));
    fails(
        "train pairs.toml --out run",
        "triplet q0: no thought (`cot`) to learn",
    );
    shop.write(
        "grades.jsonl",
        r#"{"id": "a", "query": "tea", "items": ["i1"], "grades": [1, 2]}"#,
    );
    let recipe = format!("{RECIPE}{RL}").replace("pairs.jsonl", "grades.jsonl");
    shop.write("grades.toml", recipe);
    fails(
        "train grades.toml --out run --from model",
        "grades.jsonl:1: `grades` has 2 numbers; expected one for each of the 1 items",
    );
    assert!(!shop.path("run").join("rl").join("model").exists());
}
