//! A shop with recipes that train its model in no time.

use super::Shop;

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
    train = "train.jsonl"
    [train]
    batch = 4
    learning_rate = 1e-3
"#;

const DIRECT: &str = r#"
    [loss]
    sft = 0.0
    [thought]
    mix = { gold = 0.0, direct = 1.0 }
"#;

const THINKS: &str = r#"
    [thought]
    budget = 4
    [rl]
    queries = 2
    rollouts = 2
"#;

/// Titles of a report's learning curves of both.
pub const CURVES: [&str; 11] = [
    "Training: info_nce",
    "Training: accuracy",
    "Training: sft_per_token",
    "Training: reward",
    "Training: rewards.format",
    "Training: rewards.length",
    "Training: rewards.rank",
    "Training: thought_length",
    "Training: format_rate",
    "Training: entropy",
    "Training: clip_fraction",
];

/// The shop with `train.jsonl`, other queries than the test's about the same items, and recipes of the names
/// `direct` (no thoughts) and `lrem` (both stages).
pub fn trainable(direct: &str, lrem: &str) -> Shop {
    let shop = Shop::make();
    let line = |line: &str| {
        let text = line.replace("\"query\": \"", "\"query\": \"tea ");
        text.replacen("\"id\": \"q", "\"id\": \"t", 1) + "\n"
    };
    let train: String = shop.text("test.jsonl").lines().map(line).collect();
    shop.write("train.jsonl", train);
    for (name, rest) in [(direct, DIRECT), (lrem, THINKS)] {
        std::fs::create_dir_all(shop.path(name).parent().unwrap()).unwrap();
        shop.write(name, format!("{RECIPE}{rest}"));
    }
    shop
}
