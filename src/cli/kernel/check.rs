//! `lrem kernel check`: looks at a kernel, all at the same time: with the sanitizer, with the blocks in
//! falling order, with everything counted, and on a GPU where one is asked for.

use super::counted::{Counted, counted};
use super::looks::{self, Activations, Gpu, Look, first_error};
use super::outcome::Outcome;
use super::source::KernelSource;
use crate::cli::Error;
use clap::Args;
use lrem::workbench::{Inspection, Reason, Verdict, Workspace, WorkspaceError};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[derive(Args)]
pub struct CheckArgs {
    /// The kernel file, `.cu` or `.ptx`, whose `// instance:` lines name the kernels that it stands for; or a
    /// solution: a folder with `solution.json`, or such a file.
    file: PathBuf,
    /// The op that it does, or a kernel file of that op's; by default the file's name.
    #[arg(long)]
    op: Option<String>,
    /// Draws the shapes and inputs; fresh each time by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Where results are compared; the sanitizer and the counts are the virtual GPU's.
    #[arg(long, value_enum, default_value = "simt")]
    device: Gpu,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What was seen of a kernel file: what is wrong, the shapes that it ran at, what it does.
#[derive(Default)]
struct Seen {
    verdicts: Vec<Verdict>,
    shapes: Vec<String>,
    unlaunched: Vec<String>,
    kernels: Vec<Counted>,
}

pub fn run(args: &CheckArgs) -> Result<(), Error> {
    let started = Instant::now();
    let source = KernelSource::open(&args.file, args.op.as_deref())?;
    let drawn = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |t| t.as_nanos() as u64)
    };
    let seed = args.seed.unwrap_or_else(drawn);
    let seen = match source.workspace() {
        Ok(workspace) => examine(&source, seed, workspace, args.device)?,
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
        file: source.name.clone(),
        op: source.op,
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

/// What the looks at a kernel file found.
fn examine(
    source: &KernelSource,
    seed: u64,
    mut workspace: Workspace,
    device: Gpu,
) -> Result<Seen, Error> {
    let logs = tempfile::tempdir()?;
    let profile = logs.path().join("counts.jsonl");
    // The sanitizer takes longest, and one thread.
    let types = Activations::of(source.op).iter().copied();
    let found = |i: usize| logs.path().join(format!("findings-{i}.jsonl"));
    let found: Vec<(PathBuf, Activations)> =
        types.enumerate().map(|(i, t)| (found(i), t)).collect();
    let sanitized = found.iter().map(|(path, t)| Look::Sanitizer(path, *t));
    let mut wanted: Vec<Look<'_>> = sanitized.collect();
    wanted.extend([Look::Falling, Look::Counts(&profile, None, None)]);
    if device == Gpu::Cuda {
        wanted.push(Look::Cuda);
    }
    let children: Vec<Child> = wanted
        .into_iter()
        .map(|look| looks::start(look, source.op, seed, &workspace))
        .collect::<Result<_, Error>>()?;
    // While they run.
    let code = workspace.machine_code()?;
    let workspace = &workspace;
    let mut verdicts = Vec::new();
    let mut inspections: Vec<Vec<Inspection>> = Vec::new();
    for child in children {
        let seen = looks::finish(child, workspace)?;
        inspections.push(seen.unwrap_or_else(|seen| {
            verdicts.push(Verdict {
                reason: Reason::Failed,
                seen,
            });
            Vec::new()
        }));
    }
    let (checked, rest) = inspections.split_at(found.len());
    let [falling, counts, on_gpu @ ..] = rest else {
        return Err("expected what every look saw".into());
    };
    let checked = &checked.concat();
    for (path, _) in &found {
        verdicts.extend(findings(path, workspace)?);
    }
    for look in checked.iter().chain(on_gpu.iter().flatten()) {
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
        kernels: counted(&profile, counts, &source.text, &code, workspace),
    })
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
