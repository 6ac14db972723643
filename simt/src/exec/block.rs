//! A block: its shared memory, its barriers, and the turns of its warps.

use super::bulk::Operation;
use super::cluster::Cluster;
use super::fault::{Fault, Report};
use super::grid::Launch;
use super::program::Line;
use super::warp::{Outcome, Warp};
use crate::watch::{LaunchWatch, Nobody, Observers};
use std::cell::{Cell, RefCell, UnsafeCell};

/// Barriers of a block (PTX ISA, `barrier`).
pub const BARRIERS: u32 = 16;

/// What the warps of a block share. Only one host thread at a time uses a block.
pub struct Block {
    launch: *const Launch,
    pub id: [u32; 3],
    /// Its index in the grid, x first.
    pub index: u64,
    /// The multiprocessor that it pretends to be on.
    pub sm: u32,
    shared: UnsafeCell<Vec<Line>>,
    /// Bytes of shared memory.
    pub shared_bytes: u32,
    pub barriers: [RefCell<super::barrier::Barrier>; BARRIERS as usize],
    /// Living lanes of every warp.
    pub living: RefCell<Vec<u32>>,
    /// Something happened that a waiting warp may wait for.
    pub stirred: Cell<bool>,
    /// How often something has.
    pub events: Cell<u64>,
    /// The blocks that it may reach, itself among them; set before it starts.
    pub cluster: Cell<*const Cluster>,
    /// Its rank among them.
    pub rank: u32,
    /// Lanes of every warp that have arrived at the cluster's barrier since that last passed.
    pub arrived_in_cluster: RefCell<Vec<u32>>,
    /// Asynchronous operations that will complete on an mbarrier of this block.
    pub operations: RefCell<Vec<Operation>>,
    /// What went wrong in one of them.
    pub trouble: RefCell<Option<Fault>>,
    /// All its threads have exited, and its shared memory is no longer to be had.
    pub is_gone: Cell<bool>,
}

impl Block {
    /// A block without shared memory, to be given some by [`Resident::start`].
    pub fn new(launch: &Launch) -> Block {
        Block {
            launch,
            id: [0; 3],
            index: 0,
            sm: 0,
            shared: UnsafeCell::new(Vec::new()),
            shared_bytes: 0,
            barriers: Default::default(),
            living: RefCell::default(),
            stirred: Cell::new(false),
            events: Cell::new(0),
            cluster: Cell::new(std::ptr::null()),
            rank: 0,
            arrived_in_cluster: RefCell::default(),
            operations: RefCell::default(),
            trouble: RefCell::default(),
            is_gone: Cell::new(false),
        }
    }

    /// The launch that the block belongs to.
    #[inline(always)]
    pub fn launch(&self) -> &Launch {
        // SAFETY: `Launch::run` keeps the launch alive and in place while its blocks exist.
        unsafe { &*self.launch }
    }

    /// The first byte of shared memory.
    #[inline(always)]
    pub fn shared(&self) -> *mut u8 {
        // SAFETY: the vector is only resized in `start`, when no warp runs.
        unsafe { (*self.shared.get()).as_mut_ptr().cast() }
    }

    /// Something happens that a waiting warp may wait for.
    pub fn stir(&self) {
        self.stirred.set(true);
        self.events.set(self.events.get() + 1);
    }

    /// How often a barrier has passed.
    pub fn barrier_passes(&self, index: u32) -> u64 {
        self.barriers[index as usize].borrow().passes
    }

    /// Makes this the block of that rank in the cluster of that index in the grid.
    fn place(&mut self, cluster: u64, rank: u32) {
        // SAFETY: as in `launch`; taken apart from `self`, which changes.
        let launch = unsafe { &*self.launch };
        let size = launch.cluster;
        let [x, y, _] = [0, 1, 2].map(|axis| u64::from(launch.grid[axis] / size[axis]));
        let at = [cluster % x, cluster / x % y, cluster / x / y];
        let inside = [
            rank % size[0],
            rank / size[0] % size[1],
            rank / size[0] / size[1],
        ];
        self.id = [0, 1, 2].map(|axis| at[axis] as u32 * size[axis] + inside[axis]);
        self.rank = rank;
        let index = cluster * u64::from(size.iter().product::<u32>()) + u64::from(rank);
        self.index = index;
        self.sm = (index % u64::from(launch.limits.multiprocessors)) as u32;
        self.arrived_in_cluster.get_mut().clear();
        self.operations.get_mut().clear();
        *self.trouble.get_mut() = None;
        self.is_gone.set(false);
        self.shared_bytes = launch.shared_bytes;
        let shared = self.shared.get_mut();
        shared.clear();
        // What shared memory holds at first is undefined; a constant makes runs repeat.
        shared.resize((launch.shared_bytes as usize).div_ceil(64), Line([0; 64]));
        for barrier in &mut self.barriers {
            *barrier.get_mut() = Default::default();
        }
    }

    fn report(&self, fault: Fault, warp: &Warp) -> Report {
        let program = &self.launch().program;
        let pc = warp.pc as usize;
        Report {
            fault,
            kernel: program.functions[self.launch().function].name.clone(),
            ptx_line: program.lines.get(pc).copied().unwrap_or(0),
            source_line: program.sources.get(pc).map_or(0, |s| s.1),
            block: self.id,
            warp: warp.first_thread / 32,
        }
    }
}

/// A block with its warps, in the middle of its work.
pub struct Resident {
    /// In a place of its own: its warps point to it.
    block: Box<Block>,
    warps: Vec<Warp>,
    done: Vec<bool>,
    living: usize,
    observers: Observers,
}

impl Resident {
    /// No block yet.
    pub fn new(launch: &Launch, watches: &[Box<dyn LaunchWatch>]) -> Resident {
        Resident {
            block: Box::new(Block::new(launch)),
            warps: Vec::new(),
            done: Vec::new(),
            living: 0,
            observers: Observers::new(watches),
        }
    }

    /// The block, which stays where it is.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// Takes up the block of that rank in the cluster of that index, all its threads at the entry's
    /// start.
    pub fn start(&mut self, cluster: u64, rank: u32) {
        self.block.place(cluster, rank);
        let block = &*self.block;
        let launch = block.launch();
        let threads: u32 = launch.block.iter().product();
        let count = threads.div_ceil(32) as usize;
        self.warps.resize_with(count, Warp::new);
        self.done.clear();
        self.done.resize(count, false);
        self.living = count;
        let function = &launch.program.functions[launch.function];
        let mut living = block.living.borrow_mut();
        living.clear();
        for first in (0..threads).step_by(32) {
            living.push(!0 >> (32 - (threads - first).min(32)));
        }
        block.arrived_in_cluster.borrow_mut().resize(count, 0);
        for (warp, first) in self.warps.iter_mut().zip((0..threads).step_by(32)) {
            warp.start(block, function, first, (threads - first).min(32));
        }
        self.observers.block_begins(block);
    }

    /// Whether all its threads have exited.
    pub fn is_done(&self) -> bool {
        self.living == 0
    }

    /// Gives every warp a turn; `false`: none of them could do anything.
    ///
    /// # Errors
    /// The first fault of a thread.
    pub fn turn(&mut self) -> Result<bool, Report> {
        let block = &*self.block;
        block.stirred.set(false);
        let mut progress = false;
        for (at, warp) in self.warps.iter_mut().enumerate() {
            if self.done[at] {
                continue;
            }
            let before = (warp.pc, warp.active);
            let outcome = if self.observers.is_empty() {
                warp.run(&mut Nobody)
            } else {
                warp.run(&mut self.observers)
            };
            match outcome {
                Outcome::Done => {
                    self.done[at] = true;
                    self.living -= 1;
                    progress = true;
                    // SAFETY: global and shared memory of the launch are still there.
                    unsafe {
                        warp.copies.wait_all(!0);
                        warp.stores.wait_all();
                    }
                }
                Outcome::Yielded => progress = true,
                Outcome::Waiting => progress |= (warp.pc, warp.active) != before,
                Outcome::Fault => {
                    let fault = warp.fault.clone().unwrap_or(Fault::Trap);
                    return Err(block.report(fault, warp));
                }
            }
            if let Some(fault) = block.trouble.take() {
                return Err(block.report(fault, warp));
            }
            if block.launch().is_over() {
                return Err(block.report(Fault::Timeout, warp));
            }
        }
        if self.living == 0 {
            block.is_gone.set(true);
            self.observers.block_ends(block);
        }
        Ok(progress || block.stirred.get())
    }

    /// Lets threads go on that wait for an mbarrier, without its phase having completed, as waits may
    /// end after some time. `false`: none waits so.
    pub fn give_up_waiting(&mut self) -> bool {
        let living = self.warps.iter_mut().zip(&self.done);
        living
            .filter(|(_, done)| !**done)
            .fold(false, |any, (warp, _)| any | warp.give_up_waiting())
    }

    /// There are no more blocks.
    pub fn retire(self) {
        self.observers.finish();
    }

    /// The report of a block whose threads all wait.
    pub fn stuck(&self) -> Report {
        let at = self.done.iter().position(|done| !done).unwrap_or(0);
        self.block.report(Fault::Deadlock, &self.warps[at])
    }
}
