//! What the performance model says of launches, beside the times that a GPU took.

use lrem::workbench::Chip;
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// A kernel's time at a workload.
pub struct Measured {
    pub op: &'static str,
    pub instance: String,
    pub workload: String,
    pub time: Duration,
}

/// Prints each time beside the prediction for the chip that `device` is, where the model knows it.
pub fn print(device: &str, measured: &[Measured]) {
    let Some(chip) = Chip::named(device) else {
        println!("\nNo predictions: the model does not know {device}.");
        return;
    };
    println!(
        "\n{:<70} {:>10} {:>12} {:>6}  limit",
        format!("on {device}"),
        "measured",
        "predicted",
        "ratio"
    );
    let mut ops: Vec<&str> = measured.iter().map(|m| m.op).collect();
    ops.dedup();
    for op in ops {
        let counted = counted(op);
        for m in measured.iter().filter(|m| m.op == op) {
            let seconds = m.time.as_secs_f64();
            let name = format!("{op}/{}/{}", m.instance, m.workload);
            let found = prediction(&counted, m, chip);
            let Some((predicted, limit)) = found else {
                println!("{name:<70} {:>7.2} us", 1e6 * seconds);
                continue;
            };
            println!(
                "{name:<70} {:>7.2} us {:>9.2} us {:>6.2}  {limit}",
                1e6 * seconds,
                1e6 * predicted,
                seconds / predicted
            );
        }
    }
}

/// What `lrem kernel bench` says of an op's kernels on the virtual GPU, in a process of its own: this one's driver is
/// NVIDIA's.
fn counted(op: &str) -> Vec<Value> {
    let bench = Command::new(env!("CARGO_BIN_EXE_lrem"))
        .args(["kernel", "bench", "--op", op, "--json"])
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&bench.stdout);
    let lines = text.lines().map(serde_json::from_str);
    lines
        .map(|line| line.expect("a JSON object a line"))
        .collect()
}

/// Seconds of a launch by itself, and what they are made of.
fn prediction(counted: &[Value], m: &Measured, chip: &Chip) -> Option<(f64, String)> {
    let at = counted
        .iter()
        .find(|c| c["workload"]["uuid"] == m.workload.as_str())?;
    let mut kernels = at["figures"]["kernels"].as_array()?.iter();
    let kernel = kernels.find(|k| k["instance"] == m.instance.as_str())?;
    let mut predictions = kernel["predictions"].as_array()?.iter();
    let of_chip = &predictions.find(|p| p[0] == chip.name)?[1];
    let limit = of_chip["limit"].as_str()?.to_string();
    Some((of_chip["seconds"].as_f64()?, limit))
}
