//! `lrem bench roofline`: how much of a machine each op uses.

use super::columns;
use crate::cli::Error;
use crate::cli::common::DeviceName;
use crate::cli::kernel::{self, Gpu};
use clap::Args;
use clap::builder::PossibleValuesParser;
use half::bf16;
use lrem::bench::criterion::Folder;
use lrem::bench::roofline::{Load, Peaks, Point, chart, table};
use lrem::data::write_atomic;
use lrem::device::cpu::Isa;
use lrem::device::cuda::{Cuda, Driver};
use lrem::workbench::CHIPS;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct RooflineArgs {
    /// Criterion folder, or DIR@BASELINE, measured on this machine; of the CPU.
    #[arg(default_value = "target/criterion")]
    folder: PathBuf,
    /// Whose roofline.
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceName,
    /// The GPU that the virtual GPU's counts are turned into times of.
    #[arg(long, default_value = "A100", value_parser = PossibleValuesParser::new(CHIPS.map(|chip| chip.name)))]
    chip: String,
    /// Only the benchmarks whose names contain this; of a GPU the workloads whose `OP/WORKLOAD` does.
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
    let (points, peaks) = match args.device {
        DeviceName::Cpu => args.of_the_cpu()?,
        DeviceName::Cuda => {
            let peaks = Peaks::of_gpu(&Cuda::<bf16>::new(Driver::Nvidia)?, Load::GPU)?;
            (kernel::points(Gpu::Cuda, &args.chip, &args.filter)?, peaks)
        }
        DeviceName::Simt => {
            let chip = CHIPS.iter().find(|chip| chip.name == args.chip);
            let chip = chip.ok_or("expected A100, H100, H200 or B200")?;
            let points = kernel::points(Gpu::Simt, chip.name, &args.filter)?;
            (points, Peaks::of_chip(chip))
        }
    };
    if points.is_empty() {
        return Err(format!("no workload of an op contains `{}`", args.filter).into());
    }
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

impl RooflineArgs {
    fn of_the_cpu(&self) -> Result<(Vec<Point>, Peaks), Error> {
        let folder = Folder::named(&self.folder);
        let measured = folder.read()?;
        let named = measured.iter().filter(|m| m.id.contains(&self.filter));
        let points: Vec<Point> = named.filter_map(Point::of).collect();
        if points.is_empty() {
            let message = format!(
                "{}: no benchmark whose name contains `{}` counts bytes; expected `Throughput::Bytes` or \
                 `Throughput::ElementsAndBytes`",
                folder.path.display(),
                self.filter
            );
            return Err(message.into());
        }
        Ok((points, Peaks::measure(Isa::detect())))
    }
}
