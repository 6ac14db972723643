//! The machine's engines that copy in bulk or multiply for a warpgroup, as threads of their own: what they
//! read and write is in order with an access just where the accessing thread knows of it.
//!
//! Copies that complete on one mbarrier are the work of one engine, and so are the reads of the copies in a
//! thread's bulk groups, and their writes, and what the products of a warpgroup read. Of an engine a thread
//! knows what came before the last copy of a phase that it has seen complete, or of a group that it has
//! waited for, and tells it on as it tells of its own accesses.

use super::clock::{Thread, Time};
use std::collections::HashMap;

/// What an engine's copies have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// They complete on the mbarrier at an offset of the block's shared memory.
    Barrier(u64),
    /// Those of a thread's bulk groups.
    Reads(u32),
    Writes(u32),
    /// The reads of a warpgroup's products.
    Products(u32),
}

/// An engine.
#[derive(Debug, Clone, Copy)]
struct Engine {
    number: u32,
    /// When it began its last copy in a phase of each parity.
    last: [Time; 2],
}

/// Numbers that a block has for its engines; later ones share the last.
const MOST: u32 = 1 << 10;

/// The engines of a block.
#[derive(Debug, Default)]
pub struct Engines(HashMap<Work, Engine>);

impl Engines {
    /// A block begins.
    pub fn reset(&mut self) {
        self.0.clear();
    }

    /// An engine of block `block` begins a copy, in a phase of that parity where it works in phases.
    pub fn start(&mut self, block: u32, work: Work, parity: u32, now: Time) -> Thread {
        let number = (self.0.len() as u32).min(MOST - 1);
        let engine = self.0.entry(work).or_insert(Engine {
            number,
            last: [0; 2],
        });
        engine.last[parity as usize & 1] = now;
        Thread::engine(block, engine.number)
    }

    /// The engine of some work, and when it began its last copy in a phase of that parity.
    pub fn find(&self, block: u32, work: Work, parity: u32) -> Option<(Thread, Time)> {
        let engine = self.0.get(&work)?;
        let last = engine.last[parity as usize & 1];
        (last > 0).then_some((Thread::engine(block, engine.number), last))
    }
}

/// The groups of a thread.
#[derive(Debug, Default)]
struct Groups {
    /// The one that it is filling.
    current: u32,
    /// Those that it has not waited for: number, and when its last copy began.
    pending: Vec<(u32, Time)>,
}

/// The bulk groups of a block's threads, by their index; those of products, by warps.
#[derive(Debug, Default)]
pub struct Stores(HashMap<u32, Groups>);

impl Stores {
    /// A block begins.
    pub fn reset(&mut self) {
        self.0.clear();
    }

    /// A thread begins a copy.
    pub fn start(&mut self, thread: u32, now: Time) {
        let groups = self.0.entry(thread).or_default();
        match groups.pending.last_mut() {
            Some((number, last)) if *number == groups.current => *last = now,
            _ => groups.pending.push((groups.current, now)),
        }
    }

    /// A thread ends the group that it is filling.
    pub fn commit(&mut self, thread: u32) {
        self.0.entry(thread).or_default().current += 1;
    }

    /// A thread waits for all but the `keep` latest of its groups, or only for what they read; the moment
    /// when the last copy of those began, if there is one.
    pub fn wait(&mut self, thread: u32, keep: u32, only_reads: bool) -> Option<Time> {
        let groups = self.0.get_mut(&thread)?;
        let is_done = |(number, _): &&(u32, Time)| number.saturating_add(keep) < groups.current;
        let count = groups.pending.iter().take_while(is_done).count();
        let last = groups.pending[..count].last().map(|(_, time)| *time);
        if !only_reads {
            groups.pending.drain(..count);
        }
        last
    }
}

/// The products of a block's warpgroups. The four warps of one begin a product one after another here, and
/// together on the chip: it has one moment for all of them, and whoever of them waits for it knows that the
/// others' parts are over as well.
#[derive(Debug, Default)]
pub struct Products {
    /// When each product of a warpgroup began.
    begun: HashMap<u32, Vec<Time>>,
    /// How many each warp has begun, and their groups.
    counts: HashMap<u32, usize>,
    groups: Stores,
}

/// Warps of a warpgroup.
const WARPS: u32 = 4;

impl Products {
    /// A block begins.
    pub fn reset(&mut self) {
        self.begun.clear();
        self.counts.clear();
        self.groups.reset();
    }

    /// A warp begins a product; what its warpgroup's engine does, and the product's moment.
    pub fn start(&mut self, warp: u32, now: Time) -> (Work, Time) {
        let count = self.counts.entry(warp).or_default();
        let begun = self.begun.entry(warp / WARPS).or_default();
        if *count == begun.len() {
            begun.push(now);
        }
        let time = begun.get(*count).copied().unwrap_or(now);
        *count += 1;
        self.groups.start(warp, time);
        (Work::Products(warp / WARPS), time)
    }

    /// A warp ends the group that it is filling.
    pub fn commit(&mut self, warp: u32) {
        self.groups.commit(warp);
    }

    /// A warp waits for all but the `keep` latest of its groups; what it waits for, and the moment of the
    /// last product of those, if there is one.
    pub fn wait(&mut self, warp: u32, keep: u32) -> Option<(Work, Time)> {
        let time = self.groups.wait(warp, keep, false)?;
        Some((Work::Products(warp / WARPS), time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_of_an_mbarrier_are_told_apart() {
        let mut engines = Engines::default();
        let first = engines.start(3, Work::Barrier(64), 0, 10);
        assert_eq!(engines.start(3, Work::Barrier(64), 0, 11), first);
        assert_eq!(engines.start(3, Work::Barrier(64), 1, 12), first);
        let other = engines.start(3, Work::Barrier(72), 0, 13);
        assert_ne!(first, other);
        assert!(first.is_engine() && first.block() == 3);
        // Who sees the first phase complete does not know of the copy in the second.
        let found = |parity| engines.find(3, Work::Barrier(64), parity);
        assert_eq!((found(0), found(1)), (Some((first, 11)), Some((first, 12))));
        assert_eq!(engines.find(3, Work::Barrier(72), 1), None);
        assert_eq!(engines.find(3, Work::Reads(0), 0), None);
    }

    #[test]
    fn groups_end_in_their_order() {
        let mut stores = Stores::default();
        for group in 0..3 {
            stores.start(5, 10 + 2 * group);
            stores.start(5, 11 + 2 * group);
            stores.commit(5);
        }
        stores.start(5, 20);
        assert_eq!(stores.wait(5, 3, true), None);
        assert_eq!(stores.wait(5, 1, true), Some(13));
        // Writes are waited for by themselves.
        assert_eq!(stores.wait(5, 1, false), Some(13));
        assert_eq!(stores.wait(5, 1, false), None);
        assert_eq!(stores.wait(5, 0, false), Some(15));
        assert_eq!(stores.wait(6, 0, false), None);
    }

    #[test]
    fn warps_of_a_warpgroup_share_their_products() {
        let mut products = Products::default();
        let work = Work::Products(1);
        for (product, now) in [(0, 10), (1, 20)] {
            assert_eq!(products.start(4, now), (work, now), "{product}");
            products.commit(4);
        }
        assert_eq!(products.wait(4, 1), Some((work, 10)));
        // The other warps come later, to the same products.
        assert_eq!(products.start(7, 30), (work, 10));
        products.commit(7);
        assert_eq!(products.wait(7, 0), Some((work, 10)));
        assert_eq!(products.start(7, 31), (work, 20));
        assert_eq!(products.start(7, 32), (work, 32));
        // Another warpgroup has products of its own.
        assert_eq!(products.start(8, 40), (Work::Products(2), 40));
        assert_eq!(products.wait(8, 0), None);
    }
}
