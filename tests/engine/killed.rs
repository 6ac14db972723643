//! Both stages, killed at random moments.

use crate::events;
use crate::shop::{metrics, recipe, shop, weights};
use lrem::ops::philox::PhiloxStream;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Checkpoints at every step, so that a kill often meets one half-written.
const RECIPE: &str = r#"
    [train]
    batch = 4
    steps = 12
    learning_rate = 3e-3
    precision = "f32"
    checkpoint_every = 1
    [thought]
    budget = 3
    refresh = 2
    mix = { gold = 1.0, own = 1.0 }
    [negatives]
    per_pair = 1
    depth = 3
    refresh = 3
    [rl]
    steps = 12
    queries = 3
    rollouts = 4
    learning_rate = 1e-3
    refresh = 3
    checkpoint_every = 1
    reward = [{ kind = "rank" }, { kind = "catalogue_rank" }]"#;

fn start(recipe: &Path, out: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_lrem"))
        .arg("train")
        .arg(recipe)
        .arg("--out")
        .arg(out)
        .arg("--resume")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(child: Child) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn a_run_killed_at_any_moment_goes_on_to_the_same_bits() {
    let shop = shop();
    let path = shop.path().join("recipe.toml");
    let recipe = recipe(shop.path(), RECIPE);
    fs::write(&path, toml::to_string(&recipe).unwrap()).unwrap();
    let whole = shop.path().join("whole");
    let started = Instant::now();
    finish(start(&path, &whole));
    let time = started.elapsed().as_secs_f64();

    let now = std::time::SystemTime::now();
    let seed = now
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64;
    let mut random = PhiloxStream::new(seed, 0);
    for trial in 0..20 {
        let out = shop.path().join(format!("killed-{trial}"));
        let mut child = start(&path, &out);
        let moment = time * f64::from(random.uniform());
        std::thread::sleep(Duration::from_secs_f64(moment));
        // SIGKILL on Unix.
        child.kill().unwrap();
        child.wait().unwrap();
        finish(start(&path, &out));
        let tag = format!("killed after {moment:.3} of {time:.3} s");
        for (got, want) in [
            (out.clone(), whole.clone()),
            (out.join("rl"), whole.join("rl")),
        ] {
            assert_eq!(metrics(&got), metrics(&want), "{tag}");
            events::check(&got, &tag);
            assert!(weights(&got) == weights(&want), "{tag}: the models differ");
        }
        fs::remove_dir_all(&out).unwrap();
    }
}
