//! The demo in small, for a device that computes slowly: a part of the shop, and less work a step.

use crate::cli::Error;
use lrem::data::{Triplet, read_catalogue, read_triplets, write_atomic};
use lrem::recipe::Recipe;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// Optimizer steps of each training.
pub const STEPS: usize = 3;
/// Test queries, training queries and products that are kept.
const QUERIES: usize = 10;
const TRAINED: usize = 40;
const ITEMS: usize = 200;
/// Pairs a step, and lessons beside them.
const PAIRS: usize = 8;
const LESSONS: usize = 2;
/// Of a step of the reinforcement stage: queries, thoughts about each, and items beside theirs.
const REINFORCED: usize = 2;
const ROLLOUTS: usize = 4;
const EXTRA: usize = 6;

/// Cuts the recipes' data and the file of test queries to files in `out`, and the recipes to little work;
/// returns the test queries' file.
///
/// # Errors
/// Where the data cannot be read or the files not be written.
pub fn shorten(recipes: [&mut Recipe; 2], test: &Path, out: &Path) -> Result<PathBuf, Error> {
    let data = recipes[0].data.clone();
    let catalogue = read_catalogue(&data.catalogue)?;
    let tests = of_every_kind(&read_triplets(test, Some(&catalogue))?);
    let all = read_triplets(&data.train, Some(&catalogue))?;
    let apart = (all.len() / TRAINED).max(1);
    let trained: Vec<&Triplet> = all.iter().step_by(apart).take(TRAINED).collect();

    let chosen = tests.iter().chain(trained.iter().copied());
    let mut items: HashSet<&str> = chosen
        .flat_map(|t| t.items.iter().map(String::as_str))
        .collect();
    let others = catalogue.items().iter().map(|item| item.id.as_str());
    let lacking = ITEMS.saturating_sub(items.len());
    let others: Vec<&str> = others
        .filter(|id| !items.contains(id))
        .take(lacking)
        .collect();
    items.extend(others);

    let folder = out.join("data");
    std::fs::create_dir_all(&folder)?;
    let of = |triplets: Vec<&Triplet>| -> HashSet<String> {
        triplets.iter().map(|t| t.id.clone()).collect()
    };
    let items = items.into_iter().map(str::to_string).collect();
    let catalogue = cut(&data.catalogue, &folder.join("catalogue.jsonl"), &items)?;
    let train = cut(&data.train, &folder.join("train.jsonl"), &of(trained))?;
    let queries = cut(
        test,
        &folder.join("test.jsonl"),
        &of(tests.iter().collect()),
    )?;
    for recipe in recipes {
        recipe.data.catalogue.clone_from(&catalogue);
        recipe.data.train.clone_from(&train);
        recipe.train.batch = PAIRS;
        recipe.thought.lessons = recipe.thought.lessons.min(LESSONS);
        if let Some(rl) = &mut recipe.rl {
            rl.queries = REINFORCED;
            rl.rollouts = ROLLOUTS;
            rl.extra_items = EXTRA;
        }
    }
    Ok(queries)
}

/// The first queries of all kinds, in turn.
fn of_every_kind(triplets: &[Triplet]) -> Vec<Triplet> {
    let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
    let mut order: Vec<(usize, usize)> = Vec::new();
    for (at, triplet) in triplets.iter().enumerate() {
        let turn = turns.entry(&triplet.kind).or_default();
        order.push((*turn, at));
        *turn += 1;
    }
    order.sort_unstable();
    let first = order.iter().take(QUERIES);
    first.map(|&(_, at)| triplets[at].clone()).collect()
}

/// Writes the lines of a file whose `id` is in `kept` to another.
fn cut(from: &Path, to: &Path, kept: &HashSet<String>) -> Result<PathBuf, Error> {
    let text = std::fs::read_to_string(from)?;
    let is_kept = |line: &&str| {
        let value: Option<Value> = serde_json::from_str(line).ok();
        let id = value.as_ref().and_then(|value| value["id"].as_str());
        id.is_some_and(|id| kept.contains(id))
    };
    let lines: Vec<&str> = text.lines().filter(is_kept).collect();
    write_atomic(to, |out| writeln!(out, "{}", lines.join("\n")))?;
    Ok(to.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_holds_what_its_queries_need() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, lines: Vec<String>| {
            std::fs::write(folder.path().join(name), lines.join("\n")).unwrap();
        };
        let item = |i: usize| format!(r#"{{"id": "i{i}", "title": "thing {i}", "shelf": {i}}}"#);
        write("catalogue.jsonl", (0..500).map(item).collect());
        // Kinds stand together in the file, and the last items are the relevant ones.
        let query = |i: usize| {
            let (kind, item) = (["plain", "qa", "negative"][i / 100], 499 - i);
            format!(r#"{{"id": "q{i}", "kind": "{kind}", "query": "a {i}", "items": ["i{item}"]}}"#)
        };
        write("train.jsonl", (0..300).map(query).collect());
        write("test.jsonl", (0..300).map(query).collect());
        let mut recipes = [Recipe::default(), Recipe::default()];
        for recipe in &mut recipes {
            recipe.data.catalogue = folder.path().join("catalogue.jsonl");
            recipe.data.train = folder.path().join("train.jsonl");
        }
        let [direct, lrem] = &mut recipes;
        let test = folder.path().join("test.jsonl");
        let queries = shorten([direct, lrem], &test, folder.path()).unwrap();

        let catalogue = read_catalogue(&direct.data.catalogue).unwrap();
        assert_eq!(catalogue.len(), ITEMS);
        let tests = read_triplets(&queries, Some(&catalogue)).unwrap();
        assert_eq!(tests.len(), QUERIES);
        for kind in ["plain", "qa", "negative"] {
            assert!(
                tests.iter().filter(|t| t.kind == kind).count() >= 3,
                "{kind}"
            );
        }
        let trained = read_triplets(&lrem.data.train, Some(&catalogue)).unwrap();
        assert_eq!(trained.len(), TRAINED);
        assert_eq!(direct.train.batch, PAIRS);
        let text = std::fs::read_to_string(&direct.data.catalogue).unwrap();
        assert!(
            text.lines().all(|line| line.contains("shelf")),
            "lines are kept whole"
        );
    }
}
