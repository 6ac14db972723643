//! What has been counted of each instruction of a program.

use crate::exec::facts::Facts;
use crate::exec::program::Program;
use crate::exec::touch::Kind;

/// What accesses do, by index in [`Counts`]. A copy does one thing to each of two memories, or to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Load,
    Store,
    Atomic,
}

impl From<Kind> for Way {
    fn from(kind: Kind) -> Way {
        match kind {
            Kind::Read | Kind::CopyFrom | Kind::Prefetch => Way::Load,
            Kind::Write | Kind::CopyTo | Kind::Discard => Way::Store,
            Kind::Atomic | Kind::Reduce => Way::Atomic,
        }
    }
}

/// Global memory that an instruction has touched.
#[derive(Debug, Clone, Copy, Default)]
pub struct Global {
    /// Executions with at least one lane in global memory; bulk copies each by itself.
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

impl Global {
    /// Adds other counts.
    pub fn add(&mut self, other: &Global) {
        self.requests += other.requests;
        self.bytes += other.bytes;
        self.sectors += other.sectors;
        self.ideal += other.ideal;
    }
}

impl Shared {
    /// Adds other counts.
    pub fn add(&mut self, other: &Shared) {
        self.requests += other.requests;
        self.bytes += other.bytes;
        self.wavefronts += other.wavefronts;
        self.ideal += other.ideal;
    }
}

/// Counts of one instruction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// By warps, and by lanes.
    pub warps: u64,
    pub lanes: u64,
    /// By [`Way`].
    pub global: [Global; 3],
    pub shared: [Shared; 3],
    /// Bytes that `wgmma` has read through descriptors.
    pub tiles: u64,
}

impl Counts {
    /// Adds what another thread has counted.
    pub fn add(&mut self, other: &Counts) {
        self.warps += other.warps;
        self.lanes += other.lanes;
        for (to, from) in self.global.iter_mut().zip(&other.global) {
            to.add(from);
        }
        for (to, from) in self.shared.iter_mut().zip(&other.shared) {
            to.add(from);
        }
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
