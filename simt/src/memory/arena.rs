//! Device memory: a reserved range of host addresses, handed out in pieces.

use super::Allocations;
use crate::watch::Event;
use memmap2::{MmapMut, MmapOptions, UncheckedAdvice};
use std::collections::{BTreeMap, VecDeque};

/// Every allocation starts at a multiple of this many bytes: more than `cuMemAlloc` promises, and what
/// it does.
const ALIGN: u64 = 512;
/// From this size on allocations have pages of their own, and programs count on it.
const LARGE: u64 = 1 << 20;
/// Where such pages start.
const PAGE: u64 = 2 << 20;
/// Unused bytes after every allocation, so that a pointer just past one is in none.
const GAP: u64 = 256;
/// From this size on, freed memory goes back to the host at once.
const GIVE_BACK: u64 = 1 << 20;
/// Most bytes of freed memory that are kept from being used again, where that is asked for.
const KEPT: u64 = 4 << 30;

/// There is no room for that many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("out of device memory")]
pub struct OutOfMemory;

/// The memory of one device.
pub struct Arena {
    map: MmapMut,
    /// Where the memory begins in it, at a multiple of a page.
    first: u64,
    bytes: u64,
    /// Free ranges: first byte to length, no two touching.
    free: BTreeMap<u64, u64>,
    /// Allocations: first byte to (length as asked, length taken).
    used: BTreeMap<u64, (u64, u64)>,
    /// Bytes handed out.
    taken: u64,
    /// Memory of others that a kernel may touch: pinned host memory, mapped memory. First byte to length.
    foreign: BTreeMap<u64, u64>,
    snapshot: Option<Allocations>,
    /// Freed memory stays unused for a while, so that nobody who still uses it meets its next owner.
    pub keeps_freed: bool,
    /// First bytes and lengths of what is kept so, the oldest first.
    kept: VecDeque<(u64, u64)>,
    kept_bytes: u64,
    /// Is told what memory begins and ceases to belong to somebody.
    pub listener: Option<fn(&Event<'_>)>,
}

impl Arena {
    /// Reserves `bytes`; the host gives pages only when they are written.
    ///
    /// # Errors
    /// The host does not give that many addresses.
    pub fn new(bytes: u64) -> std::io::Result<Arena> {
        let length = usize::try_from(bytes).map_err(std::io::Error::other)?;
        let map = MmapOptions::new()
            .len(length.saturating_add(PAGE as usize))
            .no_reserve_swap()
            .map_anon()?;
        let first = (map.as_ptr() as u64).next_multiple_of(PAGE);
        Ok(Arena {
            map,
            first,
            bytes,
            free: BTreeMap::from([(first, bytes)]),
            used: BTreeMap::new(),
            taken: 0,
            foreign: BTreeMap::new(),
            snapshot: None,
            keeps_freed: false,
            kept: VecDeque::new(),
            kept_bytes: 0,
            listener: None,
        })
    }

    fn tell(&self, event: &Event<'_>) {
        if let Some(listener) = self.listener {
            listener(event);
        }
    }

    /// All of it, in bytes.
    pub fn total(&self) -> u64 {
        self.bytes
    }

    /// Whether an address is in the reserved range.
    pub fn is_inside(&self, address: u64) -> bool {
        (self.first..self.first + self.bytes).contains(&address)
    }

    /// What is left, in bytes, though not in one piece.
    pub fn available(&self) -> u64 {
        self.total().saturating_sub(self.taken)
    }

    /// Takes the first free range that is large enough. The bytes are undefined.
    ///
    /// # Errors
    /// No free range is large enough.
    pub fn allocate(&mut self, bytes: u64) -> Result<u64, OutOfMemory> {
        let length = bytes
            .checked_add(GAP)
            .and_then(|n| n.checked_next_multiple_of(GAP))
            .ok_or(OutOfMemory)?;
        if self.taken.saturating_add(length) > self.total() {
            return Err(OutOfMemory);
        }
        let align = if bytes >= LARGE { PAGE } else { ALIGN };
        let fits = |(&start, &room): (&u64, &u64)| {
            let first = start.next_multiple_of(align);
            (first + length <= start + room).then_some((start, room, first))
        };
        let (start, room, first) = loop {
            match self.free.iter().find_map(fits) {
                Some(found) => break found,
                None => self.release_oldest()?,
            }
        };
        self.free.remove(&start);
        if first > start {
            self.free.insert(start, first - start);
        }
        let behind = start + room - (first + length);
        if behind > 0 {
            self.free.insert(first + length, behind);
        }
        self.used.insert(first, (bytes, length));
        self.taken += length;
        self.snapshot = None;
        self.tell(&Event::Allocated {
            address: first,
            bytes,
        });
        Ok(first)
    }

    /// Counts bytes as taken that lie elsewhere.
    ///
    /// # Errors
    /// There are not so many left.
    pub fn charge(&mut self, bytes: u64) -> Result<(), OutOfMemory> {
        match self.taken.checked_add(bytes) {
            Some(taken) if taken <= self.total() => {
                self.taken = taken;
                Ok(())
            }
            _ => Err(OutOfMemory),
        }
    }

    /// Counts them no longer.
    pub fn discharge(&mut self, bytes: u64) {
        self.taken = self.taken.saturating_sub(bytes);
    }

    /// Gives an allocation back; `false` if none starts there.
    pub fn free(&mut self, first: u64) -> bool {
        let Some((bytes, length)) = self.used.remove(&first) else {
            return false;
        };
        self.tell(&Event::Freed {
            address: first,
            bytes,
        });
        self.taken -= length;
        self.snapshot = None;
        if self.keeps_freed {
            self.kept.push_back((first, length));
            self.kept_bytes += length;
            while self.kept_bytes > KEPT && self.release_oldest().is_ok() {}
        } else {
            self.release(first, length);
        }
        true
    }

    /// Lets go of the memory that has been kept longest.
    fn release_oldest(&mut self) -> Result<(), OutOfMemory> {
        let (first, length) = self.kept.pop_front().ok_or(OutOfMemory)?;
        self.kept_bytes -= length;
        self.release(first, length);
        Ok(())
    }

    /// Makes memory free that nobody owns.
    fn release(&mut self, first: u64, length: u64) {
        let (mut start, mut end) = (first, first + length);
        if let Some((&before, &room)) = self.free.range(..first).next_back()
            && before + room == first
        {
            self.free.remove(&before);
            start = before;
        }
        if let Some(room) = self.free.remove(&end) {
            end += room;
        }
        self.free.insert(start, end - start);
        if length >= GIVE_BACK {
            let offset = (first - self.map.as_ptr() as u64).next_multiple_of(4096) as usize;
            let whole = ((length - 4096) / 4096 * 4096) as usize;
            // SAFETY: nobody owns these bytes; what they hold is undefined from here on. That the
            // host may not take them back is no error.
            let _ = unsafe {
                self.map
                    .unchecked_advise_range(UncheckedAdvice::DontNeed, offset, whole)
            };
        }
    }

    /// Gives everything back.
    pub fn free_all(&mut self) {
        while let Some((&first, _)) = self.used.first_key_value() {
            self.free(first);
        }
        for (address, bytes) in std::mem::take(&mut self.foreign) {
            self.tell(&Event::Freed { address, bytes });
        }
        self.snapshot = None;
    }

    /// The allocation that holds an address: its first byte and its length in bytes.
    pub fn find(&self, address: u64) -> Option<(u64, u64)> {
        let inside =
            |(&first, &length): (&u64, &u64)| (address < first + length).then_some((first, length));
        let own = self.used.range(..=address).next_back();
        own.and_then(|(first, (length, _))| inside((first, length)))
            .or_else(|| self.foreign.range(..=address).next_back().and_then(inside))
    }

    /// Lets kernels touch host memory.
    pub fn register(&mut self, first: u64, bytes: u64) {
        self.foreign.insert(first, bytes);
        self.tell(&Event::Registered {
            address: first,
            bytes,
        });
        self.snapshot = None;
    }

    /// Takes that back; `false` if none was registered there.
    pub fn unregister(&mut self, first: u64) -> bool {
        self.snapshot = None;
        let Some(bytes) = self.foreign.remove(&first) else {
            return false;
        };
        self.tell(&Event::Freed {
            address: first,
            bytes,
        });
        true
    }

    /// What a launch may touch.
    pub fn allocations(&mut self) -> Allocations {
        let (used, foreign) = (&self.used, &self.foreign);
        self.snapshot
            .get_or_insert_with(|| {
                let own = used
                    .iter()
                    .map(|(first, (length, _))| (*first, first + length));
                let others = foreign
                    .iter()
                    .map(|(first, length)| (*first, first + length));
                Allocations::new(own.chain(others).collect())
            })
            .clone()
    }
}
