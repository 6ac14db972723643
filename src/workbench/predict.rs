//! From counts to a time on a real GPU: the slowest of what it has to do, and what launching costs.
//!
//! A roofline with more than two roofs (Williams et al., CACM 2009): a launch takes as long as the most
//! loaded of its resources, if the others overlap with it, which is what a well-made kernel reaches and no
//! kernel beats.

use serde::{Deserialize, Serialize};

/// What a chip does in a second, as its maker says.
#[derive(Clone, Copy, Debug)]
pub struct Chip {
    pub name: &'static str,
    pub multiprocessors: f64,
    /// Boost clock, Hz.
    pub clock: f64,
    /// Bytes a second of HBM.
    pub memory: f64,
    /// bf16 flops a second of the tensor cores, dense.
    pub tensor: f64,
    /// f32 flops a second.
    pub single: f64,
    /// Where the numbers come from.
    pub source: &'static str,
}

/// Warp instructions that a multiprocessor issues a cycle: four schedulers, one each.
const ISSUE: f64 = 4.0;
/// Shared-memory wavefronts that a multiprocessor serves a cycle: 128 bytes.
const WAVEFRONTS: f64 = 1.0;
/// What an empty kernel takes, one after another in a stream (NVIDIA, "Getting Started with CUDA Graphs").
const LAUNCH: f64 = 2.2e-6;

/// The chips that times are predicted for.
pub const CHIPS: [Chip; 3] = [
    Chip {
        name: "A100",
        multiprocessors: 108.0,
        clock: 1.41e9,
        memory: 2.039e12,
        tensor: 312e12,
        single: 19.5e12,
        source: "NVIDIA A100 80 GB SXM datasheet; GA100 whitepaper, table 1",
    },
    Chip {
        name: "H100",
        multiprocessors: 132.0,
        clock: 1.83e9,
        memory: 3.35e12,
        tensor: 989.4e12,
        single: 66.9e12,
        source: "NVIDIA H100 SXM datasheet; GH100 whitepaper, table 2",
    },
    Chip {
        name: "B200",
        multiprocessors: 148.0,
        clock: 1.965e9,
        memory: 8.0e12,
        tensor: 2250e12,
        single: 75e12,
        source: "NVIDIA DGX B200 datasheet, an eighth of it; clock from CUDA's device properties",
    },
];

/// What a launch was counted to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Bytes that cross HBM's pins.
    pub bytes: f64,
    pub tensor_flops: f64,
    pub single_flops: f64,
    /// Warp instructions.
    pub instructions: f64,
    /// Shared-memory wavefronts.
    pub wavefronts: f64,
    pub blocks: f64,
}

/// What a time is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    Memory,
    Tensor,
    Single,
    Issue,
    Shared,
}

impl Limit {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Limit::Memory => "HBM bandwidth",
            Limit::Tensor => "tensor cores",
            Limit::Single => "f32 arithmetic",
            Limit::Issue => "instruction issue",
            Limit::Shared => "shared memory",
        }
    }
}

/// A predicted time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Of the work alone.
    pub work: f64,
    /// From one launch to the next in a stream: at least what launching takes.
    pub seconds: f64,
    /// What the work's time is made of.
    pub limit: Limit,
}

/// The time of a launch on `chip`, and what limits it.
pub fn predict(chip: &Chip, work: &Work) -> Prediction {
    // A grid of few blocks leaves multiprocessors idle; memory is shared by all.
    let busy = work.blocks.clamp(1.0, chip.multiprocessors);
    let share = busy / chip.multiprocessors;
    let cycles = chip.clock * busy;
    let times = [
        (Limit::Memory, work.bytes / chip.memory),
        (Limit::Tensor, work.tensor_flops / (chip.tensor * share)),
        (Limit::Single, work.single_flops / (chip.single * share)),
        (Limit::Issue, work.instructions / (ISSUE * cycles)),
        (Limit::Shared, work.wavefronts / (WAVEFRONTS * cycles)),
    ];
    let slowest = times.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let (limit, work) = slowest.unwrap_or((Limit::Memory, 0.0));
    Prediction {
        work,
        seconds: work.max(LAUNCH),
        limit,
    }
}

#[cfg(test)]
mod tests {
    use super::{CHIPS, Limit, Work, predict};

    #[test]
    fn the_slowest_resource_decides() {
        let chip = &CHIPS[0];
        let copy = Work {
            bytes: 2.039e9,
            instructions: 1e6,
            blocks: 1e6,
            ..Work::default()
        };
        let predicted = predict(chip, &copy);
        assert_eq!(predicted.limit, Limit::Memory);
        assert!((predicted.seconds - 1e-3).abs() < 1e-9);
        let empty = predict(chip, &Work::default());
        assert_eq!((empty.work, empty.seconds), (0.0, super::LAUNCH));
        // One block uses one of 108 multiprocessors.
        let lonely = Work {
            tensor_flops: 312e9,
            blocks: 1.0,
            ..Work::default()
        };
        let lonely = predict(chip, &lonely);
        assert_eq!(lonely.limit, Limit::Tensor);
        assert!((lonely.seconds - 0.108).abs() < 1e-6);
    }
}
