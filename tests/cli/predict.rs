//! `lrem kernel predict`: what any program's launches take, from the virtual GPU's record of them.

use crate::kernel::{built, kernel, lines};
use serde_json::json;
use std::path::Path;
use std::process::Output;

fn predict(profile: &Path, options: &[&str]) -> Output {
    let mut predict = kernel(&["predict"]);
    predict.arg(profile).args(options).output().unwrap()
}

#[test]
fn a_programs_launches_are_predicted_one_by_one() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("profile.jsonl");
    let (rows, width) = (300, 1024);
    let shape = json!({"uuid": "a", "axes": {"rows": rows, "intermediate": width}});
    // Any program would do; this one launches kernels whose bytes are known.
    let mut program = kernel(&["inspect", "--op", "swiglu", "--seed", "0"]);
    program.args(["--activations", "f32", "--shape", &shape.to_string()]);
    let status = program.env("SIMT_PROFILE", &profile).output().unwrap();
    assert!(status.status.success(), "{status:?}");

    let output = predict(&profile, &["--json"]);
    assert!(output.status.success(), "{output:?}");
    let launches = lines(&output.stdout);
    let forward = launches.iter().find(|launch| {
        let kernel = launch["kernel"].as_str().unwrap();
        kernel.contains("swiglu") && !kernel.contains("backward")
    });
    let forward = forward.unwrap_or_else(|| panic!("{launches:#?}"));
    // Gate and up are read, the product is written.
    let bytes = 3 * rows * width * 4;
    assert_eq!(forward["memory_bytes"], bytes);
    let [chip, predicted] = forward["predictions"][0].as_array().unwrap().as_slice() else {
        panic!("{forward:#}");
    };
    assert_eq!(chip, "A100");
    assert_eq!(predicted["limit"], "memory");
    let seconds = predicted["work"].as_f64().unwrap();
    assert!(
        (seconds / (f64::from(bytes) / 2.039e12) - 1.0).abs() < 1e-9,
        "{forward:#}"
    );

    let table = String::from_utf8(predict(&profile, &[]).stdout).unwrap();
    assert_eq!(table.lines().count(), launches.len() + 2, "{table}");
}

#[test]
fn what_is_no_record_is_named_by_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("profile.jsonl");
    std::fs::write(&profile, "{}\n").unwrap();
    let output = predict(&profile, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = format!("lrem: {}:1: ", profile.display());
    assert!(said.starts_with(&expected), "{said}");
    assert!(
        said.contains("expected a launch that SIMT_PROFILE wrote"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");

    let absent = predict(&folder.path().join("absent"), &[]);
    assert_eq!(absent.status.code(), Some(1));
    let said = String::from_utf8(absent.stderr).unwrap();
    assert!(said.contains("absent"), "{said}");
}
