//! `simt run` and `simt profile`, with a program that knows nothing of the virtual GPU: this one.

use cudarc::driver::{CudaContext, LaunchConfig, PushKernelArg, profiler_start, profiler_stop};
use cudarc::nvrtc::Ptx;
use serde_json::Value;
use simt::count::record::Line;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Says that this process was started by a test, and what it is to do.
const CHILD: &str = "SIMT_TEST_CHILD";

/// Set: the launches of the program are a range.
const RANGE: &str = "SIMT_TEST_RANGE";

const DOUBLE: &str = "mad.wide.u32 %d1, %id, 4, %a; mad.wide.u32 %d2, %id, 4, %b;\
                      ld.global.f32 %f1, [%d1]; add.f32 %f1, %f1, %f1; st.global.f32 [%d2], %f1;";

/// A CUDA program, where a test has started it.
#[test]
fn child() {
    let Ok(code) = std::env::var(CHILD) else {
        return;
    };
    let context = CudaContext::new(0).unwrap();
    println!("on {}", context.name().unwrap());
    let stream = context.default_stream();
    let ptx = crate::machine::kernel(DOUBLE);
    let module = context.load_module(Ptx::from_src(ptx)).unwrap();
    let function = module.load_function("k").unwrap();
    let input: Vec<f32> = (0..256).map(|x| x as f32).collect();
    let there = stream.clone_htod(&input).unwrap();
    let mut doubled = stream.alloc_zeros::<f32>(256).unwrap();
    let config = LaunchConfig {
        grid_dim: (2, 1, 1),
        block_dim: (128, 1, 1),
        shared_mem_bytes: 0,
    };
    let in_range = std::env::var_os(RANGE).is_some();
    if in_range {
        // There is none to end.
        profiler_stop().unwrap();
        profiler_start().unwrap();
    }
    for _ in 0..2 {
        let mut builder = stream.launch_builder(&function);
        builder.arg(&there).arg(&mut doubled);
        // SAFETY: the arguments are those of the kernel.
        unsafe { builder.launch(config) }.unwrap();
    }
    if in_range {
        profiler_stop().unwrap();
        // Nobody ends it.
        profiler_start().unwrap();
    }
    let doubled = stream.clone_dtoh(&doubled).unwrap();
    assert!(doubled.iter().zip(&input).all(|(y, x)| *y == x + x));
    std::process::exit(code.parse().unwrap());
}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("simt-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn simt(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simt"));
    command.args(arguments);
    command
}

/// Runs the program above with options of `simt run`.
fn run(options: &[&str], code: i32) -> Output {
    let program = std::env::current_exe().unwrap();
    simt(&["run"])
        .args(options)
        .arg("--")
        .arg(program)
        .args(["command::child", "--exact", "--nocapture"])
        .env(CHILD, code.to_string())
        .output()
        .unwrap()
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_program_finds_the_virtual_gpu_and_its_exit_code_is_passed_on() {
    let output = run(&["--arch", "sm_80"], 7);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("on simt A100"), "{text}");
    assert_eq!(output.status.code(), Some(7));
    let output = run(&["--arch=sm_89", "--memory", "64M"], 0);
    assert!(String::from_utf8_lossy(&output.stdout).contains("RTX 4090"));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn records_and_traces_are_written_and_shown() {
    let folder = folder("profile");
    let (profile, trace) = (path(&folder, "p.jsonl"), path(&folder, "t.json"));
    // What an earlier run has left is replaced.
    std::fs::write(&profile, "no record\n").unwrap();
    let output = run(&["--profile", &profile, "--trace", &trace], 0);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = std::fs::read_to_string(&profile).unwrap();
    let records: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0]["kernel"], "k");
    assert_eq!(records[0]["global"]["loads"]["sectors"], 32);
    assert_eq!(records[0]["flops"]["f32"], 256);

    // The closing bracket is left to the reader.
    let text = std::fs::read_to_string(&trace).unwrap();
    let text = format!("{}]", text.trim_end().trim_end_matches(','));
    let events: Vec<Value> = serde_json::from_str(&text).unwrap();
    let named = |name: &str| {
        let found = events
            .iter()
            .filter(|e| e["name"] == name && e["ph"] == "X");
        found.count()
    };
    assert_eq!(named("k"), 2);
    assert_eq!(named("host to device"), 1);
    assert_eq!(named("device to host"), 1);
    let copy = events.iter().find(|e| e["name"] == "host to device");
    assert_eq!(copy.unwrap()["args"]["bytes"], 1024);

    let shown = simt(&["profile", &profile, "--lines", "3"])
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(
        shown.contains("global loads        32 sectors, 32 ideal (1.00x)"),
        "{shown}"
    );
    assert_eq!(shown.matches("PTX line").count(), 6, "{shown}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_programs_range_has_a_line_behind_its_launches() {
    let folder = folder("range");
    let profile = path(&folder, "p.jsonl");
    let program = std::env::current_exe().unwrap();
    let output = simt(&["run", "--profile", &profile, "--"])
        .arg(program)
        .args(["command::child", "--exact", "--nocapture"])
        .env(CHILD, "0")
        .env(RANGE, "1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = std::fs::read_to_string(&profile).unwrap();
    let lines: Vec<Line> = text.lines().map(|l| Line::parse(l).unwrap()).collect();
    let [
        Line::Launch(first),
        Line::Launch(second),
        Line::Range(range),
    ] = &lines[..]
    else {
        panic!("{text}");
    };
    for launch in [first, second] {
        assert_eq!(launch.l2.memory_read_bytes, 1024);
        assert_eq!(launch.l2.memory_written_bytes, 1024);
    }
    assert_eq!(range.launches, ["k", "k"]);
    assert_eq!(range.l2.memory_read_bytes, 1024);
    assert_eq!(range.l2.memory_written_bytes, 1024);
    let shown = simt(&["profile", &profile]).output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.contains("range #0 on "), "{shown}");
    assert!(
        shown.contains("L2 to memory        1,024 bytes read, 1,024 written\n"),
        "{shown}"
    );
    assert!(Line::parse("{\"range\": 0}").is_err());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_file_that_cannot_be_written_is_told_once_and_changes_nothing() {
    let program = std::env::current_exe().unwrap();
    let output = simt(&["run", "--"])
        .arg(program)
        .args(["command::child", "--exact", "--nocapture"])
        .env(CHILD, "0")
        .env("SIMT_PROFILE", "/proc/no/such/file")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        errors.matches("SIMT_PROFILE=/proc/no/such/file").count(),
        1,
        "{errors}"
    );
}

#[test]
fn wrong_usage_and_programs_that_are_not_there() {
    for (arguments, code, message) in [
        (&["run"][..], 2, "expected a program"),
        (&["fly"], 2, "expected run or profile"),
        (&["run", "--wings", "x"], 2, "unknown option --wings"),
        (&["run", "--", "/no/such/program"], 127, "/no/such/program"),
        (&["run", "--", "/"], 126, "/: "),
        (&["profile", "/no/such/file"], 1, "/no/such/file"),
    ] {
        let output = simt(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(message), "{arguments:?}: {errors}");
    }
}
