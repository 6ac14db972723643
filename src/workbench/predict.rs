//! From counts to a time on a real GPU: the slowest of what it has to do, what it waits for, and what launching
//! costs.
//!
//! A roofline with more than two roofs (Williams et al., CACM 2009): a launch takes as long as the most
//! loaded of its resources, if the others overlap with it, which is what a well-made kernel reaches and no
//! kernel beats. Small launches load no resource much: they take as long as a block's longest chain of
//! instructions that wait for one another (`simt/src/count/chain.rs`), and where blocks are more than the GPU holds at
//! once, as long as their chains one after another.

use super::balance::evenness;
use super::chips::{Chip, Limit};
use serde::{Deserialize, Serialize};
use simt::count::record::{Record, Share};

/// What an empty kernel takes, one after another in a stream (NVIDIA, "Getting Started with CUDA Graphs").
const LAUNCH: f64 = 2.2e-6;

/// What a launch was counted to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// What the blocks do, in their order; empty where each does as much as any other.
    pub shares: Vec<Share>,
    /// The longest chain of a block: cycles, and loads from HBM that wait for one another.
    pub longest: Waits,
    /// That of a block on average.
    pub average: Waits,
    /// Blocks that a multiprocessor holds at once.
    pub resident: f64,
}

impl Work {
    /// What the virtual GPU counted of a launch.
    pub fn of(record: &Record) -> Work {
        let shared = &record.shared;
        let wavefronts = [&shared.loads, &shared.stores, &shared.atomics].map(|s| s.wavefronts);
        let chain = &record.chain;
        Work {
            bytes: (record.unique.read_bytes + record.unique.written_bytes) as f64,
            tensor_flops: record.flops.tensor as f64,
            single_flops: record.flops.f32 as f64,
            instructions: record.instructions.warp as f64,
            wavefronts: wavefronts.iter().sum::<u64>() as f64,
            blocks: record.grid.iter().map(|n| f64::from(*n)).product(),
            shares: record.blocks.clone(),
            longest: Waits {
                cycles: chain.cycles as f64,
                loads: chain.loads as f64,
            },
            average: Waits {
                cycles: chain.mean_cycles,
                loads: chain.mean_loads,
            },
            resident: record.occupancy.blocks.into(),
        }
    }
}

/// What a block waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Waits {
    /// But for loads from HBM.
    pub cycles: f64,
    pub loads: f64,
}

impl Waits {
    fn seconds(self, chip: &Chip) -> f64 {
        (self.cycles + self.loads * chip.latency) / chip.clock
    }
}

/// A predicted time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Of the work alone, all waiting hidden, and the resource that takes as long.
    pub work: f64,
    pub busiest: Limit,
    /// Of the chains alone.
    pub latency: f64,
    /// Of a launch by itself: launching, and work behind its first load from HBM or the chains.
    pub seconds: f64,
    /// What the time behind launching is made of.
    pub limit: Limit,
}

impl Prediction {
    /// Without launching.
    pub fn running(&self) -> f64 {
        self.seconds - LAUNCH
    }
}

/// The time of a launch on `chip`, and what limits it.
pub fn predict(chip: &Chip, of: &Work) -> Prediction {
    // A launch ends with the busiest multiprocessor; memory is shared by all.
    let blocks = of.blocks.max(1.0);
    let share = evenness(chip, blocks, &of.shares, of.resident);
    let amounts = [
        of.tensor_flops,
        of.single_flops,
        of.instructions,
        of.wavefronts,
    ];
    let memory = (Limit::Memory, of.bytes / chip.memory);
    let times = chip
        .busy(amounts)
        .map(|(limit, seconds)| (limit, seconds / share));
    let slowest = times.into_iter().chain([memory]);
    let slowest = slowest.max_by(|a, b| a.1.total_cmp(&b.1));
    let (busiest, work) = slowest.unwrap_or(memory);
    let rounds = (blocks / (chip.multiprocessors * of.resident.max(1.0))).ceil();
    let latency = of
        .longest
        .seconds(chip)
        .max(rounds * of.average.seconds(chip));
    // Nothing begins before the first load is there.
    let first = of.longest.loads.min(1.0) * chip.latency / chip.clock;
    let limit = match latency > first + work {
        true => Limit::Latency,
        false => busiest,
    };
    Prediction {
        work,
        busiest,
        latency,
        seconds: LAUNCH + latency.max(first + work),
        limit,
    }
}

#[cfg(test)]
mod tests {
    use super::super::chips::CHIPS;
    use super::{Limit, Waits, Work, predict};

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
        assert!((predicted.work - 1e-3).abs() < 1e-9);
        assert!((predicted.seconds - super::LAUNCH - 1e-3).abs() < 1e-9);
        let empty = predict(chip, &Work::default());
        assert_eq!((empty.work, empty.seconds), (0.0, super::LAUNCH));
        // One block uses one of 108 multiprocessors.
        let lonely = Work {
            tensor_flops: 312e9,
            blocks: 1.0,
            ..Work::default()
        };
        let of = |blocks: f64| {
            predict(
                chip,
                &Work {
                    blocks,
                    ..lonely.clone()
                },
            )
        };
        assert_eq!(of(1.0).limit, Limit::Tensor);
        assert!((of(1.0).work - 0.108).abs() < 1e-6);
        // Of 120, some multiprocessors have two; of 108000 all have as many.
        assert!((of(120.0).work - 2e-3 * 108.0 / 120.0).abs() < 1e-9);
        assert!((of(108e3).work - 1e-3).abs() < 1e-9);
    }

    #[test]
    fn small_launches_take_as_long_as_their_chains() {
        let chip = &CHIPS[0];
        let chain = Waits {
            cycles: 1410.0 - 2.0 * 466.0,
            loads: 2.0,
        };
        let small = Work {
            bytes: 2.039e5,
            blocks: 108.0,
            longest: chain,
            average: chain,
            resident: 2.0,
            ..Work::default()
        };
        let of = |work: &Work| {
            let p = predict(chip, work);
            assert!((p.running() - (p.seconds - super::LAUNCH)).abs() < 1e-12);
            (
                p.limit,
                (1e9 * p.latency).round(),
                (1e9 * p.running()).round(),
            )
        };
        assert_eq!(of(&small), (Limit::Latency, 1000.0, 1000.0));
        // Blocks that take turns take their chains one after another.
        let many = Work {
            blocks: 10.0 * 216.0,
            ..small.clone()
        };
        assert_eq!(of(&many), (Limit::Latency, 10000.0, 10000.0));
        // Enough bytes hide all but the first load.
        let large = Work {
            bytes: 2.039e7,
            ..small.clone()
        };
        assert_eq!(of(&large), (Limit::Memory, 1000.0, 10330.0));
    }
}
