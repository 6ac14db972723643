//! `lrem ablate --jobs`: trainings beside each other.

use super::trainable::trainable;
use super::{Shop, succeeded};
use std::fs;

const STUDY: &str = r#"
    title = "Side by side"
    queries = "test.jsonl"
    seeds = [3, 4]
    steps = 2
    baseline = "direct"
    [[method]]
    name = "direct"
    recipe = "direct.toml"
    [[method]]
    name = "with RL"
    recipe = "lrem.toml"
"#;
const MODELS: [&str; 4] = ["direct-3", "direct-4", "lrem-3/rl", "lrem-4/rl"];

fn shop() -> Shop {
    let shop = trainable("direct.toml", "lrem.toml");
    shop.write("study.toml", STUDY);
    shop
}

#[test]
fn they_give_what_they_give_one_by_one() {
    let shop = shop();
    shop.prints("ablate study.toml --out one");
    let printed = shop.prints("ablate study.toml --out beside --jobs 3");
    let begun = printed.lines().filter(|line| line.contains(": training, "));
    assert_eq!(begun.count(), 4, "{printed}");
    for model in MODELS {
        let weights = |out: &str| {
            let path = format!("{out}/models/{model}/model/model.safetensors");
            fs::read(shop.path(&path)).unwrap()
        };
        assert!(weights("one") == weights("beside"), "{model}");
    }
    let quality = |out: &str| -> Vec<String> {
        let rows = shop.text(&format!("{out}/queries.csv"));
        rows.lines().map(str::to_string).collect()
    };
    assert_eq!(quality("one"), quality("beside"));
    // What is there is not trained again, checkpoints are gone, and one log a training is kept.
    let again = shop.prints("ablate study.toml --out beside --jobs 3");
    assert!(!again.contains(": training, "), "{again}");
    for unit in ["direct-3", "lrem-4"] {
        let folder = fs::read_dir(shop.path(&format!("beside/models/{unit}"))).unwrap();
        let names: Vec<String> = folder
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(
            !names.iter().any(|name| name.starts_with("checkpoint")),
            "{names:?}"
        );
        assert!(names.iter().any(|name| name == "train.log"), "{names:?}");
    }
}

#[test]
fn one_that_fails_is_named_and_the_others_are_kept() {
    let shop = shop();
    let recipe = shop.text("direct.toml");
    let broken = recipe.replace("base = \"model\"", "base = \"absent\"");
    assert_ne!(broken, recipe);
    shop.write("direct.toml", &broken);
    let output = shop
        .command("ablate study.toml --out out --jobs 4")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("lrem: direct seed "), "{said}");
    assert!(said.ends_with("train.log says why\n"), "{said}");
    let log = shop.text("out/models/direct-3/train.log");
    assert!(log.contains("absent"), "{log}");
    shop.write("direct.toml", recipe);
    let again = succeeded(
        shop.command("ablate study.toml --out out")
            .output()
            .unwrap(),
    );
    assert!(again.contains("lrem seed 4: "), "{again}");
    assert!(again.contains("model is there"), "{again}");
}
