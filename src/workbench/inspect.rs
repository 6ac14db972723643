//! One look at a kernel, in a process of its own: what the virtual GPU was asked to look for is in its
//! driver's environment.

use super::{Call, Contract, Cost, Draw, Errors, Probe, Runs, Verdict, Workload, check, diagnose};
use crate::device::cuda::{Cuda, Driver};
use crate::device::{DeviceError, Real, Result};
use crate::ops::philox::PhiloxStream;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// Timed launches of a kernel on a GPU, after one that warms up.
const REPEATS: u32 = 20;

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
    /// Of one shape alone: the op's calls, each a range of the device's profiler, in their order.
    pub calls: Vec<Call>,
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

/// Runs one shape: a workload's, or a model's that `seed` draws. Where it is `timed`, an NVIDIA GPU runs it again
/// for the times.
///
/// # Errors
/// Where the device cannot be opened or fails, and for axes that are no shape of the op.
pub fn measure<C: Contract, T: Real>(
    driver: Driver,
    workload: Option<&Workload>,
    seed: u64,
    timed: bool,
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
        let calls = probe.calls().to_vec();
        probe.finish().map(|(_, outputs)| (calls, outputs))
    };
    let (calls, outputs) = run()?;
    let mut inspection = Inspection {
        real: T::NAME.into(),
        device: device.context().name.clone(),
        shapes: vec![format!("{shape:?}")],
        launched: device.context().launched(),
        costs: C::costs(&shape, seed, size_of::<T>()),
        calls,
        errors: Some(Errors::of(&outputs)),
        ..Inspection::default()
    };
    if timed && driver == Driver::Nvidia {
        device.context().time_launches(REPEATS);
        run()?;
        let times = first_of_each(device.context().launch_times()?);
        inspection.times = times
            .into_iter()
            .map(|(instance, time)| (instance, time.as_secs_f64()))
            .collect();
    }
    Ok(inspection)
}

/// The first value of each instance, in the order of their launches.
pub fn first_of_each<V>(launches: Vec<(String, V)>) -> Vec<(String, V)> {
    let mut firsts: Vec<(String, V)> = Vec::new();
    for (instance, value) in launches {
        if !firsts.iter().any(|(seen, _)| *seen == instance) {
            firsts.push((instance, value));
        }
    }
    firsts
}
