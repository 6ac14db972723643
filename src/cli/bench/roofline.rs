//! `lrem bench roofline`: how much of this machine each benchmarked op uses.

use super::columns;
use crate::cli::Error;
use clap::Args;
use lrem::bench::criterion::Folder;
use lrem::bench::roofline::{Peaks, Point, chart, table};
use lrem::data::write_atomic;
use lrem::device::cpu::Isa;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct RooflineArgs {
    /// Criterion folder, or DIR@BASELINE, measured on this machine.
    #[arg(default_value = "target/criterion")]
    folder: PathBuf,
    /// Only the benchmarks whose names contain this.
    #[arg(long, default_value = "")]
    filter: String,
    /// Write a Markdown table; `-` prints it.
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// Write a plot, its points numbered as in the table.
    #[arg(long)]
    svg: Option<PathBuf>,
}

pub fn run(args: &RooflineArgs) -> Result<(), Error> {
    let folder = Folder::named(&args.folder);
    let measured = folder.read()?;
    let named = measured.iter().filter(|m| m.id.contains(&args.filter));
    let points: Vec<Point> = named.filter_map(Point::of).collect();
    if points.is_empty() {
        let message = format!(
            "{}: no benchmark whose name contains `{}` counts flops and bytes; expected \
             `Throughput::ElementsAndBytes`",
            folder.path.display(),
            args.filter
        );
        return Err(message.into());
    }
    let peaks = Peaks::measure(Isa::detect());
    let table = table(&points, &peaks);
    match &args.markdown {
        Some(path) if path == Path::new("-") => print!("{}", table.markdown()),
        Some(path) => write_atomic(path, |out| out.write_all(table.markdown().as_bytes()))?,
        None => columns(&table),
    }
    if let Some(path) = &args.svg {
        let svg = chart(&points, &peaks).svg();
        write_atomic(path, |out| out.write_all(svg.as_bytes()))?;
    }
    Ok(())
}
