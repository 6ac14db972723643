//! A launch: the blocks of a grid, spread over host threads.

use super::cluster::Group;
use super::fault::Report;
use super::program::Program;
use crate::memory::Allocations;
use crate::watch::{LaunchWatch, Watch};
use std::sync::OnceLock;
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
    /// Local memory of a thread, in bytes, and how many of them frames need.
    pub local_bytes: u32,
    pub stack_bytes: u32,
    /// Argument bytes as the entry lays them out.
    pub params: Vec<u8>,
    pub memory: Allocations,
    pub limits: ChipLimits,
    /// Counts launches.
    pub id: u64,
    /// Longest it may run.
    pub timeout: Option<Duration>,
    /// Those who look on.
    pub watches: Vec<Arc<dyn Watch>>,
    pub started: Instant,
    next_cluster: AtomicU64,
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
            local_bytes: program.stack(function).saturating_add(program.taken_local),
            stack_bytes: program.stack(function),
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
            watches: Vec::new(),
            started: Instant::now(),
            next_cluster: AtomicU64::new(0),
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
        let size: u32 = self.cluster.iter().product();
        let blocks: u64 = self.grid.iter().map(|n| u64::from(*n)).product();
        let clusters = blocks / u64::from(size);
        let threads = threads.min(clusters as usize).max(1);
        let watches: Vec<_> = self.watches.iter().filter_map(|w| w.launch(self)).collect();
        let threads = if watches.iter().any(|w| w.wants_one_thread()) {
            1
        } else {
            threads
        };
        if self.cooperative {
            let mut all = Group::new(self, clusters as usize, &watches);
            all.start(0);
            if let Err(report) = all.finish() {
                self.stop(report);
            }
            all.retire();
        } else if threads == 1 {
            self.work(clusters, &watches);
        } else {
            super::pool::on_all(threads, &|| self.work(clusters, &watches));
        }
        let fault = match self.fault.lock() {
            Ok(mut fault) => fault.take(),
            Err(poisoned) => poisoned.into_inner().take(),
        };
        for watch in watches {
            watch.end(self, fault.as_ref());
        }
        fault.map_or(Ok(()), Err)
    }

    /// Runs clusters, in rising order or as [`falls`] says, until there are none.
    fn work(&self, clusters: u64, watches: &[Box<dyn LaunchWatch>]) {
        let falls = falls();
        let mut group = Group::new(self, 1, watches);
        loop {
            let index = self.next_cluster.fetch_add(1, Ordering::Relaxed);
            if index >= clusters || self.over.load(Ordering::Relaxed) {
                break;
            }
            group.start(if falls { clusters - 1 - index } else { index });
            if let Err(report) = group.finish() {
                self.stop(report);
                break;
            }
        }
        group.retire();
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

/// Whether clusters start in falling order, `SIMT_ORDER=falling`: a program that hears of it depends on
/// an order that no GPU promises.
fn falls() -> bool {
    static FALLS: OnceLock<bool> = OnceLock::new();
    *FALLS.get_or_init(|| std::env::var("SIMT_ORDER").is_ok_and(|order| order == "falling"))
}
