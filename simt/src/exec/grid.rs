//! A launch: the blocks of a grid, spread over host threads.

use super::block::Resident;
use super::fault::Report;
use super::program::Program;
use crate::memory::Allocations;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the chip is, as far as a program can see it.
#[derive(Debug, Clone, Copy)]
pub struct ChipLimits {
    pub multiprocessors: u32,
    pub warps_per_sm: u32,
}

/// A kernel with its arguments and extent.
pub struct Launch {
    pub program: Arc<Program>,
    /// Index of the entry.
    pub function: usize,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    /// Blocks of a cluster; ones where there are none.
    pub cluster: [u32; 3],
    pub has_clusters: bool,
    /// Blocks may wait for one another: all are there from the start.
    pub cooperative: bool,
    pub dynamic_shared: u32,
    /// Static and dynamic shared memory of a block, in bytes.
    pub shared_bytes: u32,
    /// Local memory of a thread, in bytes.
    pub local_bytes: u32,
    /// Argument bytes as the entry lays them out.
    pub params: Vec<u8>,
    pub memory: Allocations,
    pub limits: ChipLimits,
    /// Counts launches.
    pub id: u64,
    /// Longest it may run.
    pub timeout: Option<Duration>,
    pub started: Instant,
    next_block: AtomicU64,
    over: AtomicBool,
    fault: Mutex<Option<Report>>,
}

/// What a launch is made of; see [`Launch`] for the parts.
#[derive(Debug, Clone)]
pub struct Shape {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub cluster: Option<[u32; 3]>,
    pub cooperative: bool,
    pub dynamic_shared: u32,
}

impl Launch {
    /// A launch that has not begun.
    pub fn new(
        program: Arc<Program>,
        function: usize,
        shape: &Shape,
        params: Vec<u8>,
        memory: Allocations,
        limits: ChipLimits,
    ) -> Launch {
        let entry = &program.functions[function];
        Launch {
            shared_bytes: entry.shared.next_multiple_of(16) + shape.dynamic_shared,
            local_bytes: program.stack(function),
            function,
            grid: shape.grid,
            block: shape.block,
            cluster: shape.cluster.unwrap_or([1; 3]),
            has_clusters: shape.cluster.is_some(),
            cooperative: shape.cooperative,
            dynamic_shared: shape.dynamic_shared,
            params,
            memory,
            limits,
            id: 0,
            timeout: None,
            started: Instant::now(),
            next_block: AtomicU64::new(0),
            over: AtomicBool::new(false),
            fault: Mutex::new(None),
            program,
        }
    }

    /// Ticks of a clock of 1 GHz since the launch began.
    pub fn clock(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Nanoseconds since 1970.
    pub fn nanoseconds(&self) -> u64 {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| d.as_nanos() as u64)
    }

    /// Whether the launch has to end: another block has failed, or its time is up.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
            || self
                .timeout
                .is_some_and(|limit| self.started.elapsed() > limit)
    }

    /// Runs all blocks on up to `threads` host threads.
    ///
    /// # Errors
    /// The first fault of a thread; the other blocks have been ended early.
    pub fn run(&self, threads: usize) -> Result<(), Report> {
        let blocks: u64 = self.grid.iter().map(|n| u64::from(*n)).product();
        let threads = threads.min(blocks as usize).max(1);
        if self.cooperative {
            self.work_together(blocks);
        } else if threads == 1 {
            self.work(blocks);
        } else {
            super::pool::on_all(threads, &|| self.work(blocks));
        }
        match self.fault.lock() {
            Ok(mut fault) => fault.take().map_or(Ok(()), Err),
            Err(poisoned) => poisoned.into_inner().take().map_or(Ok(()), Err),
        }
    }

    /// Runs blocks, in rising order, until there are none.
    fn work(&self, blocks: u64) {
        let mut resident = Resident::new(self);
        loop {
            let index = self.next_block.fetch_add(1, Ordering::Relaxed);
            if index >= blocks || self.over.load(Ordering::Relaxed) {
                return;
            }
            resident.start(index);
            if let Err(report) = resident.finish() {
                self.stop(report);
                return;
            }
        }
    }

    /// Runs all blocks at once, in turns, so that they can wait for one another.
    fn work_together(&self, blocks: u64) {
        let mut residents: Vec<Resident> = (0..blocks)
            .map(|index| {
                let mut resident = Resident::new(self);
                resident.start(index);
                resident
            })
            .collect();
        while !residents.is_empty() {
            let mut progress = false;
            for resident in &mut residents {
                match resident.turn() {
                    Ok(moved) => progress |= moved,
                    Err(report) => return self.stop(report),
                }
            }
            if !progress {
                return self.stop(residents[0].stuck());
            }
            residents.retain(|resident| !resident.is_done());
        }
    }

    /// Ends the launch with a fault.
    fn stop(&self, report: Report) {
        self.over.store(true, Ordering::Relaxed);
        let mut first = match self.fault.lock() {
            Ok(first) => first,
            Err(poisoned) => poisoned.into_inner(),
        };
        first.get_or_insert(report);
    }
}
