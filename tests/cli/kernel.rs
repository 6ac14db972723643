//! `lrem kernel`: the project's own kernels pass, and kernels that are wrong on purpose are refused for the
//! right reason.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn kernel(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lrem"));
    command.arg("kernel").args(arguments);
    command
}

fn checked(file: &Path, op: &str) -> Value {
    let mut check = kernel(&["check", "--op", op, "--json"]);
    let output = check.arg(file).output().unwrap();
    let outcome: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.success(), outcome["accepted"] == true);
    outcome
}

/// A build without NVRTC has no kernels to check.
fn built() -> bool {
    lrem::device::cuda::compiler().is_some()
}

#[test]
fn the_projects_kernels_pass() {
    let files = std::fs::read_dir(root().join("kernels")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let kernels = files.filter(|path| path.extension().is_some_and(|e| e == "cu"));
    let mut unlaunched = Vec::new();
    for path in kernels.filter(|_| built()) {
        let name = path.file_stem().unwrap().to_string_lossy();
        let outcome = checked(&path, &name);
        assert_eq!(outcome["verdicts"], serde_json::json!([]), "{name}");
        assert!(!outcome["kernels"].as_array().unwrap().is_empty(), "{name}");
        unlaunched.extend(outcome["unlaunched"].as_array().unwrap().clone());
    }
    // Products that linear cross-entropy has to itself.
    let path = root().join("kernels/linear.cu");
    if built() {
        let outcome = checked(&path, "linear_cross_entropy");
        assert_eq!(outcome["verdicts"], serde_json::json!([]), "{outcome:#}");
        let rest = outcome["unlaunched"].as_array().unwrap();
        unlaunched.retain(|instance| rest.contains(instance));
    }
    assert!(unlaunched.is_empty(), "no shape launched {unlaunched:?}");
}

#[test]
fn cheats_are_refused_for_the_right_reason() {
    const CHEATS: [(&str, &str); 12] = [
        ("constant", "constant"),
        ("copies_input", "copies_input"),
        ("half_overflow", "overflow"),
        ("launch_order", "launch_order"),
        ("not_finite", "not_finite"),
        ("race", "sanitizer"),
        ("reads_past_end", "sanitizer"),
        ("shape_bound", "shape_bound"),
        ("skips_tail", "unwritten"),
        ("stale", "stale"),
        ("uses_poison", "uses_poison"),
        ("writes_input", "writes_input"),
    ];
    for (name, reason) in CHEATS.into_iter().filter(|_| built()) {
        let outcome = checked(&root().join(format!("tests/cheats/{name}.cu")), "rms_norm");
        let first = &outcome["verdicts"][0];
        assert_eq!(first["reason"], reason, "{name}: {outcome:#}");
    }
}

#[test]
fn what_does_not_compile_is_named_by_file_and_line() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.cu");
    let text = "// instance: rms_norm_f32 = rms_norm<float>\nvoid rms_norm( {}\n";
    std::fs::write(&file, text).unwrap();
    let outcome = checked(&file, "rms_norm");
    let first = &outcome["verdicts"][0];
    assert_eq!(first["reason"], "compile", "{outcome:#}");
    let seen = first["seen"].as_str().unwrap();
    assert!(seen.contains(&format!("{}(2)", file.display())), "{seen}");
}

#[test]
fn new_writes_a_kernel_that_passes_and_keeps_what_is_there() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("swiglu.cu");
    let new = || kernel(&["new", "swiglu"]).arg(&file).output().unwrap();
    assert!(new().status.success());
    assert_eq!(checked(&file, "swiglu")["accepted"], true);
    let again = new();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("swiglu.cu"));
}

/// The tutorial's steps: all are right, and each does less than the one before.
#[test]
fn the_first_kernel_gets_cheaper_by_steps() {
    if !built() {
        return;
    }
    let steps = ["1-one-thread", "2-a-block", "3-packs"].map(|step| {
        let outcome = checked(
            &root().join(format!("docs/first-kernel/{step}.cu")),
            "rms_norm",
        );
        assert_eq!(outcome["verdicts"], serde_json::json!([]), "{step}");
        outcome["kernels"][0].clone()
    });
    let instructions = steps
        .each_ref()
        .map(|s| s["warp_instructions"].as_u64().unwrap());
    assert!(instructions.is_sorted_by(|a, b| a > b), "{instructions:?}");
    let last = &steps[2];
    for ratio in ["bytes_over_compulsory", "sectors_over_ideal"] {
        assert_eq!(last[ratio], 1.0, "{ratio}");
    }
}
