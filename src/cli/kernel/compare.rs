//! `lrem kernel compare`: two kernel files at the same workloads, side by side.

use super::counted::Counted;
use super::figures::{At, Figures, Side};
use super::looks::Gpu;
use super::source::KernelSource;
use crate::cli::Error;
use clap::Args;
use lrem::workbench::Workload;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A ratio that differs from 1 by less is called the same: counts are exact, but the model is not.
const SAME: f64 = 0.005;

/// What stands for the built-in kernels in the place of a file.
const BUILT_IN: &str = "built-in";

#[derive(Args)]
pub struct CompareArgs {
    /// The kernel file or solution to compare with, or `built-in`.
    base: PathBuf,
    /// The kernel file or solution that may be better, or `built-in`.
    new: PathBuf,
    /// The op; by default the name of a file.
    #[arg(long)]
    op: Option<String>,
    #[command(flatten)]
    at: At,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// NEW over BASE, of one kernel at one workload.
#[derive(Serialize)]
struct Row {
    workload: String,
    kernel: String,
    /// Microseconds of the work on an A100 by the model.
    base_us: f64,
    new_us: f64,
    predicted: f64,
    bytes: f64,
    sectors: f64,
    wavefronts: f64,
    instructions: f64,
    /// Of times on the GPU.
    measured: Option<f64>,
    limit: String,
}

#[derive(Serialize)]
struct Comparison<'a> {
    op: &'a str,
    base: &'a str,
    new: &'a str,
    rows: &'a [Row],
    /// Geometric mean of the predicted ratios.
    predicted: f64,
    wrong: &'a [String],
}

pub fn run(args: &CompareArgs) -> Result<(), Error> {
    let [base, new] = sides(args)?;
    if base.source.op != new.source.op {
        let (a, b) = (base.source.op, new.source.op);
        return Err(format!("BASE is of {a} and NEW of {b}; expected two of one op").into());
    }
    let op = base.source.op;
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for workload in args.at.workloads(op)? {
        let [a, b] = both(&base, &new, &workload, args.at.device)?;
        for (side, figures) in [(&base, &a), (&new, &b)] {
            let name = &side.source.name;
            match figures {
                Err(said) => wrong.push(format!("{name} at {}: {said}", workload.uuid)),
                Ok(figures) if !figures.right() => wrong.push(format!(
                    "{name} at {}: {} is off by {:.3e} of what is allowed",
                    workload.uuid,
                    figures.worst().place,
                    figures.worst().of_allowed
                )),
                Ok(_) => {}
            }
        }
        if let (Ok(a), Ok(b)) = (&a, &b) {
            rows.extend(paired(&workload, a, b));
        }
    }
    let finite = |ratio: &f64| ratio.is_finite();
    let predicted = geometric_mean(rows.iter().map(|row| row.predicted).filter(finite));
    let comparison = Comparison {
        op,
        base: &base.source.name,
        new: &new.source.name,
        rows: &rows,
        predicted,
        wrong: &wrong,
    };
    print(&comparison, args.json)?;
    match wrong.first() {
        None if rows.is_empty() => Err("the two have no kernel in common".into()),
        None => Ok(()),
        Some(first) => Err(first.clone().into()),
    }
}

/// Both sides; one that is built in is what the other's kernels stand for.
fn sides(args: &CompareArgs) -> Result<[Side; 2], Error> {
    let side = |source: KernelSource| -> Result<Side, Error> { Ok(Side::new(source)?) };
    let file = |path: &Path| match path == Path::new(BUILT_IN) {
        true => Ok(None),
        false => side(KernelSource::open(path, args.op.as_deref())?).map(Some),
    };
    match (file(&args.base)?, file(&args.new)?, args.op.as_deref()) {
        (Some(base), Some(new), _) => Ok([base, new]),
        (Some(base), None, _) => {
            let new = base.built_in()?;
            Ok([base, new])
        }
        (None, Some(new), _) => Ok([new.built_in()?, new]),
        (None, None, Some(op)) => {
            let built_in = || side(KernelSource::built_in(op)?);
            Ok([built_in()?, built_in()?])
        }
        (None, None, None) => Err("expected --op where both are built in".into()),
    }
}

type Sides = [Result<Figures, String>; 2];

/// Both sides, at the same time unless they are timed.
fn both(base: &Side, new: &Side, workload: &Workload, device: Gpu) -> Result<Sides, Error> {
    if device == Gpu::Cuda {
        return Ok([
            base.figures(workload, device)?,
            new.figures(workload, device)?,
        ]);
    }
    std::thread::scope(|scope| {
        let other = scope.spawn(|| new.figures(workload, device).map_err(|e| e.to_string()));
        let base = base.figures(workload, device)?;
        let new = other.join().map_err(|_| "a measuring thread panicked")??;
        Ok([base, new])
    })
}

/// The kernels that both have.
fn paired(workload: &Workload, base: &Figures, new: &Figures) -> Vec<Row> {
    let other = |kernel: &Counted| {
        let mut kernels = new.kernels.iter();
        kernels.find(|k| k.instance == kernel.instance)
    };
    let pairs = base
        .kernels
        .iter()
        .filter_map(|kernel| Some((kernel, other(kernel)?)));
    pairs.map(|(a, b)| row(workload, a, b)).collect()
}

fn row(workload: &Workload, a: &Counted, b: &Counted) -> Row {
    let work = |k: &Counted| k.counts.predicted().map_or(0.0, |p| p.work);
    Row {
        workload: workload.uuid.clone(),
        kernel: a.instance.clone(),
        base_us: 1e6 * work(a),
        new_us: 1e6 * work(b),
        predicted: ratio(work(b), work(a)),
        bytes: ratio(b.counts.memory_bytes as f64, a.counts.memory_bytes as f64),
        sectors: ratio(b.counts.sectors as f64, a.counts.sectors as f64),
        wavefronts: ratio(b.counts.wavefronts as f64, a.counts.wavefronts as f64),
        instructions: ratio(
            b.counts.warp_instructions as f64,
            a.counts.warp_instructions as f64,
        ),
        measured: b.measured.zip(a.measured).map(|(b, a)| ratio(b, a)),
        limit: b
            .counts
            .predicted()
            .map_or("", |p| p.busiest.name())
            .to_string(),
    }
}

/// `new` over `base`; 1 where neither does any, infinite where the base alone does none.
fn ratio(new: f64, base: f64) -> f64 {
    if new == base { 1.0 } else { new / base }
}

fn shown(ratio: f64) -> String {
    match ratio.is_finite() {
        true => format!("{ratio:.3}"),
        false => "from 0".into(),
    }
}

fn geometric_mean(ratios: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = ratios.fold((0.0, 0), |(sum, n), r| (sum + r.ln(), n + 1));
    if count == 0 {
        1.0
    } else {
        (sum / f64::from(count)).exp()
    }
}

fn print(comparison: &Comparison<'_>, json: bool) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(comparison)?)?;
        return Ok(());
    }
    let Comparison { op, base, new, .. } = comparison;
    writeln!(out, "{op}: {new} over {base}")?;
    let mut last = "";
    for row in comparison.rows {
        if row.workload != last {
            writeln!(
                out,
                "\n{}\n  {:<34} {:>9} {:>9} {:>7} {:>7} {:>8} {:>10} {:>12}  limit",
                row.workload,
                "kernel",
                "base us",
                "new us",
                "time",
                "bytes",
                "sectors",
                "wavefronts",
                "instructions"
            )?;
            last = &row.workload;
        }
        write!(
            out,
            "  {:<34} {:>9.2} {:>9.2} {:>7} {:>7} {:>8} {:>10} {:>12}  {}",
            row.kernel,
            row.base_us,
            row.new_us,
            shown(row.predicted),
            shown(row.bytes),
            shown(row.sectors),
            shown(row.wavefronts),
            shown(row.instructions),
            row.limit
        )?;
        match row.measured {
            Some(ratio) => writeln!(out, ", measured {ratio:.3}")?,
            None => writeln!(out)?,
        }
    }
    let mean = comparison.predicted;
    let verdict = match mean {
        m if (m - 1.0).abs() < SAME => "as much time as",
        m if m < 1.0 => "less time than",
        _ => "more time than",
    };
    writeln!(
        out,
        "\nBy the model for A100, {new} takes {verdict} {base}: {mean:.3} x over {} launches.",
        comparison.rows.len()
    )?;
    for line in comparison.wrong {
        writeln!(out, "wrong: {line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{geometric_mean, ratio, shown};

    #[test]
    fn ratios_of_nothing_are_one() {
        assert_eq!((ratio(0.0, 0.0), ratio(1.0, 2.0)), (1.0, 0.5));
        assert_eq!(
            (ratio(1.0, 0.0), shown(ratio(1.0, 0.0)).as_str()),
            (f64::INFINITY, "from 0")
        );
        assert_eq!(geometric_mean([].into_iter()), 1.0);
        assert!((geometric_mean([0.5, 2.0, 4.0, 0.25].into_iter()) - 1.0).abs() < 1e-12);
    }
}
