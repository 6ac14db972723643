//! Running this program again under the checks.

use serde_json::Value;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// Names the case in the environment of the process that runs it.
const CASE: &str = "SIMT_TEST_CASE";
/// The exit code of a process in which something was found.
const FOUND: i32 = 86;

/// What a process under the checks leaves behind.
pub struct Outcome {
    pub findings: Vec<Value>,
    pub output: Output,
}

/// Runs tests of this program, by name or part of it, with `checks` on.
pub fn run(tests: &[&str], case: &str, checks: &str) -> Outcome {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("simt-check-{}-{number}.jsonl", std::process::id());
    let file = std::env::temp_dir().join(name);
    let output = Command::new(std::env::current_exe().expect("the path of this program"))
        .args(tests)
        .args(["--nocapture", "--test-threads=1"])
        .env(CASE, case)
        .env("SIMT_CHECK", checks)
        .env("SIMT_CHECK_FILE", &file)
        .env("SIMT_CHECK_EXIT", FOUND.to_string())
        .output()
        .expect("a process");
    let lines = std::fs::read_to_string(&file).expect("the file of findings");
    std::fs::remove_file(&file).expect("the file of findings");
    let parse = |line| serde_json::from_str(line).expect("a line of JSON");
    let findings: Vec<Value> = lines.lines().map(parse).collect();
    let expected = if findings.is_empty() { 0 } else { FOUND };
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(expected), "{case}: {text}");
    Outcome { findings, output }
}

/// Runs one case with `checks` on.
pub fn run_case(case: &str, checks: &str) -> Outcome {
    let outcome = run(&["--exact", "process::case"], case, checks);
    let text = String::from_utf8_lossy(&outcome.output.stdout);
    assert!(text.contains("the case has run"), "{case}: {text}");
    outcome
}

/// In the process that was started for it: the case. Otherwise nothing.
#[test]
fn case() {
    if let Ok(case) = std::env::var(CASE) {
        super::cases::run(&case);
        println!("the case has run");
    }
}
