//! The command line. Errors are one line on stderr; exit 1, or 2 for wrong usage, or 130 after an
//! interrupt.

mod ablate;
mod answers;
mod bench;
mod common;
mod curves;
mod demo;
mod embed;
mod evaluate;
mod gate;
mod index;
mod kernel;
mod latency;
mod measurement;
mod model;
mod origin;
mod rewriter;
mod search;
mod searcher;
mod train;
mod trained;
mod triplets;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Large Reasoning Embedding Models: train, search, and work on the kernels under them.
#[derive(Parser)]
#[command(name = "lrem", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Folder of kernel files that stand for the built-in ones of the same names, on cuda and simt.
    #[arg(long, global = true)]
    kernels: Option<std::path::PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Train on the bundled shop, measure, and show results.
    Demo(demo::DemoArgs),
    /// Measure the engine on this machine.
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Inspect, convert and compare models.
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Train a model by a recipe.
    Train(train::TrainArgs),
    /// Embed titles, as a stream.
    Embed(embed::EmbedArgs),
    /// Make embeddings, or a catalogue, searchable.
    Index(index::IndexArgs),
    /// Search an index, with or without a thought.
    Search(search::SearchArgs),
    /// Measure a run, or a model with its index, against judgements.
    Evaluate(evaluate::EvaluateArgs),
    /// Make training data from a catalogue and a query log with a teacher model.
    Triplets(triplets::TripletsArgs),
    /// Write kernels: contracts, checks, counts.
    #[command(subcommand)]
    Kernel(kernel::KernelCommand),
    /// Compare methods, thought budgets and seeds, and write a report.
    Ablate(ablate::AblateArgs),
}

/// Any command's error: its one line is what the user sees.
pub type Error = Box<dyn std::error::Error>;

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    if let Some(folder) = cli.kernels {
        lrem::device::cuda::use_kernels_of(folder);
    }
    let result = match cli.command {
        Command::Demo(a) => demo::run(a),
        Command::Bench(c) => bench::run(c),
        Command::Model(c) => model::run(c),
        Command::Train(a) => train::run(a),
        Command::Embed(a) => embed::run(a),
        Command::Index(a) => index::run(a),
        Command::Search(a) => search::run(a),
        Command::Evaluate(a) => evaluate::run(a),
        Command::Kernel(c) => kernel::run(c),
        Command::Triplets(a) => triplets::run(a),
        Command::Ablate(a) => ablate::run(a),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let interrupted = error.is::<common::Interrupted>()
                || matches!(
                    error.downcast_ref::<lrem::train::TrainError>(),
                    Some(lrem::train::TrainError::Interrupted { .. })
                );
            let line = error.to_string().replace('\n', " ");
            eprintln!("lrem: {line}");
            ExitCode::from(if interrupted { 130 } else { 1 })
        }
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
