//! One look at a kernel on the virtual GPU, in a process of its own: what it was asked to look for is in
//! the driver's environment.

use super::{Contract, Cost, Draw, Probe, Verdict, check, diagnose};
use crate::device::cuda::{Cuda, Driver};
use crate::device::{Real, Result};
use crate::ops::philox::PhiloxStream;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// What was seen with activations of one type.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Inspection {
    /// `f32` or `bf16`.
    pub real: String,
    /// Shapes that it ran at.
    pub shapes: Vec<String>,
    /// What is wrong.
    pub verdicts: Vec<Verdict>,
    /// Hash of every case's outputs, to compare with a run in another order.
    pub digests: Vec<u64>,
    /// Kernel instances that were launched.
    pub launched: Vec<String>,
    /// What it could not do without, where only the model's shape was run.
    pub costs: Vec<Cost>,
}

/// Runs the contract's cases, or with `model_only` one run at a model's shape, drawn by `seed`.
///
/// # Errors
/// Where the virtual GPU cannot be opened.
pub fn inspect<C: Contract, T: Real>(seed: u64, model_only: bool) -> Result<Inspection> {
    let device = Cuda::<T>::new(Driver::Simt)?;
    let mut inspection = Inspection {
        real: T::NAME.into(),
        shapes: Vec::new(),
        verdicts: Vec::new(),
        digests: Vec::new(),
        launched: Vec::new(),
        costs: Vec::new(),
    };
    if model_only {
        let shape = C::shape(Draw::Counted, &mut PhiloxStream::new(seed, 0));
        let mut probe = Probe::new(&device, f32::NAN);
        C::run(&shape, Draw::Counted, seed, &mut probe)?;
        inspection.costs = C::costs(&shape, size_of::<T>());
        inspection.shapes.push(format!("{shape:?}"));
        return Ok(inspection);
    }
    let cases = check::<C, _>(&device, seed);
    inspection.launched = device.context().launched();
    inspection.verdicts = diagnose(&cases);
    for case in &cases {
        let mut hash = Xxh3::new();
        for (_, outputs) in case.runs.iter().flatten() {
            for v in outputs.iter().flat_map(|o| &o.got) {
                let bits = if v.is_nan() { u32::MAX } else { v.to_bits() };
                hash.update(&bits.to_le_bytes());
            }
        }
        inspection.digests.push(hash.digest());
        inspection.shapes.push(case.shape.clone());
    }
    Ok(inspection)
}
