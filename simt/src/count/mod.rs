//! Counters: what a launch executes and moves, as a record of JSON for each and for each range of launches that the
//! program delimits (`SIMT_PROFILE`), and a trace of launches and copies (`SIMT_TRACE`).
//!
//! What is counted does not depend on the number of host threads, but for which block of a launch finds itself the last
//! to end: counts are sums, touched bytes a union, and the cache model replays the accesses of blocks in their order
//! (`replay`).

mod banks;
mod blocks;
mod cache;
mod chain;
mod footprint;
mod intervals;
mod lines;
mod moves;
mod observer;
mod occupancy;
mod output;
pub mod range;
pub mod record;
mod replay;
mod session;
pub mod table;
mod tally;
mod trace;

pub use output::{File, Output};

use crate::driver::Chip;
use crate::exec::grid::Launch;
use crate::watch::{Event, LaunchWatch, Watch};
use range::Range;
use session::Counting;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The chip that counts are for.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    pub chip: Chip,
    /// Bytes of the L2 cache, the chip's or others.
    pub l2: u64,
}

impl Model {
    /// That of a chip.
    pub fn of(chip: Chip) -> Model {
        Model {
            chip,
            l2: chip.l2.into(),
        }
    }
}

/// Counts every launch.
pub struct Profile {
    model: Model,
    output: Arc<dyn Output>,
    ranges: Mutex<Ranges>,
}

/// The ranges of a process.
#[derive(Default)]
struct Ranges {
    open: Option<Arc<Range>>,
    closed: u64,
}

impl Profile {
    /// Counts for a model of a chip; records go to `output`.
    pub fn new(model: Model, output: Arc<dyn Output>) -> Profile {
        Profile {
            model,
            output,
            ranges: Mutex::default(),
        }
    }

    fn ranges(&self) -> MutexGuard<'_, Ranges> {
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Profile {
    fn launch(&self, launch: &Launch) -> Option<Box<dyn LaunchWatch>> {
        let output = Arc::clone(&self.output);
        let range = self.ranges().open.clone();
        Some(Box::new(Counting::new(launch, self.model, output, range)))
    }

    fn host(&self, event: &Event<'_>) {
        if let Event::Transferred(transfer) = event {
            let range = self.ranges().open.clone();
            range.inspect(|range| range.transferred(transfer));
        }
    }

    fn profiler(&self, is_on: bool) {
        let mut ranges = self.ranges();
        if is_on {
            let empty = || Arc::new(Range::new(self.model.l2));
            ranges.open.get_or_insert_with(empty);
        } else if let Some(range) = ranges.open.take() {
            let record = range.record(ranges.closed, &self.model.chip);
            ranges.closed += 1;
            self.output.write_range(&record);
        }
    }
}

/// Counting into the file that `SIMT_PROFILE` names.
pub fn from_environment() -> Option<Arc<dyn Watch>> {
    let path = std::env::var_os("SIMT_PROFILE").filter(|path| !path.is_empty())?;
    let output = File::new("SIMT_PROFILE", path.into());
    let profile = Profile::new(Model::of(Chip::of(0)), Arc::new(output));
    Some(Arc::new(profile))
}

pub use trace::from_environment as trace_from_environment;
