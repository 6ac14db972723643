//! One look at a kernel, in a process of its own: what the virtual GPU was asked to look for is in its
//! driver's environment.

use super::{Contract, Cost, Draw, Errors, Probe, Runs, Verdict, Workload, check, diagnose};
use crate::device::cuda::{Cuda, Driver};
use crate::device::{DeviceError, Real, Result};
use crate::ops::philox::PhiloxStream;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use xxhash_rust::xxh3::Xxh3;

/// Timed runs on a GPU, after one that warms up.
const RUNS: usize = 9;

/// What was seen with activations of one type.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Inspection {
    /// `f32` or `bf16`.
    pub real: String,
    /// What ran it, as its driver calls it.
    pub device: String,
    /// Shapes that it ran at.
    pub shapes: Vec<String>,
    /// What is wrong.
    pub verdicts: Vec<Verdict>,
    /// Hash of the outputs of every case's first run, to compare with a run in another order.
    pub digests: Vec<u64>,
    /// Kernel instances that were launched.
    pub launched: Vec<String>,
    /// Of one shape alone: what the op's kernels could not do without.
    pub costs: Vec<Cost>,
    /// Of one shape alone: how far off the results were.
    pub errors: Option<Errors>,
    /// Of one shape alone, on a GPU: seconds of each instance's first launch, the median of several runs.
    pub times: Vec<(String, f64)>,
}

/// Runs the contract's cases, drawn by `seed`, so often.
///
/// # Errors
/// Where the device cannot be opened.
pub fn inspect<C: Contract, T: Real>(driver: Driver, seed: u64, runs: Runs) -> Result<Inspection> {
    let device = Cuda::<T>::new(driver)?;
    let cases = check::<C, _>(&device, seed, runs);
    let mut inspection = Inspection {
        real: T::NAME.into(),
        device: device.context().name.clone(),
        verdicts: diagnose(&cases),
        launched: device.context().launched(),
        ..Inspection::default()
    };
    for case in &cases {
        let mut hash = Xxh3::new();
        let first = case.runs.iter().take(1).flatten();
        for v in first.flat_map(|(_, outputs)| outputs).flat_map(|o| &o.got) {
            let bits = if v.is_nan() { u32::MAX } else { v.to_bits() };
            hash.update(&bits.to_le_bytes());
        }
        inspection.digests.push(hash.digest());
        inspection.shapes.push(case.shape.clone());
    }
    Ok(inspection)
}

/// Runs one shape: a workload's, or a model's that `seed` draws.
///
/// # Errors
/// Where the device cannot be opened or fails, and for axes that are no shape of the op.
pub fn measure<C: Contract, T: Real>(
    driver: Driver,
    workload: Option<&Workload>,
    seed: u64,
) -> Result<Inspection> {
    let (shape, seed) = match workload {
        Some(workload) => {
            let given = workload.shape::<C>();
            let given = given.and_then(|shape| Ok((shape, workload.seed()?)));
            given.map_err(|message| DeviceError::Argument { op: C::OP, message })?
        }
        None => {
            let shape = C::shape(Draw::Counted, &mut PhiloxStream::new(seed, 0));
            (shape, seed)
        }
    };
    let device = Cuda::<T>::new(driver)?;
    let run = || {
        let mut probe = Probe::new(&device, f32::NAN);
        C::run(&shape, Draw::Counted, seed, &mut probe)?;
        probe.finish()
    };
    let (_, outputs) = run()?;
    let mut inspection = Inspection {
        real: T::NAME.into(),
        device: device.context().name.clone(),
        shapes: vec![format!("{shape:?}")],
        launched: device.context().launched(),
        costs: C::costs(&shape, seed, size_of::<T>()),
        errors: Some(Errors::of(&outputs)),
        ..Inspection::default()
    };
    if driver == Driver::Nvidia {
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            device.context().time_launches();
            run()?;
            runs.push(device.context().launch_times()?);
        }
        inspection.times = medians(&runs);
    }
    Ok(inspection)
}

/// The median over runs of the time of each instance's first launch, in seconds.
fn medians(runs: &[Vec<(String, Duration)>]) -> Vec<(String, f64)> {
    let mut medians: Vec<(String, f64)> = Vec::new();
    for (instance, _) in runs.iter().flatten() {
        if medians.iter().any(|(seen, _)| seen == instance) {
            continue;
        }
        let first = |run: &Vec<(String, Duration)>| {
            let found = run.iter().find(|(name, _)| name == instance);
            found.map(|(_, time)| time.as_secs_f64())
        };
        let mut times: Vec<f64> = runs.iter().filter_map(first).collect();
        times.sort_by(f64::total_cmp);
        medians.push((instance.clone(), times[times.len() / 2]));
    }
    medians
}

#[cfg(test)]
mod tests {
    use super::medians;
    use std::time::Duration;

    #[test]
    fn each_instances_first_launch_counts() {
        let run = |first: u64| {
            let launch = |name: &str, s| (name.to_string(), Duration::from_secs(s));
            vec![launch("a", first), launch("b", 50), launch("a", 99)]
        };
        let runs = [run(3), run(1), run(2)];
        assert_eq!(medians(&runs), [("a".into(), 2.0), ("b".into(), 50.0)]);
        assert_eq!(medians(&[]), []);
    }
}
