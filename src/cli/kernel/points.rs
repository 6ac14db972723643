//! The built-in kernels as points of a roofline.

use super::counted::Counted;
use super::figures::{At, Side};
use super::looks::Gpu;
use super::source::KernelSource;
use crate::cli::{Error, common};
use lrem::bench::roofline::{Point, Precision};
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
            let kernels = figures.kernels.iter();
            points.extend(kernels.filter_map(|k| point(k, &workload.uuid, chip)));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(points)
}

/// A kernel that the op's contract says the work of.
fn point(kernel: &Counted, workload: &str, chip: &str) -> Option<Point> {
    let needed = kernel.needed.as_ref()?;
    let predicted = || {
        let of_chip = kernel
            .counts
            .predictions
            .iter()
            .find(|(name, _)| name == chip);
        of_chip.map(|(_, prediction)| prediction.work)
    };
    Some(Point {
        id: format!("{}/{workload}", kernel.instance),
        precision: match kernel.counts.tensor_flops {
            0 => Precision::F32,
            _ => Precision::Bf16,
        },
        flops: needed.flops as f64,
        bytes: needed.bytes as f64,
        seconds: kernel.measured.or_else(predicted).filter(|s| *s > 0.0)?,
    })
}
