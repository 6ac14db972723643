//! Looks at a kernel: each in a process of its own, since a driver reads its environment once and a kernel
//! may end its process.

use crate::cli::Error;
use clap::{Args, ValueEnum};
use half::bf16;
use lrem::device::Real;
use lrem::device::cuda::{Driver, KERNEL_FOLDER};
use lrem::with_contract;
use lrem::workbench::{Contract, Inspection, Runs, Workload, Workspace, inspect, measure};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Seconds after which a kernel on the virtual GPU is taken to be endless.
const TIMEOUT: &str = "20";

/// What runs a kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Gpu {
    /// The virtual GPU.
    #[default]
    Simt,
    /// An NVIDIA GPU.
    Cuda,
}

/// A type of activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Activations {
    F32,
    Bf16,
}

impl Activations {
    /// Those that an op's kernels are checked with.
    pub fn of(op: &str) -> &'static [Activations] {
        match with_contract!(op, |C| C::TYPED) {
            Some(true) => &[Activations::F32, Activations::Bf16],
            _ => &[Activations::F32],
        }
    }

    /// As the option has it.
    fn name(self) -> &'static str {
        match self {
            Activations::F32 => "f32",
            Activations::Bf16 => "bf16",
        }
    }
}

/// What is looked for.
#[derive(Clone, Copy)]
pub enum Look<'a> {
    /// The drawn cases with one type of activations and the sanitizer, which writes what it finds to a file.
    Sanitizer(&'a Path, Activations),
    /// The drawn cases, the last blocks first.
    Falling,
    /// The drawn cases on an NVIDIA GPU.
    Cuda,
    /// One shape, counted to a file, with one type of activations or with all that the op has.
    Counts(&'a Path, Option<&'a Workload>, Option<Activations>),
    /// One shape, timed on an NVIDIA GPU.
    Times(Option<&'a Workload>),
}

/// What the child of a look is told.
#[derive(Args)]
pub struct InspectArgs {
    #[arg(long)]
    op: String,
    #[arg(long)]
    seed: u64,
    #[arg(long, value_enum, default_value = "simt")]
    gpu: Gpu,
    /// Use one type of activations.
    #[arg(long, value_enum)]
    activations: Option<Activations>,
    /// Run every case once, and time nothing.
    #[arg(long)]
    once: bool,
    /// Run one shape: that of this workload, or a model's if it is empty.
    #[arg(long)]
    shape: Option<String>,
}

/// The child's part: prints an [`Inspection`] for each type of activations.
pub fn child(args: &InspectArgs) -> Result<(), Error> {
    let driver = match args.gpu {
        Gpu::Simt => Driver::Simt,
        Gpu::Cuda => Driver::Nvidia,
    };
    let given = args.shape.as_deref();
    let workload: Option<Workload> = given
        .filter(|text| !text.is_empty())
        .map(serde_json::from_str)
        .transpose()?;
    let task = match given {
        Some(_) => Task::Shape(workload.as_ref(), !args.once),
        None if args.once => Task::Cases(Runs::Once),
        None => Task::Cases(Runs::All),
    };
    let all = Activations::of(&args.op).iter();
    for activations in all.filter(|&&a| args.activations.is_none_or(|only| a == only)) {
        let seen = with_contract!(args.op.as_str(), |C| match activations {
            Activations::F32 => look::<C, f32>(driver, task, args.seed)?,
            Activations::Bf16 => look::<C, bf16>(driver, task, args.seed)?,
        });
        let seen = seen.ok_or_else(|| super::no_contract(&args.op))?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&seen)?)?;
    }
    Ok(())
}

/// What a child runs.
#[derive(Clone, Copy)]
enum Task<'a> {
    Cases(Runs),
    /// And whether its kernels are timed, which takes more launches.
    Shape(Option<&'a Workload>, bool),
}

fn look<C: Contract, T: Real>(
    driver: Driver,
    task: Task<'_>,
    seed: u64,
) -> Result<Inspection, Error> {
    Ok(match task {
        Task::Cases(runs) => inspect::<C, T>(driver, seed, runs)?,
        Task::Shape(workload, timed) => measure::<C, T>(driver, workload, seed, timed)?,
    })
}

/// Starts a look at the kernels in `workspace`, with inputs drawn by `seed` where no workload says so.
pub fn start(look: Look<'_>, op: &str, seed: u64, workspace: &Workspace) -> Result<Child, Error> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["kernel", "inspect", "--op", op, "--seed", &seed.to_string()])
        .env(KERNEL_FOLDER, workspace.path())
        .env("LREM_EXACT_ALLOCATIONS", "1")
        .env("SIMT_ARCH", workspace.arch())
        .env("SIMT_TIMEOUT", TIMEOUT)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    match look {
        Look::Sanitizer(findings, activations) => {
            command.args(["--activations", activations.name()]);
            command.env("SIMT_CHECK", "all,-leakcheck");
            command.env("SIMT_CHECK_FILE", findings);
        }
        Look::Falling => {
            // On one thread, as the sanitizer runs, so that the order is all that differs.
            command
                .arg("--once")
                .env("SIMT_ORDER", "falling")
                .env("SIMT_THREADS", "1");
        }
        Look::Counts(profile, workload, activations) => {
            command.env("SIMT_PROFILE", profile);
            command.args(["--shape", &shape(workload)?]);
            if let Some(activations) = activations {
                command.args(["--activations", activations.name()]);
            }
        }
        Look::Cuda => {
            command.args(["--gpu", "cuda"]);
        }
        Look::Times(workload) => {
            command.args(["--gpu", "cuda", "--shape", &shape(workload)?]);
        }
    }
    Ok(command.spawn()?)
}

fn shape(workload: Option<&Workload>) -> Result<String, Error> {
    Ok(workload.map_or(Ok(String::new()), serde_json::to_string)?)
}

/// Waits for a look: what it saw, or what the process said if it saw nothing.
pub fn finish(
    look: Child,
    workspace: &Workspace,
) -> Result<Result<Vec<Inspection>, String>, Error> {
    let output = look.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let seen: Vec<Inspection> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    if !seen.is_empty() {
        return Ok(Ok(seen));
    }
    let said = workspace.shown(String::from_utf8_lossy(&output.stderr).trim());
    let line = first_error(&said);
    Ok(Err(match line.is_empty() {
        true => format!("the process ended with {}", output.status),
        false => line.trim_start_matches("lrem: ").to_string(),
    }))
}

/// The line of a message that says what is wrong.
pub fn first_error(said: &str) -> &str {
    let line = said.lines().find(|line| line.contains("error"));
    line.unwrap_or(said).trim()
}
