//! The record of a launch, and that of a range of launches: a line of JSON each.

pub use super::blocks::Share;
use super::cache;
pub use super::chain::Chain;
use super::lines;
use super::lines::{PtxLine, SourceLine};
use super::occupancy::Occupancy;
use super::session::{CacheResult, Totals};
use super::tally::{Global, Shared, Tally, Way};
use crate::driver::Chip;
use crate::exec::facts::{Class, Work};
use crate::exec::grid::Launch;
use crate::exec::program::Program;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All that is counted of a launch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Counts launches of the process.
    pub launch: u64,
    pub kernel: String,
    pub chip: String,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    /// Of a thread.
    pub registers: u32,
    /// Bytes of a block.
    pub static_shared: u32,
    pub dynamic_shared: u32,
    /// Bytes of a thread.
    pub local: u32,
    /// What ended the launch early.
    pub fault: Option<String>,
    /// Wall time on the host, of the virtual GPU, with counting.
    pub host_ms: f64,
    pub occupancy: Occupancy,
    pub instructions: Instructions,
    pub flops: Flops,
    pub global: GlobalMemory,
    pub unique: Unique,
    pub l2: L2,
    pub shared: SharedMemory,
    /// How long blocks take where nothing is in their way.
    #[serde(default)]
    pub chain: Chain,
    /// What the grid's blocks do, in their order; empty where they are very many.
    #[serde(default)]
    pub blocks: Vec<Share>,
    pub source_lines: Vec<SourceLine>,
    pub ptx_lines: Vec<PtxLine>,
}

/// Executed instructions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Instructions {
    /// By warps: each time that one comes by, though its guard may hold all lanes back.
    pub warp: u64,
    /// By threads.
    pub thread: u64,
    /// Lanes that execute an instruction of a warp, of 32, on average.
    pub lane_activity: f64,
    /// Barriers of the block, by warps.
    pub barriers: u64,
    /// Of `warp`, by class.
    pub by_class: BTreeMap<String, u64>,
}

/// Arithmetic: additions and multiplications are one, fused ones two; divisions, roots and special functions
/// are none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flops {
    pub f16: u64,
    pub f32: u64,
    pub f64: u64,
    /// Of floating-point matrix products.
    pub tensor: u64,
    /// Of integer ones.
    pub tensor_integer: u64,
}

/// Accesses to global memory of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Instructions of warps, and bulk copies of threads.
    pub requests: u64,
    /// Of all lanes together.
    pub bytes: u64,
    /// Sectors of 32 bytes, each once an instruction.
    pub sectors: u64,
    /// Sectors that the different bytes of an instruction would fill.
    pub ideal_sectors: u64,
}

/// Global memory. `cp.async` loads, so do prefetches of bulk copies; their reductions are atomics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalMemory {
    pub loads: Traffic,
    pub stores: Traffic,
    pub atomics: Traffic,
}

/// Bytes of global memory that the launch has touched, each once: what has to cross the memory's pins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unique {
    pub read_bytes: u64,
    pub written_bytes: u64,
}

/// What the model of the L2 cache says, in sectors and bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct L2 {
    pub bytes: u64,
    pub hit_sectors: u64,
    pub miss_sectors: u64,
    pub memory_read_bytes: u64,
    pub memory_written_bytes: u64,
    /// Whether the model has seen all accesses.
    pub complete: bool,
}

impl L2 {
    /// Of a cache of `bytes` that has been written back.
    pub(super) fn new(bytes: u64, tally: &cache::Tally, complete: bool) -> L2 {
        L2 {
            bytes,
            hit_sectors: tally.hits,
            miss_sectors: tally.misses,
            memory_read_bytes: tally.fetched * 32,
            memory_written_bytes: tally.written * 32,
            complete,
        }
    }
}

/// What is counted of a range of launches ([`range`](super::range)): of all of them together, with one L2 cache. A
/// line of its own behind those of its launches, told from them by its field `range`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeRecord {
    /// Counts ranges of the process.
    pub range: u64,
    pub chip: String,
    /// Kernels in the order in which they began.
    pub launches: Vec<String>,
    pub unique: Unique,
    pub l2: L2,
}

/// A line of a profile.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    Launch(Box<Record>),
    Range(RangeRecord),
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it as the record of a launch, where it is that of no range either.
    pub fn parse(text: &str) -> serde_json::Result<Line> {
        let launch = serde_json::from_str(text).map(Line::Launch);
        launch.or_else(|error| match serde_json::from_str(text) {
            Ok(range) => Ok(Line::Range(range)),
            Err(_) => Err(error),
        })
    }
}

/// Accesses to shared memory of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wavefronts {
    pub requests: u64,
    pub bytes: u64,
    pub wavefronts: u64,
    /// Without bank conflicts.
    pub ideal_wavefronts: u64,
}

/// Shared memory. `cp.async` stores; a bulk copy moves 128 bytes a wavefront.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedMemory {
    pub loads: Wavefronts,
    pub stores: Wavefronts,
    pub atomics: Wavefronts,
    /// Bytes that warps read through `wgmma` descriptors, whose wavefronts are not modelled.
    pub wgmma_bytes: u64,
}

impl Traffic {
    fn add(&mut self, counts: &Global) {
        self.requests += counts.requests;
        self.bytes += counts.bytes;
        self.sectors += counts.sectors;
        self.ideal_sectors += counts.ideal;
    }
}

impl Wavefronts {
    fn add(&mut self, counts: &Shared) {
        self.requests += counts.requests;
        self.bytes += counts.bytes;
        self.wavefronts += counts.wavefronts;
        self.ideal_wavefronts += counts.ideal;
    }
}

impl Record {
    /// The record of a launch that has ended.
    pub fn new(
        launch: &Launch,
        chip: &Chip,
        totals: &Totals,
        cache: &CacheResult,
        occupancy: Occupancy,
    ) -> Record {
        let program = &*launch.program;
        let entry = &program.functions[launch.function];
        let tally = &totals.tally;
        let mut record = Record {
            launch: launch.id,
            kernel: entry.name.clone(),
            chip: chip.name.to_owned(),
            grid: launch.grid,
            block: launch.block,
            registers: entry.registers.clamp(1, 255),
            static_shared: entry.shared,
            dynamic_shared: launch.dynamic_shared,
            local: entry.local,
            fault: None,
            host_ms: 0.0,
            occupancy,
            instructions: instructions(tally, program),
            flops: Flops::default(),
            global: GlobalMemory::default(),
            unique: Unique {
                read_bytes: totals.read.bytes(),
                written_bytes: totals.written.bytes(),
            },
            l2: L2::new(cache.bytes, &cache.tally, cache.complete),
            shared: SharedMemory::default(),
            chain: totals.chains.chain(),
            blocks: totals.blocks.shares(),
            source_lines: lines::by_source(tally, program),
            ptx_lines: lines::by_ptx(tally, program),
        };
        record.add_work(tally, program);
        record
    }

    fn add_work(&mut self, tally: &Tally, program: &Program) {
        for (_, counts, facts) in tally.executed(program) {
            let (flops, lanes, warps) = (&mut self.flops, counts.lanes, counts.warps);
            match facts.work {
                Work::None => {}
                Work::Half(each) => flops.f16 += u64::from(each) * lanes,
                Work::F32(each) => flops.f32 += u64::from(each) * lanes,
                Work::F64(each) => flops.f64 += u64::from(each) * lanes,
                Work::Tensor(each) => flops.tensor += u64::from(each) * warps,
                Work::TensorInteger(each) => flops.tensor_integer += u64::from(each) * warps,
            }
            let global = &mut self.global;
            global.loads.add(&counts.global[Way::Load as usize]);
            global.stores.add(&counts.global[Way::Store as usize]);
            global.atomics.add(&counts.global[Way::Atomic as usize]);
            let shared = &mut self.shared;
            shared.loads.add(&counts.shared[Way::Load as usize]);
            shared.stores.add(&counts.shared[Way::Store as usize]);
            shared.atomics.add(&counts.shared[Way::Atomic as usize]);
            shared.wgmma_bytes += counts.tiles;
        }
    }
}

fn instructions(tally: &Tally, program: &Program) -> Instructions {
    let mut sum = Instructions::default();
    for (_, counts, facts) in tally.executed(program) {
        sum.warp += counts.warps;
        sum.thread += counts.lanes;
        *sum.by_class.entry(facts.name().to_owned()).or_default() += counts.warps;
        if facts.class == Class::Barrier {
            sum.barriers += counts.warps;
        }
    }
    sum.lane_activity = lines::activity(sum.warp, sum.thread);
    sum
}
