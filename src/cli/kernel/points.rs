//! The built-in kernels as points of a roofline.

use super::counted::Counted;
use super::figures::{At, Side};
use super::looks::Gpu;
use super::source::KernelSource;
use crate::cli::{Error, common};
use lrem::bench::roofline::{Point, Precision};
use lrem::workbench::Chip;
use lrem::workbench::contracts::OPS;

/// Every op's kernels at the built-in workloads whose `OP/WORKLOAD` contains `filter`: measured on a GPU, or on
/// the virtual one by the model for `chip`.
pub fn points(gpu: Gpu, chip: &str, filter: &str) -> Result<Vec<Point>, Error> {
    let mut wanted = Vec::new();
    for (op, files) in OPS {
        let mut workloads = At::default().workloads(op)?;
        workloads.retain(|w| format!("{op}/{}", w.uuid).contains(filter));
        if !workloads.is_empty() {
            wanted.extend(files.iter().map(|file| (*file, workloads.clone())));
        }
    }
    let bar = common::bar("kernel files", Some(wanted.len()));
    let mut points = Vec::new();
    for (file, workloads) in wanted {
        bar.set_message(file);
        let side = Side::new(KernelSource::built_in(file)?)?;
        for workload in &workloads {
            let figures = side.figures(workload, gpu)?;
            let figures = figures.map_err(|said| format!("{file} at {}: {said}", workload.uuid))?;
            // What is measured stands beside the prediction for the chip at hand, where the model knows it.
            let chip = match gpu {
                Gpu::Simt => Some(chip),
                Gpu::Cuda => Chip::named(&figures.device).map(|chip| chip.name),
            };
            let kernels = figures.kernels.iter();
            points.extend(kernels.filter_map(|k| point(k, &workload.uuid, chip)));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(points)
}

/// A kernel that the op's contract says the work of.
fn point(kernel: &Counted, workload: &str, chip: Option<&str>) -> Option<Point> {
    let needed = kernel.needed.as_ref()?;
    let mut predictions = kernel.counts.predictions.iter();
    let of_chip = predictions.find(|(name, _)| chip.is_some_and(|chip| name == chip));
    let prediction = of_chip.map(|(_, prediction)| prediction);
    let measured = kernel.measured;
    Some(Point {
        id: format!("{}/{workload}", kernel.instance),
        precision: match kernel.counts.tensor_flops {
            0 => Precision::F32,
            _ => Precision::Bf16,
        },
        flops: needed.flops as f64,
        bytes: needed.bytes as f64,
        seconds: measured
            .or(prediction.map(|p| p.work))
            .filter(|s| *s > 0.0)?,
        predicted: measured.and(prediction).map(|p| p.seconds),
    })
}
