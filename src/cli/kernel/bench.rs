//! `lrem kernel bench`: a kernel's figures at workloads.

use super::figures::{At, Figures, Side};
use super::source::KernelSource;
use super::trace::{Outcome, Trace};
use crate::cli::Error;
use clap::Args;
use lrem::workbench::{Workload, WorkspaceError};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

#[derive(Args)]
pub struct BenchArgs {
    /// The kernel file or solution, as of `check`; by default the built-in kernels of the op.
    #[arg(required_unless_present = "op")]
    file: Option<PathBuf>,
    /// The op; by default the file's name.
    #[arg(long)]
    op: Option<String>,
    #[command(flatten)]
    at: At,
    /// Add a line to this file for each workload, with the built-in kernels as reference.
    #[arg(long, requires = "file")]
    trace: Option<PathBuf>,
    /// Print one JSON object a workload.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    op: &'a str,
    kernels: &'a str,
    workload: &'a Workload,
    figures: Option<&'a Figures>,
    error: Option<&'a str>,
}

pub fn run(args: &BenchArgs) -> Result<(), Error> {
    let source = match (&args.file, args.op.as_deref()) {
        (Some(file), op) => KernelSource::open(file, op)?,
        (None, Some(op)) => KernelSource::built_in(op)?,
        (None, None) => return Err("expected a kernel file or --op".into()),
    };
    let (op, name) = (source.op, source.name.clone());
    let workloads = args.at.workloads(op)?;
    let mut trace = match &args.trace {
        Some(path) => Some(Trace::open(path, op, &name)?),
        None => None,
    };
    let side = match Side::new(source) {
        Ok(side) => side,
        Err(WorkspaceError::Compile(said)) => {
            if let Some(trace) = &mut trace {
                let outcome = Outcome::DoesNotCompile(&said);
                workloads.iter().try_for_each(|w| trace.add(w, &outcome))?;
            }
            return Err(said.into());
        }
        Err(error) => return Err(error.into()),
    };
    let reference = match &trace {
        Some(_) => Some(side.built_in()?),
        None => None,
    };
    if !args.json {
        println!("{op}, kernels: {name}");
    }
    let mut wrong = Vec::new();
    for workload in &workloads {
        let figures = side.figures(workload, args.at.device)?;
        let right = figures.as_ref().is_ok_and(Figures::right);
        if !right {
            wrong.push(workload.uuid.as_str());
        }
        print(args.json, op, &name, workload, &figures)?;
        if let (Some(trace), Some(reference)) = (&mut trace, &reference) {
            let reference = reference.figures(workload, args.at.device)?;
            let outcome = match &figures {
                Ok(figures) => Outcome::Ran(figures, reference.as_ref().ok()),
                Err(said) => Outcome::Failed(said),
            };
            trace.add(workload, &outcome)?;
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!("{name}: wrong at {}", wrong.join(", ")).into()),
    }
}

fn print(
    json: bool,
    op: &str,
    kernels: &str,
    workload: &Workload,
    figures: &Result<Figures, String>,
) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    if json {
        let line = Line {
            op,
            kernels,
            workload,
            figures: figures.as_ref().ok(),
            error: figures.as_ref().err().map(String::as_str),
        };
        writeln!(out, "{}", serde_json::to_string(&line)?)?;
        return Ok(());
    }
    let figures = match figures {
        Ok(figures) => figures,
        Err(said) => return Ok(writeln!(out, "\n{}: failed: {said}", workload.uuid)?),
    };
    let verdict = match figures.right() {
        true => "right".to_string(),
        false => format!("WRONG at {}", figures.worst().place),
    };
    writeln!(
        out,
        "\n{}, on {}: {verdict}; error over allowed {}",
        workload.uuid,
        figures.device,
        figures.errors(),
    )?;
    writeln!(
        out,
        "  {:<34} {:>11} {:>9} {:>8} {:>10} {:>12} {:>9}  {:<19}",
        "kernel",
        "HBM bytes",
        "x needed",
        "sectors",
        "wavefronts",
        "instructions",
        "A100 us",
        "limit"
    )?;
    for kernel in &figures.kernels {
        let needed = kernel.bytes_over_compulsory;
        let (seconds, limit) = kernel
            .counts
            .predicted()
            .map_or((0.0, "none"), |p| (p.running(), p.limit.name()));
        write!(
            out,
            "  {:<34} {:>11} {:>9} {:>8.3} {:>10.3} {:>12} {:>9.2}  {limit:<19}",
            kernel.instance,
            kernel.counts.memory_bytes,
            needed.map_or("".into(), |r| format!("{r:.3}")),
            kernel.counts.sectors_over_ideal,
            kernel.counts.wavefronts_over_ideal,
            kernel.counts.warp_instructions,
            1e6 * seconds,
        )?;
        match kernel.measured {
            Some(seconds) => writeln!(out, " measured {:.2} us", 1e6 * seconds)?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}
