//! Whole runs on a tiny model and a tiny shop: learning, stopping, going on, and refusing.

use crate::common::{gpu_bf16, gpu_f32};
use crate::gpu::{cpu, on};
use crate::shop::{metrics, recipe, run, run_on, shop, weights};
use lrem::device::Device;
use lrem::recipe::Recipe;
use lrem::train::TrainError;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// Own thoughts about queries whose gold ones are withheld, mined negatives, two phases and parts smaller than a batch, all in nine steps.
const EVERYTHING: &str = r#"
    [train]
    batch = 4
    micro_batch = 3
    steps = 9
    learning_rate = 3e-3
    precision = "f32"
    checkpoint_every = 4
    [thought]
    budget = 3
    refresh = 2
    draws = 2
    withheld = 0.4
    mix = { gold = 1.0, own = 1.0, empty = 0.5, query = 0.5, direct = 0.5 }
    [negatives]
    per_pair = 1
    depth = 3
    refresh = 3
    [[phase]]
    from = 0.0
    info_nce = 0.0
    [[phase]]
    from = 0.3
    info_nce = 1.0
    sft = 0.2"#;

#[test]
fn a_run_stopped_after_every_step_equals_the_uninterrupted_one() {
    let shop = shop();
    let recipe = recipe(shop.path(), EVERYTHING);
    let (whole, pieces) = (shop.path().join("whole"), shop.path().join("pieces"));
    run(&recipe, &whole, false, false).unwrap();
    for step in 1..9 {
        let stopped = run(&recipe, &pieces, true, true);
        let Err(TrainError::Interrupted { step: at }) = stopped else {
            panic!("step {step}: {stopped:?}");
        };
        assert_eq!(at, step);
        // What a killed run may leave behind: a half-written checkpoint, and lines of later steps.
        fs::create_dir_all(pieces.join(format!("checkpoint-{}.partial", step + 1))).unwrap();
        let mut log = fs::read_to_string(pieces.join("metrics.jsonl")).unwrap();
        log += &format!("{{\"step\": {}, \"loss\": 1}}\n{{\"st", step + 1);
        fs::write(pieces.join("metrics.jsonl"), log).unwrap();
    }
    run(&recipe, &pieces, true, true).unwrap();
    assert_eq!(metrics(&pieces), metrics(&whole));
    assert!(weights(&pieces) == weights(&whole), "the models differ");
    assert_eq!(metrics(&whole).len(), 9);
}

#[test]
fn a_finished_run_resumes_to_nothing_new() {
    let shop = shop();
    let recipe = recipe(shop.path(), EVERYTHING);
    let out = shop.path().join("out");
    run(&recipe, &out, false, false).unwrap();
    let (log, model) = (metrics(&out), weights(&out));
    run(&recipe, &out, true, false).unwrap();
    assert_eq!(metrics(&out), log);
    assert!(weights(&out) == model);
}

#[test]
fn it_learns_to_find_and_to_think() {
    let shop = shop();
    let recipe = recipe(
        shop.path(),
        r#"
        [train]
        batch = 12
        micro_batch = 12
        steps = 150
        learning_rate = 1e-2
        precision = "f32"
        [loss]
        sft = 0.3
        temperature = 0.1"#,
    );
    let out = shop.path().join("out");
    run(&recipe, &out, false, false).unwrap();
    let log = metrics(&out);
    assert!(number(&log[0], "accuracy") < 0.9, "{}", log[0]);
    assert_eq!(number(&log[149], "accuracy"), 1.0, "{}", log[149]);
    assert!(number(&log[149], "sft_per_token") < 0.3, "{}", log[149]);
}

/// What a step's line of metrics says.
fn number(line: &Value, field: &str) -> f64 {
    line[field].as_f64().unwrap()
}

/// InfoNCE and the loss a token of a run's steps.
fn curve<D: Device>(device: Arc<D>, recipe: &Recipe, out: &Path) -> Vec<[f64; 2]> {
    run_on(device, recipe, out, false, false).unwrap();
    let steps = metrics(out);
    let curve = steps
        .iter()
        .map(|line| ["info_nce", "sft_per_token"].map(|field| number(line, field)));
    curve.collect()
}

/// The same recipe has the same losses, step after step, of which the first are 2.3 and 11 and the last 0.05 and 0.9: with
/// products in bf16 as well, masters being in f32.
#[test]
fn a_gpu_has_the_loss_curve_of_the_cpu() {
    let shop = shop();
    let recipe = recipe(
        shop.path(),
        r#"
        [train]
        batch = 12
        micro_batch = 6
        steps = 40
        learning_rate = 5e-3
        precision = "f32"
        [loss]
        sft = 0.3
        temperature = 0.1"#,
    );
    let want = curve(cpu(), &recipe, &shop.path().join("cpu"));
    let far = |got: &[[f64; 2]]| {
        assert_eq!(got.len(), want.len());
        let pairs = got.iter().flatten().zip(want.iter().flatten());
        pairs
            .map(|(got, want)| (got - want).abs())
            .fold(0.0, f64::max)
    };
    assert!(want[0][0] > 2.0 && want[39][0] < 0.1, "{want:?}");
    if let Some(gpu) = on(gpu_f32()) {
        let far = far(&curve(gpu, &recipe, &shop.path().join("f32")));
        assert!(far < 1e-4, "{far:e}");
    }
    if let Some(gpu) = on(gpu_bf16()) {
        let far = far(&curve(gpu, &recipe, &shop.path().join("bf16")));
        assert!(far < 0.1, "{far}");
    }
}

#[test]
fn checkpoints_that_do_not_fit_are_refused() {
    let shop = shop();
    let first = recipe(shop.path(), EVERYTHING);
    let out = shop.path().join("out");
    run(&first, &out, false, true).unwrap_err();
    let message = |recipe: &Recipe| run(recipe, &out, true, false).unwrap_err().to_string();

    let mut other = first.clone();
    other.train.learning_rate = 1e-4;
    let json = out.join("checkpoint-1/state.json");
    assert_eq!(
        message(&other),
        format!(
            "{}: was made by another recipe; use its recipe, or another output folder",
            json.display()
        )
    );
    let tensors = out.join("checkpoint-1/state.safetensors");
    let bytes = fs::read(&tensors).unwrap();
    fs::write(&tensors, &bytes[..bytes.len() / 2]).unwrap();
    assert!(message(&first).starts_with(&format!("{}: ", tensors.display())));
    fs::write(&json, "{}").unwrap();
    assert!(message(&first).starts_with(&format!("{}: missing field", json.display())));
}

#[test]
fn a_full_disk_keeps_the_last_checkpoint() {
    let shop = shop();
    let recipe = recipe(shop.path(), EVERYTHING);
    let out = shop.path().join("out");
    run(&recipe, &out, false, true).unwrap_err();
    let file = shop.path().join("recipe.toml");
    fs::write(&file, toml::to_string(&recipe).unwrap()).unwrap();
    // A limit on the size of files fails writes as a full disk does.
    let script = format!(
        "trap '' XFSZ; ulimit -f 8; exec {} train {} --out {} --resume",
        env!("CARGO_BIN_EXE_lrem"),
        file.display(),
        out.display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("checkpoint-4.partial/state.safetensors: cannot be written"),
        "{said}"
    );
    assert!(!out.join("checkpoint-4.partial").exists());
    assert!(out.join("checkpoint-1").exists());
    run(&recipe, &out, true, false).unwrap();
    assert_eq!(metrics(&out).len(), 9);
}
