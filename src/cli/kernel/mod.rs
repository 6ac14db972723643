//! `lrem kernel`: write a kernel, know in seconds whether it is right and what it costs.

mod check;
mod counts;
mod new;
mod outcome;
mod show;

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
    /// Write a kernel file to start from.
    New(new::NewArgs),
    /// Check a kernel file against an op's contract on the virtual GPU, and count what it does.
    Check(check::CheckArgs),
    /// One look of `check`, in a process of its own.
    #[command(hide = true)]
    Inspect(check::InspectArgs),
}

pub fn run(command: KernelCommand) -> Result<(), Error> {
    match command {
        KernelCommand::List => show::list(),
        KernelCommand::Show(args) => show::run(&args),
        KernelCommand::New(args) => new::run(&args),
        KernelCommand::Check(args) => check::run(&args),
        KernelCommand::Inspect(args) => check::inspect(&args),
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
