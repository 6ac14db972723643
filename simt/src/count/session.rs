//! The counting of one launch: what its host threads share.

use super::blocks::Blocks;
use super::cache;
use super::chain::Chains;
use super::footprint::Footprint;
use super::observer::Counter;
use super::occupancy::Occupancy;
use super::range::Range;
use super::record::Record;
use super::replay::{Replay, Stream};
use super::tally::Tally;
use super::{Model, Output};
use crate::exec::fault::Report;
use crate::exec::grid::Launch;
use crate::exec::program::Program;
use crate::watch::{LaunchWatch, Observer};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What the host threads of a launch add to.
pub struct Session {
    pub program: Arc<Program>,
    /// Of the grid.
    pub blocks: u64,
    /// Runs of sectors that the stream of a block may have.
    pub most_runs: usize,
    replay: Mutex<Replay>,
    totals: Mutex<Totals>,
    /// Some block's stream was too long to keep.
    truncated: AtomicBool,
}

/// What host threads have counted, one of them or all together.
#[derive(Default)]
pub struct Totals {
    pub tally: Tally,
    pub read: Footprint,
    pub written: Footprint,
    pub chains: Chains,
    pub blocks: Blocks,
}

impl Totals {
    /// Nothing counted yet.
    pub fn new(program: &Program) -> Totals {
        Totals {
            tally: Tally::new(program),
            ..Totals::default()
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    fn new(
        launch: &Launch,
        model: &Model,
        occupancy: &Occupancy,
        range: Option<Arc<Range>>,
    ) -> Session {
        let blocks = launch.grid.iter().map(|n| u64::from(*n)).product();
        let wave = u64::from(occupancy.blocks.max(1) * model.chip.multiprocessors);
        let replay = Replay::new(model.l2, blocks, wave, range);
        Session {
            program: Arc::clone(&launch.program),
            blocks,
            most_runs: replay.most_runs(),
            replay: Mutex::new(replay),
            totals: Mutex::new(Totals::new(&launch.program)),
            truncated: AtomicBool::new(false),
        }
    }

    /// A block has ended.
    pub fn block(&self, index: u64, stream: Stream) {
        lock(&self.replay).block(index, stream);
    }

    /// A block has accessed more than is kept.
    pub fn truncate(&self) {
        self.truncated.store(true, Ordering::Relaxed);
    }

    /// Adds what a host thread has counted.
    pub fn merge(&self, counted: &Totals) {
        let mut totals = lock(&self.totals);
        totals.tally.add(&counted.tally);
        totals.read.merge(&counted.read);
        totals.written.merge(&counted.written);
        totals.chains.merge(&counted.chains);
        totals.blocks.merge(&counted.blocks);
    }
}

/// The end of a launch's counting: what the cache model says, and whether it saw everything.
pub struct CacheResult {
    pub bytes: u64,
    pub tally: cache::Tally,
    pub complete: bool,
}

/// Counts a launch, and writes a record when it ends.
pub struct Counting {
    session: Arc<Session>,
    occupancy: Occupancy,
    model: Model,
    output: Arc<dyn Output>,
    /// The range that the launch is part of.
    range: Option<Arc<Range>>,
    started: Instant,
}

impl Counting {
    /// Counting that begins now, within `range` if there is one.
    pub fn new(
        launch: &Launch,
        model: Model,
        output: Arc<dyn Output>,
        range: Option<Arc<Range>>,
    ) -> Counting {
        let occupancy = Occupancy::of(launch, &model.chip);
        if let Some(range) = &range {
            range.begins(&launch.program.functions[launch.function].name);
        }
        Counting {
            session: Arc::new(Session::new(launch, &model, &occupancy, range.clone())),
            occupancy,
            model,
            output,
            range,
            started: Instant::now(),
        }
    }
}

impl LaunchWatch for Counting {
    fn observer(&self) -> Option<Box<dyn Observer>> {
        Some(Box::new(Counter::new(&self.session)))
    }

    fn end(self: Box<Self>, launch: &Launch, fault: Option<&Report>) {
        let took = self.started.elapsed();
        let mut replay = lock(&self.session.replay);
        replay.finish();
        let cache = CacheResult {
            bytes: replay.cache.bytes(),
            tally: replay.cache.tally,
            complete: fault.is_none() && !self.session.truncated.load(Ordering::Relaxed),
        };
        let totals = lock(&self.session.totals);
        if let Some(range) = &self.range {
            range.ends(&totals.read, &totals.written, cache.complete);
        }
        let mut record = Record::new(launch, &self.model.chip, &totals, &cache, self.occupancy);
        record.host_ms = took.as_secs_f64() * 1e3;
        record.fault = fault.map(ToString::to_string);
        self.output.write(&record);
    }
}
