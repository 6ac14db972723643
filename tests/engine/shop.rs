//! A tiny model in a tiny shop, and runs over them.

use crate::tiny;
use lrem::device::Device;
use lrem::device::cpu::{Cpu, Multiply};
use lrem::recipe::{Precision, Recipe};
use lrem::train::{TrainError, Training};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tempfile::{TempDir, tempdir};

/// A folder with a model and a shop of twelve products in which letters stand for products.
pub fn shop() -> TempDir {
    let folder = tempdir().unwrap();
    let base = folder.path().join("base");
    fs::create_dir(&base).unwrap();
    tiny::write(&base, 1);
    let (mut catalogue, mut triplets) = (String::new(), String::new());
    for i in 0..12u8 {
        let letter = char::from(b'a' + i);
        catalogue += &format!(r#"{{"id": "P{i}", "title": "{letter}{letter} ware"}}"#);
        triplets += &format!(
            r#"{{"id": "Q{i}", "query": "buy {letter}", "kind": "plain", "cot": "{letter}{letter}", "items": ["P{i}"]}}"#
        );
        catalogue.push('\n');
        triplets.push('\n');
    }
    fs::write(folder.path().join("catalogue.jsonl"), catalogue).unwrap();
    fs::write(folder.path().join("train.jsonl"), triplets).unwrap();
    folder
}

pub fn recipe(shop: &Path, more: &str) -> Recipe {
    let text = format!(
        r#"
        [model]
        base = "{0}/base"
        context = 64
        [data]
        catalogue = "{0}/catalogue.jsonl"
        train = "{0}/train.jsonl"
        [prompt]
        query_prefix = "Query: "
        query_suffix = " ->"
        item_prefix = "Item: "
        item_suffix = "."
        {more}"#,
        shop.display()
    );
    Recipe::parse(Path::new("recipe.toml"), &text).unwrap()
}

/// Trains in f32 products, or in the recipe's where the processor has them.
pub fn run(recipe: &Recipe, out: &Path, resume: bool, stop: bool) -> Result<PathBuf, TrainError> {
    let device = Cpu::new(match recipe.train.precision {
        Precision::F32 => Multiply::F32,
        Precision::Bf16 => Multiply::Bf16,
    });
    run_on(Arc::new(device), recipe, out, resume, stop)
}

pub fn run_on<D: Device>(
    device: Arc<D>,
    recipe: &Recipe,
    out: &Path,
    resume: bool,
    stop: bool,
) -> Result<PathBuf, TrainError> {
    let training = Training {
        device,
        recipe,
        folder: out,
        resume,
        from: None,
        stop: &AtomicBool::new(stop),
        label: "test",
    };
    training.run()
}

/// The lines of `metrics.jsonl` without the time they took.
pub fn metrics(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        for time in [
            "seconds",
            "drawing_seconds",
            "rollouts_per_second",
            "tokens_per_second",
        ] {
            value.as_object_mut().unwrap().remove(time);
        }
        value
    };
    text.lines().map(line).collect()
}

pub fn weights(out: &Path) -> Vec<u8> {
    fs::read(out.join("model/model.safetensors")).unwrap()
}
