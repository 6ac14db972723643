//! A block under the checks: what is known of its own memory and of its threads.

use super::bits::Bits;
use super::clock::Time;
use super::copies::Copies;
use super::engines::{Products, Stores};
use super::kernel::Kernel;
use super::order::Order;
use super::settings::Checks;
use super::state::Shared;
use super::subject::BLOCKS;
use crate::exec::block::Block;
use crate::exec::facts::Effect;
use crate::watch::{Issue, Observer};
use std::sync::Arc;

/// What is known of a block.
pub struct Local {
    pub checks: Checks,
    /// Linear in the grid.
    pub number: u64,
    pub order: Order,
    /// Index of its shared memory among [`super::state::State::memories`].
    pub memory: usize,
    /// Bytes of each warp's local memory that its threads have written, lane after lane; without bits
    /// until a warp touches it.
    pub local_written: Vec<Option<Bits>>,
    pub copies: Copies,
    /// Bulk groups, and products of warpgroups.
    pub stores: Stores,
    pub products: Products,
    /// The allocation found last.
    pub range: (u64, u64),
    /// Those who wait at barriers of the block.
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
            memory: shared.lock().memories.open(),
            local_written: Vec::new(),
            copies: Copies::default(),
            stores: Stores::default(),
            products: Products::default(),
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

impl BlockCheck {
    /// An instruction that orders threads or touches memory. Most do neither, and should not pay for it.
    #[inline(never)]
    fn look(&mut self, issue: &Issue<'_>) {
        let facts = issue.facts();
        let mut state = self.shared.lock();
        let local = &mut self.local;
        // Copies that an arrival waits for have landed when it tells of them.
        if facts.effect != Effect::None {
            local.effect(&mut state, &self.kernel, issue);
        }
        if facts.touches[0].is_some() {
            local.accesses(&mut state, &self.kernel, issue);
        }
        if let Some(mover) = facts.mover
            && (local.checks.initialised || local.checks.races)
        {
            local.pieces(&mut state, &self.kernel, issue, mover);
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
        let before = local.number.wrapping_sub(block.rank.into());
        state.clusters.retain(|(cluster, _), _| *cluster != before);
        local.number = block.index;
        local.order = Order::new(number, warps, self.launched, &mut state.now);
        if block.launch().cluster.iter().product::<u32>() > 1 {
            local.order.expect_others();
        }
        state.memories.begin(local.memory, block);
        local.local_written.clear();
        local.local_written.resize(warps, None);
        local.copies.reset(warps, shared);
        local.stores.reset();
        local.products.reset();
        local.waiting.clear();
        local.exited = None;
    }

    fn before(&mut self, issue: &Issue<'_>) {
        let facts = issue.facts();
        let is_plain = matches!(facts.effect, Effect::None) && facts.mover.is_none();
        if !is_plain || facts.touches[0].is_some() {
            self.look(issue);
        }
    }

    fn passed(&mut self, issue: &Issue<'_>) {
        let mut state = self.shared.lock();
        match issue.facts().effect {
            Effect::Barrier { .. } => {}
            Effect::MbarrierWait => {
                self.local.effect(&mut state, &self.kernel, issue);
                return self.local.accesses(&mut state, &self.kernel, issue);
            }
            _ => return self.local.effect(&mut state, &self.kernel, issue),
        }
        let (warp, lanes) = (issue.warp(), issue.mask());
        self.local.go_on(&mut state, &self.kernel, warp, lanes);
        self.local
            .order
            .pass(warp, lanes, !issue.dead(), &mut state.now);
    }

    fn finish(mut self: Box<Self>) {
        let mut state = self.shared.lock();
        self.local.check_left(&mut state, &self.kernel);
        state.memories.close(self.local.memory);
    }
}
