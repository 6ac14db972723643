//! What has been counted of each instruction of a program.

use crate::exec::facts::Facts;
use crate::exec::program::Program;
use crate::exec::touch::Kind;
use crate::ptx::types::Space;

/// Global memory that an instruction has touched.
#[derive(Debug, Clone, Copy, Default)]
pub struct Global {
    /// Executions with at least one lane in global memory.
    pub requests: u64,
    /// Of all lanes, twice where two touch the same.
    pub bytes: u64,
    pub sectors: u64,
    /// Sectors that as many different bytes would fill.
    pub ideal: u64,
}

/// Shared memory that an instruction has touched.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shared {
    pub requests: u64,
    pub bytes: u64,
    pub wavefronts: u64,
    pub ideal: u64,
}

/// Counts of one instruction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// By warps, and by lanes.
    pub warps: u64,
    pub lanes: u64,
    pub global: Global,
    pub shared: Shared,
    /// Bytes that `wgmma` has read through descriptors.
    pub tiles: u64,
}

impl Counts {
    /// Adds what another thread has counted.
    pub fn add(&mut self, other: &Counts) {
        self.warps += other.warps;
        self.lanes += other.lanes;
        self.global.requests += other.global.requests;
        self.global.bytes += other.global.bytes;
        self.global.sectors += other.global.sectors;
        self.global.ideal += other.global.ideal;
        self.shared.requests += other.shared.requests;
        self.shared.bytes += other.shared.bytes;
        self.shared.wavefronts += other.shared.wavefronts;
        self.shared.ideal += other.shared.ideal;
        self.tiles += other.tiles;
    }
}

/// Counts of all instructions, by program counter.
#[derive(Debug, Clone, Default)]
pub struct Tally(pub Vec<Counts>);

impl Tally {
    /// Nothing counted yet.
    pub fn new(program: &Program) -> Tally {
        Tally(vec![Counts::default(); program.code.len()])
    }

    /// Adds what another thread has counted.
    pub fn add(&mut self, other: &Tally) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| a.add(b));
    }

    /// Instructions that have been executed, with their facts.
    pub fn executed<'a>(
        &'a self,
        program: &'a Program,
    ) -> impl Iterator<Item = (usize, &'a Counts, &'a Facts)> {
        let all = self.0.iter().zip(&program.facts).enumerate();
        all.filter(|(_, (counts, _))| counts.warps > 0)
            .map(|(pc, (counts, facts))| (pc, counts, facts))
    }
}

/// What an instruction does to the memory of a space, where it touches some: copies do one thing to
/// each of two spaces.
pub fn kind_in(facts: &Facts, space: Space) -> Option<Kind> {
    let touches = facts.touches.iter().flatten();
    touches
        .filter(|t| t.space == space || t.space == Space::Generic)
        .map(|t| t.kind)
        .next()
}
