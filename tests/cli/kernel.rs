//! `lrem kernel`: the project's own kernels pass, and kernels that are wrong on purpose are refused for the
//! right reason.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn kernel(arguments: &[&str]) -> Command {
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
pub fn built() -> bool {
    lrem::device::cuda::compiler().is_some()
}

#[test]
fn the_projects_kernels_pass() {
    let files = std::fs::read_dir(root().join("kernels")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let kernels = files.filter(|path| path.extension().is_some_and(|e| e == "cu"));
    // What finds a GPU's peaks is of no op, and has tests of its own.
    let kernels = kernels.filter(|path| path.file_stem().unwrap() != "peaks");
    let mut unlaunched = Vec::new();
    for path in kernels.filter(|_| built()) {
        let name = path.file_stem().unwrap().to_string_lossy();
        let outcome = checked(&path, &name);
        assert_eq!(outcome["verdicts"], serde_json::json!([]), "{name}");
        let counted = outcome["kernels"].as_array().unwrap();
        // What one architecture has of its own may be for larger batches than the one that is counted.
        assert!(!counted.is_empty() || name.contains(".sm_"), "{name}");
        for kernel in counted {
            let code = &kernel["machine_code"];
            assert_eq!(code["local"], 0, "{} spills", kernel["instance"]);
            moves_what_it_must(kernel);
        }
        unlaunched.extend(outcome["unlaunched"].as_array().unwrap().clone());
    }
    // Products that linear cross-entropy has to itself.
    let mut rest = Vec::new();
    for file in ["linear", "linear.sm_90a"].iter().filter(|_| built()) {
        let path = root().join(format!("kernels/{file}.cu"));
        let outcome = checked(&path, "linear_cross_entropy");
        assert_eq!(outcome["verdicts"], serde_json::json!([]), "{outcome:#}");
        rest.extend(outcome["unlaunched"].as_array().unwrap().clone());
    }
    unlaunched.retain(|instance| rest.contains(instance));
    assert!(unlaunched.is_empty(), "no shape launched {unlaunched:?}");
}

/// Kernels that read what each slice of the work left: how many there are is the launch's choice.
const OF_SLICES: [&str; 3] = ["info_nce_finish", "lce_finish", "top_k_merge"];

/// A cost that is too high, too low or missing shows: no kernel moves less than it needs, and none of the
/// project's much more.
fn moves_what_it_must(kernel: &Value) {
    let instance = kernel["instance"].as_str().unwrap();
    let moved = kernel["bytes_over_compulsory"].as_f64();
    let moved = moved.unwrap_or_else(|| panic!("{instance} has no cost"));
    assert!(moved >= 0.999, "{instance} moves {moved} of what it needs");
    // Results of a trunk's pieces, left and read, and keys beside items of half a byte a number.
    const IN_PARTS: [&str; 3] = ["attention_combine", "attention_few_64", "top_k_int4_many"];
    let most = match OF_SLICES.contains(&instance) {
        true => 16.0,
        false if IN_PARTS.contains(&instance) => 2.0,
        false => 1.5,
    };
    assert!(moved <= most, "{instance} moves {moved} of what it needs");
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

/// The lines of a command that prints one JSON object each.
pub fn lines(output: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(output);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{text}")))
        .collect()
}

const WORKLOADS: &str = r#"{"definition": "rms_norm", "workload": {"uuid": "small", "axes": {"rows": 3, "dim": 64, "eps": 1e-5}, "inputs": {"x": {"type": "random"}, "seed": {"type": "scalar", "value": 7}}}, "solution": null, "evaluation": null}
{"definition": "rope", "workload": {"uuid": "of another op", "axes": {}}}
"#;

#[test]
fn bench_measures_at_workloads_and_keeps_traces() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("workloads.jsonl"), WORKLOADS).unwrap();
    let bench = |file: &Path| {
        let mut bench = kernel(&["bench", "--op", "rms_norm", "--json"]);
        bench.arg(file).arg("--trace").arg(at("traces.jsonl"));
        bench.arg("--workloads").arg(at("workloads.jsonl"));
        bench.output().unwrap()
    };
    let right = bench(&root().join("docs/first-kernel/3-packs.cu"));
    assert!(right.status.success());
    let line = &lines(&right.stdout)[0];
    assert_eq!(line["workload"]["uuid"], "small");
    assert_eq!(line["figures"]["kernels"][0]["bytes_over_compulsory"], 1.0);
    assert_eq!(
        line["figures"]["kernels"][0]["grid"],
        serde_json::json!([3, 1, 1])
    );

    let wrong = bench(&root().join("tests/cheats/constant.cu"));
    assert_eq!(wrong.status.code(), Some(1));
    let broken = at("broken.cu");
    std::fs::write(&broken, "// instance: rms_norm_f32 = f\nvoid f( {}\n").unwrap();
    assert_eq!(bench(&broken).status.code(), Some(1));

    let traces = lines(&std::fs::read(at("traces.jsonl")).unwrap());
    let status = |trace: &Value| trace["evaluation"]["status"].as_str().unwrap().to_string();
    let statuses: Vec<String> = traces.iter().map(status).collect();
    assert_eq!(statuses, ["PASSED", "INCORRECT_NUMERICAL", "COMPILE_ERROR"]);
    let passed = &traces[0]["evaluation"];
    assert!(passed["performance"]["latency_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(passed["performance"]["time"], "predicted for A100");
    assert_eq!(traces[0]["workload"]["axes"]["dim"], 64);
    for trace in &traces[1..] {
        assert_eq!(trace["evaluation"]["performance"], Value::Null);
    }
}

#[test]
fn compare_says_what_a_kernel_does_more_of() {
    if !built() {
        return;
    }
    let step = |name: &str| root().join(format!("docs/first-kernel/{name}.cu"));
    let compare = |base: &Path, new: &Path| {
        let mut compare = kernel(&["compare", "--op", "rms_norm", "--json"]);
        let output = compare.arg(base).arg(new).output().unwrap();
        assert!(output.status.success());
        lines(&output.stdout).remove(0)
    };
    let better = compare(&step("1-one-thread"), &step("3-packs"));
    assert!(better["predicted"].as_f64().unwrap() < 0.5, "{better:#}");
    let rows = better["rows"].as_array().unwrap();
    assert!(
        rows.iter()
            .all(|row| row["instructions"].as_f64().unwrap() < 0.5)
    );
    let same = compare(&step("3-packs"), &step("3-packs"));
    assert_eq!(same["predicted"], 1.0);
    let built_in = compare(Path::new("built-in"), &step("3-packs"));
    assert_eq!(built_in["base"], "built in");
}

/// An op's kernels may be in several files.
#[test]
fn what_is_compared_with_the_built_in_is_the_file_that_has_the_kernels() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let workloads = folder.path().join("w.jsonl");
    let line = r#"{"definition": "linear", "workload": {"uuid": "a", "axes": {"m": 9, "n": 40, "k": 16}}}"#;
    std::fs::write(&workloads, line).unwrap();
    let mut compare = kernel(&["compare", "--json", "built-in"]);
    compare.arg(root().join("kernels/column_sums.cu"));
    let output = compare.arg("--workloads").arg(workloads).output().unwrap();
    assert!(output.status.success());
    let comparison = &lines(&output.stdout)[0];
    assert_eq!(comparison["op"], "linear");
    let rows = comparison["rows"].as_array().unwrap();
    assert!(
        rows.iter()
            .all(|row| row["kernel"].as_str().unwrap().contains("sums"))
    );
}

#[test]
fn a_solution_is_checked_as_its_manifest_says() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("solution.json");
    let kernel_text = std::fs::read_to_string(root().join("docs/first-kernel/3-packs.cu")).unwrap();
    let write = |definition: &str, language: &str, entry: &str, sources: Value| {
        let solution = serde_json::json!({
            "name": "in registers", "definition": definition, "author": "a test",
            "spec": {"language": language, "target_hardware": ["sm_80"], "entry_point": entry},
            "sources": sources,
        });
        std::fs::write(&manifest, solution.to_string()).unwrap();
    };
    let inline = |path: &str| serde_json::json!([{"path": path, "content": kernel_text}]);
    let check = |path: &Path| kernel(&["check", "--json"]).arg(path).output().unwrap();

    write("rms_norm", "CUDA", "src/k.cu::rms_norm", inline("src/k.cu"));
    for path in [folder.path(), manifest.as_path()] {
        let outcome = &lines(&check(path).stdout)[0];
        assert_eq!(outcome["accepted"], true, "{outcome:#}");
        assert_eq!(outcome["file"], "in registers");
    }
    std::fs::write(folder.path().join("k.cu"), &kernel_text).unwrap();
    write("rms_norm", "CUDA", "k.cu", serde_json::json!([]));
    assert_eq!(lines(&check(folder.path()).stdout)[0]["accepted"], true);

    for (definition, language, entry, path, expected) in [
        (
            "rms_norm",
            "Triton",
            "k.cu",
            "k.cu",
            "spec.language is `Triton`",
        ),
        (
            "rms_norm",
            "CUDA",
            "other.cu",
            "k.cu",
            "`other.cu`, which is none",
        ),
        (
            "rms_norm",
            "CUDA",
            "../k.cu",
            "../k.cu",
            "leaves the solution's folder",
        ),
        (
            "softmax",
            "CUDA",
            "k.cu",
            "k.cu",
            "`softmax` has no contract",
        ),
    ] {
        write(definition, language, entry, inline(path));
        let output = check(folder.path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            said.contains(expected) && said.lines().count() == 1,
            "{said}"
        );
    }
}

#[test]
fn a_workload_that_is_wrong_is_named_by_file_and_line() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.jsonl");
    for (text, expected) in [
        ("{", "w.jsonl:1: EOF"),
        (
            &WORKLOADS.replace("rms_norm", "pool")[..],
            "no workload of rms_norm",
        ),
        (
            &WORKLOADS.replace(r#""dim": 64"#, r#""dim": 0"#)[..],
            "dim is 0; expected at least 1",
        ),
        (
            &WORKLOADS.replace(r#""dim""#, r#""width""#)[..],
            "missing field `dim`",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let mut bench = kernel(&["bench", "--op", "rms_norm", "--workloads"]);
        let output = bench.arg(&file).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

/// Of two ops, as the others take longer; the counts are those of the compiler that `make setup` fetches.
#[test]
fn the_pages_are_those_of_the_kernels() {
    if lrem::device::cuda::compiler() != Some("12.9") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut pages = kernel(&["pages", "--op", "swiglu", "--op", "kv_store"]);
    assert!(pages.arg(folder.path()).output().unwrap().status.success());
    for name in ["swiglu.md", "kv_store.md"] {
        let [written, committed] = [folder.path(), &root().join("docs/ops")]
            .map(|folder| std::fs::read_to_string(folder.join(name)).unwrap());
        assert!(
            written == committed,
            "`lrem kernel pages docs/ops` changes {name}"
        );
    }
}
