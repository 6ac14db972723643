//! What a launch was counted to do, and how long that takes on real GPUs.

use lrem::workbench::{CHIPS, Chip, Prediction, Work, predict};
use serde::Serialize;
use simt::count::record::Record;

/// The counts of a launch.
#[derive(Serialize)]
pub struct Counts {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared_bytes: u32,
    /// Bytes of global memory that the launch touched, each once: what is read more than once comes from L2
    /// where it fits.
    pub memory_bytes: u64,
    /// Bytes across HBM's pins by the model of the L2 cache, in whole sectors; those touched where it has not seen
    /// all accesses.
    pub hbm_bytes: u64,
    /// Global sectors of 32 bytes and shared wavefronts, and over what the same accesses need at best.
    pub sectors: u64,
    pub wavefronts: u64,
    pub sectors_over_ideal: f64,
    pub wavefronts_over_ideal: f64,
    pub warp_instructions: u64,
    /// Flops of the tensor cores; 0: they do not do its products.
    pub tensor_flops: u64,
    pub lane_activity: f64,
    /// Cycles of a block's longest chain but for loads from HBM, and these.
    pub chain_cycles: u64,
    pub chain_loads: u64,
    /// By chip.
    pub predictions: Vec<(String, Prediction)>,
}

impl Counts {
    /// The counts in a launch's record.
    pub fn of(record: &Record) -> Counts {
        let global = [
            &record.global.loads,
            &record.global.stores,
            &record.global.atomics,
        ];
        let shared = [
            &record.shared.loads,
            &record.shared.stores,
            &record.shared.atomics,
        ];
        let sectors: u64 = global.iter().map(|g| g.sectors).sum();
        let wavefronts: u64 = shared.iter().map(|s| s.wavefronts).sum();
        let memory_bytes = record.unique.read_bytes + record.unique.written_bytes;
        let l2 = &record.l2;
        let hbm_bytes = match l2.complete {
            true => l2.memory_read_bytes + l2.memory_written_bytes,
            false => memory_bytes,
        };
        let work = Work::of(record);
        let predictions = CHIPS
            .iter()
            .map(|chip| (chip.name.to_string(), predict(chip, &work)));
        Counts {
            grid: record.grid,
            block: record.block,
            shared_bytes: record.static_shared + record.dynamic_shared,
            memory_bytes,
            hbm_bytes,
            sectors,
            wavefronts,
            sectors_over_ideal: over(sectors, global.iter().map(|g| g.ideal_sectors).sum()),
            wavefronts_over_ideal: over(
                wavefronts,
                shared.iter().map(|s| s.ideal_wavefronts).sum(),
            ),
            warp_instructions: record.instructions.warp,
            tensor_flops: record.flops.tensor,
            lane_activity: record.instructions.lane_activity,
            chain_cycles: record.chain.cycles,
            chain_loads: record.chain.loads,
            predictions: predictions.collect(),
        }
    }

    /// Blocks of the launch.
    pub fn blocks(&self) -> u64 {
        blocks(self.grid)
    }

    /// The prediction for a chip; `None` for one that does not run the kernel.
    pub fn on(&self, chip: &Chip) -> Option<&Prediction> {
        let found = self.predictions.iter().find(|(name, _)| name == chip.name);
        found.map(|(_, prediction)| prediction)
    }

    /// The prediction for the first of the chips, that of the architecture which the counts are of.
    pub fn predicted(&self) -> Option<&Prediction> {
        self.predictions.first().map(|(_, prediction)| prediction)
    }
}

fn blocks(grid: [u32; 3]) -> u64 {
    grid.iter().map(|&n| u64::from(n)).product()
}

/// A count over the least that it could be; 1 where nothing is needed.
pub fn over(is: u64, least: u64) -> f64 {
    match least {
        0 => 1.0,
        _ => is as f64 / least as f64,
    }
}
