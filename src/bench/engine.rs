//! The engine's workloads, defined once for `lrem bench engine`, the criterion suite and the comparison with
//! other engines.
//!
//! | name | work | unit |
//! |---|---|---|
//! | `prefill 512` | one sequence of 512 tokens, hidden states only | tok |
//! | `embed 64x24` | 64 sequences of 24 tokens, hidden states only | items |
//! | `decode batch B` | 16 greedy tokens a sequence after a context of 64, without its prefill | tok |
//! | `cold-start step 16 pairs` | forward, backward and AdamW of 16 pairs: a query of 12 tokens below instructions of 64 with a thought of 16, an item of 24 below 16 | pairs |
//! | `RL step 4 queries x 8` | 8 thoughts of 16 tokens sampled for each of 4 such queries, then forward, backward and AdamW of the policy loss and InfoNCE over all of them | queries |

use super::{ColdStartStep, Decode, Drawn, Encode, Lengths, RlStep, Work};
use crate::device::{Device, DeviceError, Result};
use crate::embed::{FolderError, ModelFolder};
use crate::ops::linear::WeightFormat;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest sequence of any workload.
const CONTEXT: usize = 2048;

/// How much the workloads do.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Tokens.
    pub prefill: usize,
    /// Sequences and tokens of each.
    pub embed: (usize, usize),
    /// Batches.
    pub decode: &'static [usize],
    pub lengths: Lengths,
    /// Pairs of a cold-start step.
    pub pairs: usize,
    pub drawn: Drawn,
}

impl Sizes {
    /// For a device that is timed.
    pub const TIMED: Sizes = Sizes {
        prefill: 512,
        embed: (64, 24),
        decode: &[1, 8, 64],
        lengths: Lengths {
            context: 64,
            decoded: 16,
        },
        pairs: 16,
        drawn: Drawn {
            queries: 4,
            rollouts: 8,
            thought: 16,
        },
    };

    /// For the virtual GPU, where work is counted: so much that every kernel runs, in a minute or two each.
    pub const COUNTED: Sizes = Sizes {
        prefill: 64,
        embed: (4, 24),
        decode: &[1, 8],
        lengths: Lengths {
            context: 8,
            decoded: 2,
        },
        pairs: 2,
        drawn: Drawn {
            queries: 1,
            rollouts: 2,
            thought: 4,
        },
    };
}

/// A workload's name, and what a run of it does.
#[derive(Clone, Debug)]
pub struct Named {
    pub name: String,
    /// How many of `unit`.
    pub units: usize,
    pub unit: &'static str,
}

/// The time of a run.
///
/// # Errors
/// Where the device fails, and for a run whose time would mean nothing.
pub fn time<D: Device>(device: &D, work: &mut dyn Work) -> Result<Duration> {
    work.prepare()?;
    device.wait()?;
    let started = Instant::now();
    work.run()?;
    device.wait()?;
    Ok(started.elapsed())
}

/// Sets up each workload of a model that is `wanted` by its name and hands it to `measure`, in the table's
/// order for each format of the weights.
///
/// # Errors
/// What `measure` says, and what loading the model does.
pub fn each<D: Device, E: From<FolderError> + From<DeviceError>>(
    folder: &ModelFolder,
    device: &Arc<D>,
    sizes: &Sizes,
    wanted: &dyn Fn(&str) -> bool,
    mut measure: impl FnMut(&Named, &mut dyn Work) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    for (label, format) in [
        ("bf16", WeightFormat::Bf16),
        ("int8", WeightFormat::Int8),
        ("int4", WeightFormat::Int4),
    ] {
        let mut workloads = Inference::of(format, label, sizes);
        workloads.retain(|(named, _)| wanted(&named.name));
        if workloads.is_empty() {
            continue;
        }
        let model = folder.load(device.clone(), Some(format), CONTEXT)?;
        for (named, workload) in workloads {
            match workload {
                Inference::Encode(sequences, len) => {
                    measure(&named, &mut Encode::new(&model, sequences, len)?)?;
                }
                Inference::Decode(sequences) => {
                    measure(&named, &mut Decode::new(&model, sequences, sizes.lengths)?)?;
                }
            }
        }
    }
    let masters = || folder.load(device.clone(), None, CONTEXT);
    let named = Named::new(
        format!("cold-start step {} pairs", sizes.pairs),
        sizes.pairs,
        "pairs",
    );
    if wanted(&named.name) {
        measure(&named, &mut ColdStartStep::new(masters()?, sizes.pairs)?)?;
    }
    let Drawn {
        queries, rollouts, ..
    } = sizes.drawn;
    let name = format!("RL step {queries} queries x {rollouts}");
    let named = Named::new(name, queries, "queries");
    if wanted(&named.name) {
        measure(&named, &mut RlStep::new(masters()?, sizes.drawn)?)?;
    }
    Ok(())
}

/// A workload of packed weights.
enum Inference {
    Encode(usize, usize),
    Decode(usize),
}

impl Inference {
    /// Those of a format; int8 and int4 serve decoding, where reading weights is the work.
    fn of(format: WeightFormat, label: &str, sizes: &Sizes) -> Vec<(Named, Inference)> {
        let (embedded, len) = sizes.embed;
        let mut workloads = Vec::new();
        if format == WeightFormat::Bf16 {
            let prefill = Named::new(format!("prefill {}", sizes.prefill), sizes.prefill, "tok");
            workloads.push((prefill, Inference::Encode(1, sizes.prefill)));
            let embed = Named::new(format!("embed {embedded}x{len}"), embedded, "items");
            workloads.push((embed, Inference::Encode(embedded, len)));
        }
        let batches = match format {
            WeightFormat::Int8 | WeightFormat::Int4 => &sizes.decode[..1],
            _ => sizes.decode,
        };
        for &batch in batches {
            let name = format!("decode batch {batch} {label}");
            let named = Named::new(name, batch * sizes.lengths.decoded, "tok");
            workloads.push((named, Inference::Decode(batch)));
        }
        workloads
    }
}

impl Named {
    fn new(name: String, units: usize, unit: &'static str) -> Named {
        Named { name, units, unit }
    }
}
