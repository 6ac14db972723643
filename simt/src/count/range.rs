//! Ranges of launches, from `cuProfilerStart` to `cuProfilerStop`: what crosses the memory's pins where launches
//! find in the L2 cache what earlier ones have left there.
//!
//! The model is that of a launch (`cache`), its blocks in the same order, but for one thing: it is
//! empty before the range alone, and written back after it. Fills and copies on the device are accesses too; copies
//! from and to the host are not. Memory that is freed within the range is like any other: what was written to it
//! reaches the memory's pins when its line leaves, or at the end, unless a kernel discards it.
//!
//! A start within a range and a stop outside of one do nothing, as the driver has it. A range that is open when the
//! process ends is dropped. Where host threads launch side by side, their launches share the cache in whatever order
//! they come.

use super::cache::{Cache, Want};
use super::footprint::Footprint;
use super::intervals::SECTOR;
use super::record::{L2, RangeRecord, Unique};
use crate::driver::Chip;
use crate::watch::{Transfer, TransferKind};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A range that launches add to.
pub struct Range {
    state: Mutex<State>,
}

struct State {
    cache: Cache,
    /// Kernels, in the order in which they began, and how many have ended.
    launches: Vec<String>,
    ended: usize,
    read: Footprint,
    written: Footprint,
    /// The model has seen all accesses of those that have ended.
    complete: bool,
}

impl Range {
    /// A range without launches, over an empty cache of `bytes`.
    pub fn new(bytes: u64) -> Range {
        Range {
            state: Mutex::new(State {
                cache: Cache::new(bytes),
                launches: Vec::new(),
                ended: 0,
                read: Footprint::default(),
                written: Footprint::default(),
                complete: true,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A launch of a kernel begins.
    pub fn begins(&self, kernel: &str) {
        self.lock().launches.push(kernel.to_owned());
    }

    /// Sectors are wanted, one after the other.
    pub fn access(&self, sectors: &[(u64, Want)]) {
        let cache = &mut self.lock().cache;
        for (sector, want) in sectors {
            cache.access(*sector, *want);
        }
    }

    /// A launch has ended, which has touched these bytes; whether the model has seen all its accesses.
    pub fn ends(&self, read: &Footprint, written: &Footprint, complete: bool) {
        let mut state = self.lock();
        state.ended += 1;
        state.complete &= complete;
        state.read.merge(read);
        state.written.merge(written);
    }

    /// Bytes have been moved or filled.
    pub fn transferred(&self, transfer: &Transfer) {
        let Transfer {
            kind,
            to,
            from,
            bytes,
            ..
        } = *transfer;
        let is_copy = match kind {
            TransferKind::OnDevice => true,
            TransferKind::Fill => false,
            _ => return,
        };
        let mut state = self.lock();
        if is_copy {
            state.read.add(from, from + bytes);
            sectors(from, bytes).for_each(|s| state.cache.access(s, Want::Read));
        }
        state.written.add(to, to + bytes);
        sectors(to, bytes).for_each(|s| state.cache.access(s, Want::Write));
    }

    /// The range has ended, the `number`th of the process.
    pub fn record(&self, number: u64, chip: &Chip) -> RangeRecord {
        let mut state = self.lock();
        state.cache.flush();
        let cache = &state.cache;
        RangeRecord {
            range: number,
            chip: chip.name.to_owned(),
            launches: state.launches.clone(),
            unique: Unique {
                read_bytes: state.read.bytes(),
                written_bytes: state.written.bytes(),
            },
            l2: L2::new(
                cache.bytes(),
                &cache.tally,
                state.complete && state.ended == state.launches.len(),
            ),
        }
    }
}

fn sectors(first: u64, bytes: u64) -> std::ops::Range<u64> {
    first / SECTOR..(first + bytes).div_ceil(SECTOR)
}
