//! An op's page: what it has to do, how its kernels are launched, what they were counted to do.

use super::counted::Counted;
use super::figures::{At, Figures, Side};
use super::looks::Gpu;
use super::show::{checked, contract};
use super::source::KernelSource;
use super::{built_in, head};
use crate::cli::Error;
use clap::Args;
use lrem::workbench::CHIPS;
use lrem::workbench::contracts::OPS;
use std::fmt::Write;
use std::path::PathBuf;

#[derive(Args)]
pub struct PagesArgs {
    /// The folder to write `OP.md` to.
    folder: PathBuf,
    /// These ops alone.
    #[arg(long = "op")]
    ops: Vec<String>,
}

pub fn write(args: &PagesArgs) -> Result<(), Error> {
    std::fs::create_dir_all(&args.folder)
        .map_err(|error| format!("{}: {error}", args.folder.display()))?;
    let wanted = |op: &str| args.ops.is_empty() || args.ops.iter().any(|o| o == op);
    for (op, files) in OPS.iter().filter(|(op, _)| wanted(op)) {
        let path = args.folder.join(format!("{op}.md"));
        std::fs::write(&path, page(op, files)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// The page of an op in Markdown; its kernels are in `files`.
fn page(op: &str, files: &[&str]) -> Result<String, Error> {
    let mut text = format!("# {op}\n\n");
    if let Some(contract) = contract(op) {
        writeln!(text, "{}", head(contract, "//!"))?;
    }
    if let Some(checked) = checked(op) {
        writeln!(text, "## Check\n\n{}", head(checked, "//!"))?;
    }
    let sides = files
        .iter()
        .map(|file| Ok(Side::new(KernelSource::built_in(file)?)?));
    let sides = sides.collect::<Result<Vec<Side>, Error>>()?;
    writeln!(text, "## Kernels\n")?;
    for file in files {
        writeln!(text, "```text\n{}```\n", head(built_in(file)?, "//"))?;
    }
    writeln!(text, "## Counts\n\n{COUNTS}\n")?;
    for workload in At::default().workloads(op)? {
        for (side, file) in sides.iter().zip(files) {
            let figures = side.figures(&workload, Gpu::Simt)?;
            let figures = figures.map_err(|said| format!("{file} at {}: {said}", workload.uuid))?;
            if !figures.kernels.is_empty() {
                section(&mut text, &workload.uuid, &figures)?;
            }
        }
    }
    Ok(text)
}

const COUNTS: &str = "Of `lrem kernel bench`, on the virtual GPU as sm_80: bytes that have to cross HBM's pins, \
over those that the op cannot do without; sectors of global memory and wavefronts of shared memory over what the \
same accesses need at best; the time by the model, without launching, and what it is made of. Local are \
loads and stores of spilled registers. Error is the largest of any output, over what the op's error analysis allows.";

fn section(text: &mut String, workload: &str, figures: &Figures) -> std::fmt::Result {
    writeln!(
        text,
        "### {workload}\n\n`{}`, error over allowed {}\n",
        figures.kernels.first().map_or("", |k| k.shape.as_str()),
        figures.errors()
    )?;
    writeln!(
        text,
        "| kernel | blocks x threads | registers | local | shared | occupancy | HBM bytes | x needed | sectors | wavefronts | instructions | {} | limit |",
        CHIPS.map(|chip| chip.name).join(" | ")
    )?;
    writeln!(text, "|---|---|{}---|", "--:|".repeat(9 + CHIPS.len()))?;
    figures.kernels.iter().try_for_each(|k| row(text, k))?;
    writeln!(text)
}

fn row(text: &mut String, k: &Counted) -> std::fmt::Result {
    let [x, y, z] = k.counts.grid;
    let threads: u32 = k.counts.block.iter().product();
    let code = k.machine_code.as_ref();
    write!(
        text,
        "| {} | {x} x {y} x {z} x {threads} | {} | {} | {} | {} | {} | {} | {:.3} | {:.3} | {} |",
        k.instance,
        code.map_or("".into(), |c| c.registers.to_string()),
        code.map_or("".into(), |c| c.local.to_string()),
        k.counts.shared_bytes,
        k.occupancy
            .map_or("".into(), |o| format!("{:.0} %", 100.0 * o)),
        k.counts.memory_bytes,
        k.bytes_over_compulsory
            .map_or("".into(), |r| format!("{r:.3}")),
        k.counts.sectors_over_ideal,
        k.counts.wavefronts_over_ideal,
        k.counts.warp_instructions
    )?;
    for chip in &CHIPS {
        match k.counts.on(chip) {
            Some(prediction) => write!(text, " {:.2} us |", 1e6 * prediction.running())?,
            None => write!(text, " |")?,
        }
    }
    writeln!(
        text,
        " {} |",
        k.counts.predicted().map_or("", |p| p.limit.name())
    )
}
