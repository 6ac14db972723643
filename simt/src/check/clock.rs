//! What a thread knows of others: vector clocks in the shape of a grid.
//!
//! All threads read one clock, [`Time`], which moves on when one of them does something that others may
//! learn from. A thread's [`Clock`] says of every other thread up to which moment its accesses have
//! happened before the next one of its own. Most knowledge is of whole blocks and of whole launches, so
//! a clock is a few numbers, not one for every thread of the grid.

/// A moment of the checked process.
pub type Time = u32;

/// A thread of the grid: its block, and its linear index there. Block numbers wrap at 2^21. An engine that
/// copies for a block's threads is a thread beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thread(u32);

const INDEX_BITS: u32 = 10;
/// Tells engines from threads.
const ENGINE: u32 = 1 << 31;

impl Thread {
    /// The thread of that index in a block.
    #[inline(always)]
    pub fn new(block: u32, index: u32) -> Thread {
        Thread(block << INDEX_BITS | index)
    }

    /// A thread by the number of its warp in the grid ([`Thread::grid_warp`]) and its lane.
    #[inline(always)]
    pub fn of_warp(grid_warp: u32, lane: u32) -> Thread {
        Thread(grid_warp << 5 | lane)
    }

    /// The engine of that number in a block.
    pub fn engine(block: u32, number: u32) -> Thread {
        Thread(ENGINE | block << INDEX_BITS | number)
    }

    #[inline(always)]
    pub fn is_engine(self) -> bool {
        self.0 & ENGINE != 0
    }

    #[inline(always)]
    pub fn block(self) -> u32 {
        (self.0 & !ENGINE) >> INDEX_BITS
    }

    /// The block's threads, or the block's engines, by a number: what clocks tell apart.
    #[inline(always)]
    pub fn group(self) -> u32 {
        self.0 >> INDEX_BITS
    }

    /// Linear index in the block.
    #[inline(always)]
    pub fn index(self) -> u32 {
        self.0 & ((1 << INDEX_BITS) - 1)
    }

    /// Number of its warp, of all warps of the grid.
    #[inline(always)]
    pub fn grid_warp(self) -> u32 {
        self.0 >> 5
    }

    fn warp(self) -> u32 {
        self.index() / 32
    }

    fn lane(self) -> usize {
        self.0 as usize % 32
    }
}

/// What is known of a block, or of a block's engines.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    /// [`Thread::group`]
    block: u32,
    /// Of all its threads.
    all: Time,
    /// Of the threads of some of its warps, sorted by warp.
    warps: Vec<(u32, [Time; 32])>,
}

/// Moments up to which the accesses of others have happened before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// Of all threads of the grid, and of everything before the launch.
    grid: Time,
    /// Sorted by block.
    blocks: Vec<Known>,
}

impl Clock {
    /// Knows all that happened up to a moment.
    pub fn new(grid: Time) -> Clock {
        Clock {
            grid,
            blocks: Vec::new(),
        }
    }

    /// What is known of every thread of the grid.
    pub fn of_grid(&self) -> Time {
        self.grid
    }

    fn find(&self, block: u32) -> Option<&Known> {
        let at = self.blocks.partition_point(|known| known.block < block);
        self.blocks.get(at).filter(|known| known.block == block)
    }

    /// What is known of every thread of a block.
    pub fn of_block(&self, block: u32) -> Time {
        self.grid.max(self.find(block).map_or(0, |known| known.all))
    }

    /// What is known of every one of a warp's threads that are in `lanes`.
    pub fn of_warp(&self, block: u32, warp: u32, lanes: u32) -> Time {
        let Some(known) = self.find(block) else {
            return self.grid;
        };
        let least = match known.warp(warp) {
            Some(times) => (0..32)
                .filter(|lane| lanes >> lane & 1 != 0)
                .map(|lane| times[lane])
                .min()
                .unwrap_or(0),
            None => 0,
        };
        self.grid.max(known.all).max(least)
    }

    /// What is known of a thread.
    pub fn of(&self, thread: Thread) -> Time {
        let Some(known) = self.find(thread.group()) else {
            return self.grid;
        };
        let own = known
            .warp(thread.warp())
            .map_or(0, |times| times[thread.lane()]);
        self.grid.max(known.all).max(own)
    }

    fn entry(&mut self, block: u32) -> &mut Known {
        let at = self.blocks.partition_point(|known| known.block < block);
        if self.blocks.get(at).is_none_or(|known| known.block != block) {
            let known = Known {
                block,
                all: 0,
                warps: Vec::new(),
            };
            self.blocks.insert(at, known);
        }
        &mut self.blocks[at]
    }

    /// Learns of all threads of a block.
    pub fn raise_block(&mut self, block: u32, time: Time) {
        let known = self.entry(block);
        known.all = known.all.max(time);
        let all = known.all;
        known
            .warps
            .retain(|(_, times)| times.iter().any(|t| *t > all));
    }

    /// Learns of some threads of a warp.
    pub fn raise(&mut self, block: u32, warp: u32, lanes: u32, time: Time) {
        if time <= self.grid {
            return;
        }
        let known = self.entry(block);
        if time <= known.all {
            return;
        }
        let times = known.warp_entry(warp);
        for (lane, known) in times.iter_mut().enumerate() {
            if lanes >> lane & 1 != 0 {
                *known = time.max(*known);
            }
        }
    }

    /// Learns of one thread, or engine.
    pub fn raise_one(&mut self, thread: Thread, time: Time) {
        self.raise(thread.group(), thread.warp(), 1 << thread.lane(), time);
    }

    /// Learns all that another clock knows.
    pub fn join(&mut self, other: &Clock) {
        self.grid = self.grid.max(other.grid);
        for from in &other.blocks {
            if from.all <= self.grid && from.warps.is_empty() {
                continue;
            }
            let to = self.entry(from.block);
            to.all = to.all.max(from.all);
            for (warp, times) in &from.warps {
                let known = to.warp_entry(*warp);
                for (known, time) in known.iter_mut().zip(times) {
                    *known = (*time).max(*known);
                }
            }
        }
    }
}

impl Known {
    fn warp(&self, warp: u32) -> Option<&[Time; 32]> {
        let at = self.warps.partition_point(|(number, _)| *number < warp);
        let (number, times) = self.warps.get(at)?;
        (*number == warp).then_some(times)
    }

    fn warp_entry(&mut self, warp: u32) -> &mut [Time; 32] {
        let at = self.warps.partition_point(|(number, _)| *number < warp);
        if self.warps.get(at).is_none_or(|(number, _)| *number != warp) {
            self.warps.insert(at, (warp, [0; 32]));
        }
        &mut self.warps[at].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_knows_what_both_know() {
        let mut a = Clock::new(5);
        a.raise_block(3, 20);
        a.raise(7, 1, 0b110, 9);
        let mut b = Clock::new(8);
        b.raise(3, 0, !0, 30);
        b.raise(7, 1, 0b011, 12);
        b.raise(7, 31, 1 << 31, 40);
        let mut both = a.clone();
        both.join(&b);
        let mut turned = b.clone();
        turned.join(&a);
        for block in [2, 3, 7] {
            for index in 0..1024 {
                let thread = Thread::new(block, index);
                let expected = a.of(thread).max(b.of(thread));
                assert_eq!(both.of(thread), expected, "{thread:?}");
                assert_eq!(turned.of(thread), expected, "{thread:?}");
            }
        }
        assert_eq!(both.of_block(3), 20);
        assert_eq!(both.of_warp(7, 1, 0b111), 9);
        assert_eq!(both.of_warp(7, 1, 0b011), 12);
        assert_eq!(both.of_block(9), 8);
    }

    #[test]
    fn a_block_hides_what_is_older_of_its_warps() {
        let mut clock = Clock::new(0);
        clock.raise(1, 2, !0, 10);
        clock.raise(1, 3, 1, 30);
        clock.raise_block(1, 20);
        assert_eq!(clock.of(Thread::new(1, 64)), 20);
        assert_eq!(clock.of(Thread::new(1, 96)), 30);
        assert_eq!(clock.of(Thread::new(1, 97)), 20);
        clock.raise(1, 2, !0, 15);
        clock.raise_block(1, 5);
        assert_eq!(clock.of_warp(1, 2, !0), 20);
    }

    #[test]
    fn threads_keep_their_parts() {
        let thread = Thread::new(77, 1000);
        assert_eq!((thread.block(), thread.index()), (77, 1000));
        assert_eq!(Thread::of_warp(thread.grid_warp(), 1000 % 32), thread);
    }

    #[test]
    fn engines_are_no_threads() {
        let (thread, engine) = (Thread::new(77, 33), Thread::engine(77, 33));
        assert_eq!((engine.block(), engine.index()), (77, 33));
        assert!(engine.is_engine() && !thread.is_engine());
        assert_eq!(Thread::of_warp(engine.grid_warp(), 1), engine);
        let mut clock = Clock::new(3);
        clock.raise_block(77, 20);
        assert_eq!((clock.of(thread), clock.of(engine)), (20, 3));
        clock.raise_one(engine, 30);
        assert_eq!((clock.of(thread), clock.of(engine)), (20, 30));
        assert_eq!(clock.of(Thread::engine(77, 34)), 3);
    }
}
