//! A block: its shared memory, its barriers, and the turns of its warps.

use super::fault::{Fault, Report};
use super::grid::Launch;
use super::program::Line;
use super::warp::{Outcome, Warp};
use std::cell::{Cell, RefCell, UnsafeCell};

/// Barriers of a block (PTX ISA, `barrier`).
pub const BARRIERS: u32 = 16;

/// What the warps of a block share. Only one host thread at a time uses a block.
pub struct Block {
    launch: *const Launch,
    pub id: [u32; 3],
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
}

impl Block {
    /// A block without shared memory, to be given some by [`Block::start`].
    pub fn new(launch: &Launch) -> Block {
        Block {
            launch,
            id: [0; 3],
            sm: 0,
            shared: UnsafeCell::new(Vec::new()),
            shared_bytes: 0,
            barriers: Default::default(),
            living: RefCell::default(),
            stirred: Cell::new(false),
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

    /// How often a barrier has passed.
    pub fn barrier_passes(&self, index: u32) -> u64 {
        self.barriers[index as usize].borrow().passes
    }

    /// Makes this the block of that index in the grid, all its threads at the entry's start.
    fn start(&mut self, index: u64, warps: &mut Vec<Warp>) {
        // SAFETY: as in `launch`; taken apart from `self`, which changes.
        let launch = unsafe { &*self.launch };
        let [x, y, _] = launch.grid.map(u64::from);
        self.id = [
            (index % x) as u32,
            (index / x % y) as u32,
            (index / x / y) as u32,
        ];
        self.sm = (index % u64::from(launch.limits.multiprocessors)) as u32;
        self.shared_bytes = launch.shared_bytes;
        let shared = self.shared.get_mut();
        shared.clear();
        // What shared memory holds at first is undefined; a constant makes runs repeat.
        shared.resize((launch.shared_bytes as usize).div_ceil(64), Line([0; 64]));
        for barrier in &mut self.barriers {
            *barrier.get_mut() = Default::default();
        }
        let threads: u32 = launch.block.iter().product();
        let count = threads.div_ceil(32) as usize;
        warps.resize_with(count, Warp::new);
        let living = self.living.get_mut();
        living.clear();
        let function = &launch.program.functions[launch.function];
        for first in (0..threads).step_by(32) {
            living.push(!0 >> (32 - (threads - first).min(32)));
        }
        for (index, warp) in warps.iter_mut().enumerate() {
            let first = index as u32 * 32;
            warp.start(self, function, first, (threads - first).min(32));
        }
    }

    /// Runs the block of that index to its end.
    ///
    /// # Errors
    /// The first fault of one of its threads.
    pub fn run(&mut self, index: u64, warps: &mut Vec<Warp>) -> Result<(), Report> {
        self.start(index, warps);
        let mut living = warps.len();
        let mut done = vec![false; living];
        while living > 0 {
            self.stirred.set(false);
            let mut progress = false;
            for (at, warp) in warps.iter_mut().enumerate() {
                if done[at] {
                    continue;
                }
                let before = (warp.pc, warp.active);
                match warp.run() {
                    Outcome::Done => {
                        done[at] = true;
                        living -= 1;
                        progress = true;
                        // SAFETY: global and shared memory of the launch are still there.
                        unsafe { warp.copies.wait_all(!0) };
                        self.exited(at, warp.dead);
                    }
                    Outcome::Yielded => progress = true,
                    Outcome::Waiting => progress |= (warp.pc, warp.active) != before,
                    Outcome::Fault => {
                        let fault = warp.fault.clone().unwrap_or(Fault::Trap);
                        return Err(self.report(fault, warp));
                    }
                }
                if self.launch().is_over() {
                    return Err(self.report(Fault::Timeout, warp));
                }
            }
            if !progress && !self.stirred.get() && living > 0 {
                let stuck = done.iter().position(|d| !d).unwrap_or(0);
                return Err(self.report(Fault::Deadlock, &warps[stuck]));
            }
        }
        Ok(())
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
