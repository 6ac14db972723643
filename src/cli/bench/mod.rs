//! `lrem bench`: how fast this build is on this machine, and whether another is faster.

mod compare;
mod engine;
mod latency;
mod roofline;

use super::Error;
use clap::Subcommand;
use lrem::report::Table;

#[derive(Subcommand)]
pub enum BenchCommand {
    /// Prefill, embedding, decoding and the steps of both trainings, end to end.
    Engine(engine::EngineArgs),
    /// How long a query takes, one at a time, by how long it may think.
    Latency(latency::LatencyArgs),
    /// Tell which benchmarks of two builds are slower, faster or equal.
    ///
    /// BASE and NEW are two criterion folders: target/criterion, or target/criterion@NAME for a baseline
    /// that `cargo bench -- --save-baseline NAME` saved. What happened to the machine's speed between
    /// the two then counts as a change. On a machine that drifts, give two bench executables instead,
    /// as `cargo bench --no-run` builds (target/release/deps/rms_norm-…): they run in turns, in the
    /// current folder. Where other processes are busy, run them with LREM_THREADS=1: what two threads
    /// take depends on both cores being free at once.
    Compare(compare::CompareArgs),
    /// What share of a machine's peaks each op reaches.
    ///
    /// Of this processor: its peaks, measured in a few seconds, and criterion's results. Other processes lower
    /// both, at different times: only on an idle machine do the shares say something. Of a GPU: its peaks and
    /// all built-in kernels, measured on it. Of the virtual GPU: the peaks that a GPU's maker names, and the
    /// kernels' times by the model, from counts; all workloads take some minutes.
    Roofline(roofline::RooflineArgs),
}

pub fn run(command: BenchCommand) -> Result<(), Error> {
    match command {
        BenchCommand::Engine(args) => engine::run(&args),
        BenchCommand::Latency(args) => latency::run(&args),
        BenchCommand::Compare(args) => compare::run(&args),
        BenchCommand::Roofline(args) => roofline::run(&args),
    }
}

/// Prints a table in columns.
fn columns(table: &Table) {
    let rows = || std::iter::once(&table.header).chain(&table.rows);
    let width = |column: usize| rows().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..table.header.len()).filter_map(width).collect();
    for row in rows() {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells.map(|(cell, &w)| format!("{cell:w$}")).collect();
        println!("{}", cells.join("  ").trim_end());
    }
    println!("{}", table.caption);
}
