//! `lrem kernel table`: what every kernel costs, in counts, what every call of an op moves, and where they miss the
//! bars of lean ones.

use super::bars::{Bar, Miss, call_misses, misses};
use super::call_table::{self, CallRow};
use super::counted::Counted;
use super::figures::{At, Side};
use super::looks::{Activations, Gpu};
use super::source::KernelSource;
use crate::cli::{Error, common};
use clap::Args;
use lrem::report::Table;
use lrem::workbench::contracts::OPS;
use lrem::workbench::{CHIPS, Workload};
use serde::Serialize;
use std::collections::HashSet;
use std::io::Write;
use std::path::PathBuf;

/// The model whose shapes stand for all, where not all are asked for.
const MODEL: &str = "smollm2-135m";

#[derive(Args)]
pub struct TableArgs {
    /// A kernel file or solution, as of `check`; by default the built-in kernels.
    file: Option<PathBuf>,
    /// These ops alone; of a file the op, by default its name.
    #[arg(long = "op")]
    ops: Vec<String>,
    /// Every kernel at every workload. By default the kernels that a model in bf16 launches, each at the shape of
    /// SmolLM2-135M at which it has most to move.
    #[arg(long)]
    all: bool,
    /// JSON Lines of workloads; by default shapes of SmolLM2-135M, Qwen2.5-0.5B and Qwen2.5-3B.
    #[arg(long)]
    workloads: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    op: &'static str,
    workload: String,
    #[serde(flatten)]
    kernel: Counted,
}

#[derive(Serialize)]
struct Report {
    rows: Vec<Row>,
    calls: Vec<CallRow>,
    misses: Vec<Miss>,
}

pub fn run(args: &TableArgs) -> Result<(), Error> {
    let mut sources = Vec::new();
    match &args.file {
        Some(file) => {
            let op = args.ops.first().map(String::as_str);
            sources.push(KernelSource::open(file, op)?);
        }
        None => {
            let known = |op: &&String| !OPS.iter().any(|(known, _)| known == op);
            if let Some(unknown) = args.ops.iter().find(known) {
                return Err(super::no_contract(unknown));
            }
            let wanted = |op: &str| args.ops.is_empty() || args.ops.iter().any(|o| o == op);
            for (_, files) in OPS.iter().filter(|(op, _)| wanted(op)) {
                for file in *files {
                    sources.push(KernelSource::built_in(file)?);
                }
            }
        }
    }
    let at = At {
        workloads: args.workloads.clone(),
        ..At::default()
    };
    let bar = common::bar("kernel files", Some(sources.len()));
    let mut rows: Vec<Row> = Vec::new();
    let mut calls: Vec<CallRow> = Vec::new();
    for source in sources {
        bar.set_message(source.op);
        let op = source.op;
        let workloads = at.workloads(op)?;
        let chosen: Vec<Workload> = match args.all {
            true => workloads,
            false => of_the_model(workloads),
        };
        // A model in bf16 launches no others.
        let bf16 = Activations::of(op)
            .iter()
            .find(|a| **a == Activations::Bf16);
        let only = bf16.filter(|_| !args.all && args.file.is_none());
        let (kernels, of_file) = measured(source, &chosen, only.copied())?;
        rows.extend(kernels);
        // An op's files run the same calls.
        for row in of_file {
            if !calls.iter().any(|c| c.op == op && c.is_same(&row)) {
                calls.push(row);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let called: HashSet<String> = calls
        .iter()
        .flat_map(|row| row.call.launches.iter().cloned())
        .collect();
    if !args.all {
        rows = representative(rows);
        calls = call_table::largest(calls);
    }
    let of_calls = calls.iter();
    let of_calls = of_calls.filter_map(|row| call_misses(row.op, &row.workload, &row.call));
    let of_kernels = rows.iter().flat_map(|row| {
        let alone = !called.contains(&row.kernel.instance);
        misses(row.op, &row.workload, &row.kernel, alone)
    });
    let misses = of_calls.chain(of_kernels).collect();
    let report = Report {
        rows,
        calls,
        misses,
    };
    print(&report, args.json)
}

/// The kernels of a file at workloads, and the calls that launch them, with one type of activations or with all.
fn measured(
    source: KernelSource,
    workloads: &[Workload],
    only: Option<Activations>,
) -> Result<(Vec<Row>, Vec<CallRow>), Error> {
    let (op, name) = (source.op, source.name.clone());
    let side = Side::new(source)?;
    let (mut rows, mut calls) = (Vec::new(), Vec::new());
    for workload in workloads {
        let figures = side.figures_in(workload, Gpu::Simt, only)?;
        let figures = figures.map_err(|said| format!("{name} at {}: {said}", workload.uuid))?;
        rows.extend(figures.kernels.into_iter().map(|kernel| Row {
            op,
            workload: workload.uuid.clone(),
            kernel,
        }));
        calls.extend(figures.calls.into_iter().map(|call| CallRow {
            op,
            workload: workload.uuid.clone(),
            call,
        }));
    }
    Ok((rows, calls))
}

/// The workloads of one model, or all where none is named after it.
fn of_the_model(mut workloads: Vec<Workload>) -> Vec<Workload> {
    let named = |w: &Workload| w.uuid.starts_with(MODEL);
    if workloads.iter().any(named) {
        workloads.retain(named);
    }
    workloads
}

/// Each kernel at the workload at which it has most to move, in the order of their first launches.
fn representative(rows: Vec<Row>) -> Vec<Row> {
    let mut chosen: Vec<Row> = Vec::new();
    for row in rows {
        let name = &row.kernel.instance;
        match chosen.iter_mut().find(|c| c.kernel.instance == *name) {
            Some(c) if c.kernel.counts.memory_bytes < row.kernel.counts.memory_bytes => *c = row,
            Some(_) => {}
            None => chosen.push(row),
        }
    }
    chosen
}

fn print(report: &Report, json: bool) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
        return Ok(());
    }
    writeln!(out, "{}", table(&report.rows).markdown())?;
    if !report.calls.is_empty() {
        writeln!(out, "{}", call_table::table(&report.calls).markdown())?;
    }
    if report.misses.is_empty() {
        writeln!(out, "Every kernel keeps to every bar.")?;
    }
    for bar in Bar::ALL {
        let missed: Vec<String> = report
            .misses
            .iter()
            .filter(|miss| miss.bar == bar)
            .map(|miss| {
                let (is, at) = (shown(bar, miss.is), &miss.workload);
                match &miss.chip {
                    Some(chip) => format!("`{}` {is} ({at} on {chip})", miss.of),
                    None => format!("`{}` {is} ({at})", miss.of),
                }
            })
            .collect();
        if !missed.is_empty() {
            writeln!(out, "- {}, missed by: {}", bar.name(), missed.join(", "))?;
        }
    }
    Ok(())
}

/// A figure as its bar counts it.
fn shown(bar: Bar, is: f64) -> String {
    match bar {
        Bar::Local => format!("{is}"),
        Bar::Tensor => format!("{:.0} %", 100.0 * is),
        _ => format!("{is:.3}"),
    }
}

const CAPTION: &str = "Of one launch on the virtual GPU as sm_80: bytes across HBM's pins by the model of the L2 \
cache, over what the op cannot do without, as if nothing that another launch has left were in it; sectors of global \
memory and wavefronts of shared memory over what the same accesses need at best; registers, loads and stores of local \
memory, and tensor-core instructions of those in the main loop in the machine code; microseconds by the model, without \
launching, and what they are made of on an A100. Kernels for one architecture are counted on it, and their times are \
its chips'.";

fn table(rows: &[Row]) -> Table {
    let mut header = vec![
        "kernel",
        "workload",
        "HBM",
        "sectors",
        "wavefronts",
        "registers",
        "local",
        "tensor",
    ];
    header.extend(CHIPS.iter().map(|chip| chip.name));
    header.push("limit");
    let mut table = Table::new(CAPTION, &header);
    table.rows.extend(rows.iter().map(cells));
    table
}

fn cells(row: &Row) -> Vec<String> {
    let kernel = &row.kernel;
    let code = kernel.machine_code.as_ref();
    let number = |value: Option<u32>| value.map_or(String::new(), |v| v.to_string());
    let mut cells = vec![
        format!("`{}`", kernel.instance),
        row.workload.clone(),
        kernel
            .hbm_over_compulsory
            .map_or(String::new(), |ratio| format!("{ratio:.3}")),
        format!("{:.3}", kernel.counts.sectors_over_ideal),
        format!("{:.3}", kernel.counts.wavefronts_over_ideal),
        number(code.map(|c| c.registers)),
        number(code.map(|c| c.local)),
        code.and_then(|c| c.tensor_share())
            .map_or(String::new(), |share| format!("{:.0} %", 100.0 * share)),
    ];
    let time = |chip| {
        let predicted = kernel.counts.on(chip);
        predicted.map_or(String::new(), |p| format!("{:.2}", 1e6 * p.running()))
    };
    cells.extend(CHIPS.iter().map(time));
    let limit = kernel.counts.predicted().map_or("", |p| p.limit.name());
    cells.push(limit.into());
    cells
}
