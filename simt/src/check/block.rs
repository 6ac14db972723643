//! A block under the checks: what is known of its own memory and of its threads.

use super::bits::Bits;
use super::clock::{Thread, Time};
use super::copies::Copies;
use super::finding::{Finding, Kind, Memory};
use super::kernel::Kernel;
use super::ledger::Key;
use super::order::{Location, Order};
use super::settings::Checks;
use super::shadow::Shadow;
use super::state::{Shared, State};
use crate::exec::block::Block;
use crate::exec::facts::Effect;
use crate::watch::{Issue, Observer};
use std::collections::HashMap;
use std::sync::Arc;

/// Unordered reads of a cell of shared memory that are kept beside the first.
const SHARED_READS: usize = 31;
/// Block numbers wrap there: see [`Thread`].
const BLOCKS: u64 = 1 << 22;

/// What is known of a block.
pub struct Local {
    pub checks: Checks,
    /// Linear in the grid.
    pub number: u64,
    pub order: Order,
    pub shadow: Shadow,
    /// Bytes of shared memory that somebody has written.
    pub written: Bits,
    /// Bytes of each warp's local memory that its threads have written, lane after lane; without bits
    /// until a warp touches it.
    pub local_written: Vec<Option<Bits>>,
    pub copies: Copies,
    /// What strong writes to shared memory have told.
    pub locations: HashMap<u64, Location>,
    /// The allocation found last.
    pub range: (u64, u64),
    /// Barriers of the whole block that warps wait at.
    pub waiting: Vec<super::barriers::Waiting>,
    /// One of the threads that have exited.
    pub exited: Option<u32>,
}

/// Checks one block after another.
pub struct BlockCheck {
    shared: Arc<Shared>,
    kernel: Arc<Kernel>,
    launched: Time,
    local: Local,
}

impl BlockCheck {
    /// For blocks of a launch that began at a moment.
    pub fn new(shared: Arc<Shared>, kernel: Arc<Kernel>, launched: Time) -> BlockCheck {
        let local = Local {
            checks: shared.checks,
            number: 0,
            order: Order::new(0, 0, 0, &mut 0),
            shadow: Shadow::new(SHARED_READS),
            written: Bits::default(),
            local_written: Vec::new(),
            copies: Copies::default(),
            locations: HashMap::new(),
            range: (1, 0),
            waiting: Vec::new(),
            exited: None,
        };
        BlockCheck {
            shared,
            kernel,
            launched,
            local,
        }
    }
}

impl Observer for BlockCheck {
    fn block_begins(&mut self, block: &Block) {
        let warps = self.kernel.threads().div_ceil(32) as usize;
        let shared = block.shared_bytes as usize;
        let local = &mut self.local;
        let number = (block.index % BLOCKS) as u32;
        let mut state = self.shared.lock();
        local.number = block.index;
        local.order = Order::new(number, warps, self.launched, &mut state.now);
        local.written.reset(shared);
        local.local_written.clear();
        local.local_written.resize(warps, None);
        local.copies.reset(warps, shared);
        local.locations.clear();
        local.waiting.clear();
        local.exited = None;
    }

    fn before(&mut self, issue: &Issue<'_>) {
        let facts = issue.facts();
        if facts.effect == Effect::None && facts.touches[0].is_none() {
            return;
        }
        let mut state = self.shared.lock();
        let local = &mut self.local;
        if facts.touches[0].is_some() {
            local.accesses(&mut state, &self.kernel, issue);
        }
        if facts.effect != Effect::None {
            local.effect(&mut state, &self.kernel, issue);
        }
    }

    fn passed(&mut self, issue: &Issue<'_>) {
        let mut state = self.shared.lock();
        let (warp, lanes) = (issue.warp(), issue.mask());
        self.local.waiting.retain(|waiting| waiting.warp != warp);
        self.local
            .order
            .pass(warp, lanes, !issue.dead(), &mut state.now);
    }

    fn finish(self: Box<Self>) {}
}

/// What a finding is about: a lane of an instruction, and perhaps another access.
pub struct About<'a, 'i> {
    pub kernel: &'a Kernel,
    pub issue: &'a Issue<'i>,
    pub lane: u32,
    pub action: &'a dyn Fn() -> String,
    pub memory: &'a dyn Fn(&State) -> Option<Memory>,
}

impl Local {
    /// Adds a finding, or counts one that is known. `other` is another access: thread, instruction, and
    /// whether it wrote.
    pub fn find(
        &self,
        state: &mut State,
        kind: Kind,
        about: &About<'_, '_>,
        other: Option<(Thread, u32, bool)>,
        note: &dyn Fn() -> String,
    ) {
        let (kernel, pc) = (about.kernel, about.issue.pc());
        let key = Key {
            kind,
            kernel: kernel.id,
            pc,
            other: other.map_or(0, |(_, pc, _)| pc + 1),
        };
        if state.ledger.count(key) {
            return;
        }
        let thread = about.issue.first_thread() + about.lane;
        let mut finding = Finding::new(kind, (about.action)());
        finding.memory = (about.memory)(state);
        finding.site = Some(kernel.site(pc, self.number, thread));
        finding.other = other.map(|(by, pc, was_write)| {
            let block = self.block_of(by);
            let site = kernel.site(pc, block, by.index());
            (kernel.action(pc, was_write), site)
        });
        finding.note = note();
        state.ledger.add(key, finding);
    }

    /// The number of a thread's block, if it is no more than 2^22 away.
    fn block_of(&self, thread: Thread) -> u64 {
        let wrapped = u64::from(thread.block());
        let whole = self.number - self.number % BLOCKS + wrapped;
        match whole > self.number && whole >= BLOCKS {
            true => whole - BLOCKS,
            false => whole,
        }
    }
}
