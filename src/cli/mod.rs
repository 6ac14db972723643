//! The command line. Errors are one line on stderr; exit 1, or 2 for wrong usage, or 130 after an
//! interrupt.

mod bench;
mod common;
mod model;
mod train;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Large Reasoning Embedding Models: train, search, and work on the kernels under them.
#[derive(Parser)]
#[command(name = "lrem", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure the engine on this machine.
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Inspect, convert and compare models.
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Train a model by a recipe.
    Train(train::TrainArgs),
}

/// Any command's error: its one line is what the user sees.
pub type Error = Box<dyn std::error::Error>;

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Bench(c) => bench::run(c),
        Command::Model(c) => model::run(c),
        Command::Train(a) => train::run(a),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let interrupted = matches!(
                error.downcast_ref::<lrem::train::TrainError>(),
                Some(lrem::train::TrainError::Interrupted { .. })
            );
            let line = error.to_string().replace('\n', " ");
            eprintln!("lrem: {line}");
            ExitCode::from(if interrupted { 130 } else { 1 })
        }
    }
}
