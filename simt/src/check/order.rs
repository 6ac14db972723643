//! The order of a block's threads: what happened before what (PTX ISA, "Memory Consistency Model").
//!
//! Threads learn of one another at barriers of the warp (here) and of the block ([`super::meeting`]), and
//! where one of them sees what another has written ([`super::messages`]).

use super::clock::{Clock, Thread, Time};
use super::lanes::PerLane;
use super::meeting::Meeting;
use super::messages::{Fences, Learnt, Seen};
use std::collections::HashMap;
use std::sync::Arc;

/// How far a fence or an ordered access reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    Block,
    Device,
}

/// The threads of a warp.
pub(super) struct Warp {
    pub(super) clocks: PerLane<Arc<Clock>>,
    pub(super) fences: PerLane<Fences>,
    pub(super) seen: PerLane<Seen>,
    /// Lanes that wait, and at which meeting.
    pub(super) waiting: Vec<(u32, (u32, u64))>,
    pub(super) learnt: PerLane<Option<Learnt>>,
    /// What every thread of the warp knows: of the grid, of its block, of the warp.
    grid: Time,
    block: Time,
    own: Time,
}

/// The threads of a block.
pub struct Order {
    pub(super) block: u32,
    began: Time,
    /// Nobody but the block's threads has accessed its shared memory.
    is_alone: bool,
    pub(super) warps: Vec<Warp>,
    pub(super) meetings: HashMap<(u32, u64), Meeting>,
}

/// Moves the clock on, after something that others may learn from.
pub fn tick(now: &mut Time) {
    // A clock that stands still hides races, and invents none.
    *now = now.saturating_add(1);
}

/// `to` learns what `from` knows, unless it is the same.
pub(super) fn learn(to: &mut Option<Arc<Clock>>, from: &Arc<Clock>) {
    match to {
        None => *to = Some(Arc::clone(from)),
        Some(clock) if Arc::ptr_eq(clock, from) => {}
        Some(clock) => Arc::make_mut(clock).join(from),
    }
}

impl Order {
    /// A block of `warps` warps that begins now, in a launch that began at `launched`.
    pub fn new(block: u32, warps: usize, launched: Time, now: &mut Time) -> Order {
        let mut clock = Clock::new(launched);
        let began = *now;
        clock.raise_block(block, began);
        tick(now);
        let clock = Arc::new(clock);
        let warps = (0..warps).map(|_| Warp {
            clocks: PerLane::All(Arc::clone(&clock)),
            fences: PerLane::All(Fences::default()),
            seen: PerLane::All(Seen::default()),
            waiting: Vec::new(),
            learnt: PerLane::All(None),
            grid: clock.of_grid(),
            block: clock.of_block(block),
            own: clock.of_block(block),
        });
        Order {
            block,
            began,
            is_alone: true,
            warps: warps.collect(),
            meetings: HashMap::new(),
        }
    }

    /// The block's number.
    pub fn block(&self) -> u32 {
        self.block
    }

    /// Others than the block's threads may access its shared memory from now on: engines, or other blocks of
    /// the cluster.
    pub fn expect_others(&mut self) {
        self.is_alone = false;
    }

    /// Whether every thread of the warp knows of an access; `false` if that is not told quickly. Accesses to
    /// shared memory are the block's where it is alone, or were left by blocks that are gone before it began.
    #[inline(always)]
    pub fn is_old<const SHARED: bool>(&self, warp: u32, time: Time, grid_warp: u32) -> bool {
        let w = &self.warps[warp as usize];
        if time <= w.grid || SHARED && time <= if self.is_alone { w.block } else { self.began } {
            return true;
        }
        if time > w.own {
            return false;
        }
        let by = Thread::of_warp(grid_warp, 0);
        by.group() == self.block
            && (time <= w.block || Thread::new(self.block, warp * 32).grid_warp() == grid_warp)
    }

    /// Whether an access of `by` at a moment has happened before the next one of a lane.
    pub fn is_before(&self, warp: u32, lane: u32, time: Time, by: Thread) -> bool {
        let w = &self.warps[warp as usize];
        if by == Thread::new(self.block, warp * 32 + lane)
            || time <= w.clocks.get(lane as usize).of(by)
        {
            return true;
        }
        let learnt = w.learnt.get(lane as usize).as_ref();
        let mut clocks = learnt.into_iter().flat_map(|l| l.clocks.iter().flatten());
        clocks.any(|clock| time <= clock.of(by))
    }

    pub(super) fn set_clock(&mut self, warp: u32, lanes: u32, living: u32, clock: Arc<Clock>) {
        let block = self.block;
        let w = &mut self.warps[warp as usize];
        w.clocks.set(lanes, living, clock);
        (w.grid, w.block, w.own) = (Time::MAX, Time::MAX, Time::MAX);
        for (_, clock) in w.clocks.groups(living) {
            w.grid = w.grid.min(clock.of_grid());
            w.block = w.block.min(clock.of_block(block));
            w.own = w.own.min(clock.of_warp(block, warp, living));
        }
    }

    /// Lanes hear that an engine has done all that it had begun at a moment.
    pub fn hear_of(&mut self, warp: u32, lanes: u32, living: u32, engine: Thread, time: Time) {
        let clocks = &self.warps[warp as usize].clocks;
        let news = (0..32)
            .filter(|lane| lanes >> lane & 1 != 0 && clocks.get(*lane).of(engine) < time)
            .fold(0, |news, lane| news | 1 << lane);
        if news != 0 {
            let mut clock = Clock::new(0);
            clock.raise_one(engine, time);
            self.learn(warp, news, living, &Arc::new(clock));
        }
    }

    /// `bar.warp.sync` of some lanes.
    pub fn sync_warp(&mut self, warp: u32, lanes: u32, living: u32, now: &mut Time) {
        self.settle(warp, lanes, living);
        let mut joined: Option<Arc<Clock>> = None;
        for (_, clock) in self.warps[warp as usize].clocks.groups(lanes) {
            learn(&mut joined, clock);
        }
        if let Some(mut clock) = joined {
            Arc::make_mut(&mut clock).raise(self.block, warp, lanes, *now);
            tick(now);
            self.set_clock(warp, lanes, living, clock);
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub const ALL: u32 = !0;

    /// Blocks 0 and 1 of two warps, and the clock.
    pub fn blocks() -> (Order, Order, Time) {
        let mut now = 10;
        let a = Order::new(0, 2, 9, &mut now);
        let b = Order::new(1, 2, 9, &mut now);
        (a, b, now)
    }

    #[test]
    fn barriers_order_all_of_a_block_and_nobody_else() {
        let (mut a, b, mut now) = blocks();
        let early = now;
        let by = Thread::new(0, 5);
        assert!(!a.is_before(1, 0, early, by) && a.is_before(0, 5, early, by));
        for warp in 0..2 {
            a.arrive((warp, ALL, ALL), (0, 0), true, true, &mut now);
        }
        for warp in 0..2 {
            a.pass(warp, ALL, ALL, &mut now);
        }
        assert!(a.is_before(1, 0, early, by) && a.is_old::<false>(1, early, 0));
        assert!(!a.is_before(1, 0, now, by) && !a.is_old::<true>(1, now, 0));
        assert!(!b.is_before(1, 0, early, by) && !b.is_old::<false>(1, early, 0));
        // What was before the launch is before everybody.
        assert!(b.is_old::<false>(1, 9, 0));
    }

    #[test]
    fn producers_that_only_arrive_learn_nothing() {
        let (mut a, _, mut now) = blocks();
        let first = now;
        a.arrive((0, ALL, ALL), (3, 0), false, false, &mut now);
        let second = now;
        a.arrive((1, ALL, ALL), (3, 0), false, true, &mut now);
        a.pass(1, ALL, ALL, &mut now);
        assert!(a.is_before(1, 7, first, Thread::new(0, 2)));
        // What the producer did after it arrived, and what the consumer did, are not ordered.
        assert!(!a.is_before(1, 7, second, Thread::new(0, 2)));
        assert!(!a.is_before(0, 2, first, Thread::new(0, 32)));
    }

    #[test]
    fn lanes_of_a_warp_need_it_too() {
        let (mut a, _, mut now) = blocks();
        let early = now;
        a.sync_warp(0, 0b0111, ALL, &mut now);
        assert!(a.is_before(0, 0, early, Thread::new(0, 2)));
        assert!(!a.is_before(0, 0, early, Thread::new(0, 3)));
        assert!(!a.is_before(0, 3, early, Thread::new(0, 0)));
        a.sync_warp(0, ALL, ALL, &mut now);
        assert!(a.is_before(0, 3, early, Thread::new(0, 0)) && a.is_old::<true>(0, early, 0));
    }
}
