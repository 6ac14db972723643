//! `lrem kernel`: write a kernel, know in seconds whether it is right and what it costs.

mod bars;
mod bench;
mod call_table;
mod calls;
mod check;
mod compare;
mod counted;
mod counts;
mod figures;
mod looks;
mod machine_code;
mod new;
mod outcome;
mod page;
mod points;
mod predict;
mod show;
mod source;
mod table;
mod trace;

pub use looks::Gpu;
pub use points::points;

use super::Error;
use clap::Subcommand;
use lrem::workbench::contracts::OPS;
use lrem::workbench::sources;

#[derive(Subcommand)]
pub enum KernelCommand {
    /// The ops, their kernels, and which of them have a contract to be checked against.
    List,
    /// An op's contract and the kernels that do it.
    Show(show::ShowArgs),
    /// Write a page for each op: contract, launches, and counts at workloads.
    Pages(page::PagesArgs),
    /// Write a kernel file to start from.
    New(new::NewArgs),
    /// Check a kernel file against an op's contract on the virtual GPU, and count what it does.
    Check(check::CheckArgs),
    /// Measure kernels at a model's shapes: counts and predicted times, on a GPU also times.
    Bench(bench::BenchArgs),
    /// Measure two kernel files at the same shapes, and say what the second does more or less of.
    Compare(compare::CompareArgs),
    /// Every kernel's costs in counts, and which miss the bars of lean ones.
    Table(table::TableArgs),
    /// Predict what a program's kernels take on real GPUs, from what the virtual one counted of them.
    Predict(predict::PredictArgs),
    /// One look at a kernel, in a process of its own.
    #[command(hide = true)]
    Inspect(looks::InspectArgs),
}

pub fn run(command: KernelCommand) -> Result<(), Error> {
    match command {
        KernelCommand::List => show::list(),
        KernelCommand::Show(args) => show::run(&args),
        KernelCommand::Pages(args) => page::write(&args),
        KernelCommand::New(args) => new::run(&args),
        KernelCommand::Check(args) => check::run(&args),
        KernelCommand::Bench(args) => bench::run(&args),
        KernelCommand::Compare(args) => compare::run(&args),
        KernelCommand::Table(args) => table::run(&args),
        KernelCommand::Predict(args) => predict::run(&args),
        KernelCommand::Inspect(args) => looks::child(&args),
    }
}

/// An error that names the ops which have a contract, for one that has none.
fn no_contract(op: &str) -> Error {
    let files = OPS.iter().flat_map(|(_, files)| *files).copied();
    let files: Vec<&str> = files.collect();
    let files = files.join(", ");
    format!("op `{op}` has no contract; expected one of {files}").into()
}

/// The text of an op's kernel file, as it was built in.
fn built_in(op: &str) -> Result<&'static str, Error> {
    let files = || {
        let named =
            |&(name, text): &(&'static str, &'static str)| Some((name.strip_suffix(".cu")?, text));
        sources().iter().filter_map(named)
    };
    let found = files().find(|(name, _)| *name == op);
    found.map(|(_, text)| text).ok_or_else(|| {
        let ops: Vec<&str> = files().map(|(name, _)| name).collect();
        format!("no op `{op}`; expected one of {}", ops.join(", ")).into()
    })
}

/// The comment that a file begins with, without its `mark`.
fn head(text: &str, mark: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix(mark));
    lines
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect()
}
