//! Looking on while programs run: what counters, traces and checks are built on.
//!
//! A [`Watch`] lives as long as the process and hears of what the host does to device memory. Of every
//! launch it makes a [`LaunchWatch`], and that one an [`Observer`] for each block that is at work at
//! once, which sees every instruction before a warp executes it. Without a watch a warp runs in a loop
//! that knows nothing of all this.

mod event;
mod issue;
mod observers;

pub use event::{Event, Mistake, Transfer, TransferKind, call, tell, transfer, with_call};
pub use issue::Issue;
pub use observers::{Nobody, Observers, Onlooker};

use crate::exec::block::Block;
use crate::exec::fault::Report;
use crate::exec::grid::Launch;
use std::sync::{Arc, OnceLock};

/// Somebody who looks on, from the start of the process to its end.
pub trait Watch: Send + Sync {
    /// A launch begins; `None`: it is of no interest.
    fn launch(&self, launch: &Launch) -> Option<Box<dyn LaunchWatch>>;

    /// The host has done something to device memory. The device's memory is locked meanwhile: nothing
    /// may be asked of it.
    fn host(&self, _event: &Event<'_>) {}

    /// The program has asked the profiler to begin or to end (`cuProfilerStart`, `cuProfilerStop`), whatever it was
    /// doing.
    fn profiler(&self, _is_on: bool) {}
}

/// A launch that is looked on at.
pub trait LaunchWatch: Send + Sync {
    /// An observer for one block after another, on one host thread. A cooperative launch has one
    /// for each of its blocks, all on one host thread. `None`: beginning and end are enough.
    fn observer(&self) -> Option<Box<dyn Observer>>;

    /// Whether the blocks should run on one host thread, in their order.
    fn wants_one_thread(&self) -> bool {
        false
    }

    /// All observers have finished; the fault that ended the launch early, if one did.
    fn end(self: Box<Self>, launch: &Launch, fault: Option<&Report>);
}

/// Sees the instructions of one block after another.
pub trait Observer: Send {
    /// The block's threads stand at the entry's start.
    fn block_begins(&mut self, _block: &Block) {}

    /// All its threads have exited.
    fn block_ends(&mut self, _block: &Block) {}

    /// A warp is about to execute an instruction, once for every execution: where threads of a warp wait
    /// for one another this comes when they have met, at a barrier of the block when they arrive, at a wait
    /// for an mbarrier or for the cluster when it begins.
    fn before(&mut self, issue: &Issue<'_>);

    /// A warp passes an instruction by, since its guard holds for none of the running lanes.
    fn held_back(&mut self, _block: &Block, _pc: u32) {}

    /// Threads are about to go on that have waited at the instruction: behind the barrier of the block that
    /// they have arrived at, or with what a wait for an mbarrier or for the cluster ends in.
    fn passed(&mut self, _issue: &Issue<'_>) {}

    /// There are no more blocks: what has been seen belongs to the launch now.
    fn finish(self: Box<Self>);
}

/// What a setting asks for.
type Make = fn() -> Option<Arc<dyn Watch>>;

/// Everybody who may look on.
const MAKERS: &[Make] = &[
    crate::count::trace_from_environment,
    crate::count::from_environment,
    crate::check::make,
];

/// Those whom the settings of the process ask for.
pub fn registered() -> &'static [Arc<dyn Watch>] {
    static REGISTERED: OnceLock<Vec<Arc<dyn Watch>>> = OnceLock::new();
    REGISTERED.get_or_init(|| MAKERS.iter().filter_map(|make| make()).collect())
}
