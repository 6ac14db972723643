//! `lrem kernel check`: three looks at a kernel, each in a process of its own, at the same time: with the
//! sanitizer, with the blocks in falling order, and with everything counted.

use super::counts::{Counted, counted};
use super::no_contract;
use super::outcome::Outcome;
use crate::cli::Error;
use clap::Args;
use half::bf16;
use lrem::device::cuda::KERNEL_FOLDER;
use lrem::with_contract;
use lrem::workbench::contracts::op_of;
use lrem::workbench::{
    Contract, Inspection, Reason, Verdict, Workspace, WorkspaceError, inspect as look,
};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[derive(Args)]
pub struct CheckArgs {
    /// The kernel file; its `// instance:` lines name the kernels that it stands for.
    file: PathBuf,
    /// The op that it does, or a kernel file of that op's; by default the file's name.
    #[arg(long)]
    op: Option<String>,
    /// Draws the shapes and inputs; fresh each time by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct InspectArgs {
    #[arg(long)]
    op: String,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    model_only: bool,
}

/// What is looked for.
#[derive(Clone, Copy)]
enum Look {
    Sanitizer,
    Falling,
    Counts,
}

/// What was seen of a kernel file: what is wrong, the shapes that it ran at, what it does.
#[derive(Default)]
struct Seen {
    verdicts: Vec<Verdict>,
    shapes: Vec<String>,
    unlaunched: Vec<String>,
    kernels: Vec<Counted>,
}

/// The child's part: prints an [`Inspection`] for each type of activations.
pub fn inspect(args: &InspectArgs) -> Result<(), Error> {
    let (seed, model_only) = (args.seed, args.model_only);
    let looks = with_contract!(args.op.as_str(), |C| {
        let mut looks = vec![look::<C, f32>(seed, model_only)?];
        if C::TYPED {
            looks.push(look::<C, bf16>(seed, model_only)?);
        }
        looks
    });
    let looks = looks.ok_or_else(|| no_contract(&args.op))?;
    let mut out = std::io::stdout().lock();
    for inspection in looks {
        writeln!(out, "{}", serde_json::to_string(&inspection)?)?;
    }
    Ok(())
}

pub fn run(args: &CheckArgs) -> Result<(), Error> {
    let started = Instant::now();
    let text = std::fs::read_to_string(&args.file)
        .map_err(|error| format!("{}: {error}", args.file.display()))?;
    let stem = args.file.file_stem().unwrap_or_default();
    let name = args
        .op
        .clone()
        .unwrap_or_else(|| stem.to_string_lossy().into_owned());
    let op = op_of(&name).ok_or_else(|| no_contract(&name))?;
    let drawn = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |t| t.as_nanos() as u64)
    };
    let seed = args.seed.unwrap_or_else(drawn);
    let seen = match Workspace::new(op, &args.file) {
        Ok(workspace) => examine(op, seed, &workspace, &text)?,
        Err(WorkspaceError::Compile(said)) => Seen {
            verdicts: vec![Verdict {
                reason: Reason::Compile,
                seen: first_error(&said).to_string(),
            }],
            ..Seen::default()
        },
        Err(WorkspaceError::Io(error)) => return Err(error.into()),
    };
    let outcome = Outcome {
        file: args.file.display().to_string(),
        op,
        seed,
        accepted: seen.verdicts.is_empty(),
        verdicts: seen.verdicts,
        shapes: seen.shapes,
        seconds: started.elapsed().as_secs_f64(),
        unlaunched: seen.unlaunched,
        kernels: seen.kernels,
    };
    outcome.print(args.json)?;
    match outcome.accepted {
        true => Ok(()),
        false => Err(format!("{}: refused", outcome.file).into()),
    }
}

/// What the three looks at a kernel file, whose text is `text`, found.
fn examine(op: &str, seed: u64, workspace: &Workspace, text: &str) -> Result<Seen, Error> {
    let logs = tempfile::tempdir()?;
    let looks = [Look::Sanitizer, Look::Falling, Look::Counts];
    let children: Vec<Child> = looks
        .iter()
        .map(|&look| start(look, op, seed, workspace, logs.path()))
        .collect::<Result<_, Error>>()?;
    let mut verdicts = Vec::new();
    let mut inspections: Vec<Vec<Inspection>> = Vec::new();
    for child in children {
        let output = child.wait_with_output()?;
        let lines = String::from_utf8_lossy(&output.stdout);
        let lines = lines
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let of_look: Vec<Inspection> = lines.collect();
        if of_look.is_empty() {
            let said = String::from_utf8_lossy(&output.stderr);
            let error = first_error(&workspace.shown(said.trim())).to_string();
            verdicts.push(Verdict {
                reason: Reason::Failed,
                seen: error.trim_start_matches("lrem: ").to_string(),
            });
        }
        inspections.push(of_look);
    }
    let [checked, falling, counts] = &inspections[..] else {
        return Err("expected what three looks saw".into());
    };
    verdicts.extend(findings(&logs.path().join("findings.jsonl"), workspace)?);
    for look in checked {
        let typed = |v: &Verdict| Verdict {
            reason: v.reason,
            seen: format!("{}, in {}", workspace.shown(&v.seen), look.real),
        };
        verdicts.extend(look.verdicts.iter().map(typed));
    }
    if verdicts.is_empty() {
        verdicts.extend(order(checked, falling));
    }
    // Stable, so that the first of each reason stays.
    verdicts.sort_by_key(|v| v.reason);
    verdicts.dedup_by_key(|v| v.reason);
    // What the sanitizer found is why the device failed.
    if verdicts.iter().any(|v| v.reason == Reason::Sanitizer) {
        verdicts.retain(|v| v.reason != Reason::Failed);
    }
    Ok(Seen {
        verdicts,
        shapes: checked
            .first()
            .map(|look| look.shapes.clone())
            .unwrap_or_default(),
        unlaunched: workspace
            .instances()
            .filter(|name| {
                !checked
                    .iter()
                    .any(|look| look.launched.iter().any(|l| l == name))
            })
            .map(str::to_owned)
            .collect(),
        kernels: counted(&logs.path().join("counts.jsonl"), counts, text, workspace),
    })
}

/// The line of a message that says what is wrong.
fn first_error(said: &str) -> &str {
    let line = said.lines().find(|line| line.contains("error"));
    line.unwrap_or(said).trim()
}

fn start(
    look: Look,
    op: &str,
    seed: u64,
    workspace: &Workspace,
    logs: &Path,
) -> Result<Child, Error> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["kernel", "inspect", "--op", op, "--seed", &seed.to_string()])
        .env(KERNEL_FOLDER, workspace.path())
        .env("LREM_EXACT_ALLOCATIONS", "1")
        .env("SIMT_ARCH", "sm_80")
        .env("SIMT_TIMEOUT", "20")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    match look {
        Look::Sanitizer => {
            command.env("SIMT_CHECK", "all,-leakcheck");
            command.env("SIMT_CHECK_FILE", logs.join("findings.jsonl"));
        }
        Look::Falling => {
            // On one thread, as the sanitizer runs, so that the order is all that differs.
            command
                .env("SIMT_ORDER", "falling")
                .env("SIMT_THREADS", "1");
        }
        Look::Counts => {
            command.arg("--model-only");
            command.env("SIMT_PROFILE", logs.join("counts.jsonl"));
        }
    }
    Ok(command.spawn()?)
}

/// What the sanitizer found.
fn findings(path: &Path, workspace: &Workspace) -> Result<Vec<Verdict>, Error> {
    let Ok(text) = std::fs::read_to_string(path) else {
        return Ok(Vec::new());
    };
    let mut verdicts: Vec<Verdict> = Vec::new();
    for line in text.lines() {
        let finding: Value = serde_json::from_str(line)?;
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_string();
        let place = format!("{}:{}", workspace.shown(&text("file")), finding["line"]);
        let mut seen = format!("{}, {} at {place}", text("kind"), text("action"));
        if let Some(other) = finding["other"].as_object() {
            let action = other["action"].as_str().unwrap_or_default();
            seen = format!("{seen} and {action} at line {}", other["line"]);
        }
        let reason = Reason::Sanitizer;
        verdicts.push(Verdict { reason, seen });
    }
    Ok(verdicts)
}

/// Whether the blocks' order changes what comes out.
fn order(rising: &[Inspection], falling: &[Inspection]) -> Option<Verdict> {
    for (a, b) in rising.iter().zip(falling) {
        let differs = a.digests.iter().zip(&b.digests).position(|(x, y)| x != y);
        if let Some(case) = differs {
            return Some(Verdict {
                reason: Reason::LaunchOrder,
                seen: format!(
                    "other bits where the last blocks start first, at {}, in {}",
                    a.shapes[case], a.real
                ),
            });
        }
    }
    None
}
