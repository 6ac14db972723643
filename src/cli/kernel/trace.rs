//! Results of kernels in a file: FlashInfer-Bench's traces (arXiv 2601.00227), a line of JSON each.

use super::figures::Figures;
use crate::cli::Error;
use lrem::device::cuda::compiler;
use lrem::workbench::Workload;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

/// A trace file that lines are added to.
pub struct Trace {
    file: File,
    path: String,
    op: String,
    solution: String,
}

/// What became of a kernel at a workload.
pub enum Outcome<'a> {
    /// It does not compile.
    DoesNotCompile(&'a str),
    /// The device failed.
    Failed(&'a str),
    /// It ran, and so did the reference.
    Ran(&'a Figures, Option<&'a Figures>),
}

impl Trace {
    /// Opens a file for the traces of a solution of `op`; what is there stays.
    pub fn open(path: &Path, op: &str, solution: &str) -> Result<Trace, Error> {
        let shown = path.display().to_string();
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|error| format!("{shown}: {error}"))?;
        Ok(Trace {
            file,
            path: shown,
            op: op.into(),
            solution: solution.into(),
        })
    }

    /// Adds a line.
    pub fn add(&mut self, workload: &Workload, outcome: &Outcome<'_>) -> Result<(), Error> {
        let line = self.line(workload, outcome, SystemTime::now());
        // One write a line, so that processes can share the file.
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        Ok(written.map_err(|error| format!("{}: {error}", self.path))?)
    }

    fn line(&self, workload: &Workload, outcome: &Outcome<'_>, now: SystemTime) -> Value {
        let mut device = "none";
        let mut correctness = Value::Null;
        let mut performance = Value::Null;
        let (status, log) = match outcome {
            Outcome::DoesNotCompile(said) => ("COMPILE_ERROR", said.to_string()),
            Outcome::Failed(said) => ("RUNTIME_ERROR", said.to_string()),
            Outcome::Ran(figures, reference) => {
                device = &figures.device;
                let worst = figures.worst();
                correctness = json!({
                    "max_relative_error": worst.max_relative,
                    "max_absolute_error": worst.max_absolute,
                    "of_allowed_error": worst.of_allowed,
                });
                if figures.right() {
                    performance = compared(figures, *reference);
                    ("PASSED", String::new())
                } else {
                    let said = format!(
                        "{:.3e} of the error that is allowed, at {}",
                        worst.of_allowed, worst.place
                    );
                    ("INCORRECT_NUMERICAL", said)
                }
            }
        };
        json!({
            "definition": self.op,
            "workload": workload,
            "solution": self.solution,
            "evaluation": {
                "status": status,
                "log_file": self.path,
                "log": log,
                "environment": {
                    "hardware": device,
                    "libs": {
                        "lrem": env!("CARGO_PKG_VERSION"),
                        "nvrtc": compiler().unwrap_or("none"),
                    },
                },
                "timestamp": humantime::format_rfc3339_seconds(now).to_string(),
                "correctness": correctness,
                "performance": performance,
            },
        })
    }
}

/// Times of a solution and of the reference, over the kernels that the solution has.
fn compared(figures: &Figures, reference: Option<&Figures>) -> Value {
    let has = |instance: &str| figures.kernels.iter().any(|k| k.instance == instance);
    let total = |side: &Figures| -> (f64, bool) {
        let kernels = || side.kernels.iter().filter(|k| has(&k.instance));
        let measured: Option<f64> = kernels().map(|k| k.measured).sum();
        let predicted = kernels()
            .filter_map(|k| k.counts.predicted())
            .map(|p| p.work);
        measured.map_or((predicted.sum(), false), |seconds| (seconds, true))
    };
    let (latency, measured) = total(figures);
    let (reference, _) = reference.map_or((0.0, false), total);
    let speedup = if latency > 0.0 {
        reference / latency
    } else {
        0.0
    };
    json!({
        "latency_ms": 1e3 * latency,
        "reference_latency_ms": 1e3 * reference,
        "speedup_factor": speedup,
        "time": if measured { "measured" } else { "predicted for A100" },
    })
}
