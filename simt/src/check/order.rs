//! The order of a block's threads: what happened before what (PTX ISA, "Memory Consistency Model").
//!
//! Threads learn of one another at barriers of the block and of the warp, and where one of them sees
//! what another has written: a release pattern (a fence, then a strong write) and an acquire pattern (a
//! strong read, then a fence). In two places this is milder than the model, because programs in use
//! rely on it and the chip allows it: a fence before a barrier counts for whoever writes after the
//! barrier, and an `atom` that sees a release acquires without a fence.

use super::clock::{Clock, Thread, Time};
use super::lanes::PerLane;
use super::meeting::Meeting;
use std::collections::HashMap;
use std::sync::Arc;

/// How far a fence or an ordered access reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    Block,
    Device,
}

/// What a thread knew when it fenced: others' accesses, and its own up to a moment.
#[derive(Debug, Clone)]
pub struct Fence {
    pub clock: Arc<Clock>,
    pub own: Time,
}

/// A thread's last fences: what its strong writes tell.
#[derive(Debug, Clone, Default)]
pub struct Fences {
    pub device: Option<Fence>,
    block: Option<Fence>,
}

/// What a thread has seen with strong reads, and will know with the next fence.
#[derive(Debug, Clone, Default)]
struct Seen {
    device: Option<Arc<Clock>>,
    block: Option<Arc<Clock>>,
}

/// What strong writes have told at an address.
#[derive(Debug, Default)]
pub struct Location {
    device: Option<Arc<Clock>>,
    /// Of a block to itself.
    block: Option<(u32, Arc<Clock>)>,
}

impl Fences {
    /// What everybody who met at a barrier has fenced.
    pub(super) fn after_barrier(clock: Arc<Clock>) -> Fences {
        let fence = Some(Fence { clock, own: 0 });
        Fences {
            device: fence.clone(),
            block: fence,
        }
    }
}

impl Location {
    /// Whether nothing can be learnt here.
    pub fn is_empty(&self) -> bool {
        self.device.is_none() && self.block.is_none()
    }
}

/// The threads of a warp.
pub(super) struct Warp {
    pub(super) clocks: PerLane<Arc<Clock>>,
    pub(super) fences: PerLane<Fences>,
    seen: PerLane<Seen>,
    /// Lanes that wait, and at which meeting.
    pub(super) waiting: Vec<(u32, (u32, u64))>,
    /// The clock that some lanes learnt last, so that who polls does not learn it again and again.
    taken: Option<(u32, Arc<Clock>)>,
    /// What every thread of the warp knows: of the grid, of its block, of the warp.
    grid: Time,
    block: Time,
    own: Time,
}

/// The threads of a block.
pub struct Order {
    pub(super) block: u32,
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
        clock.raise_block(block, *now);
        tick(now);
        let clock = Arc::new(clock);
        let warps = (0..warps).map(|_| Warp {
            clocks: PerLane::All(Arc::clone(&clock)),
            fences: PerLane::All(Fences::default()),
            seen: PerLane::All(Seen::default()),
            waiting: Vec::new(),
            taken: None,
            grid: clock.of_grid(),
            block: clock.of_block(block),
            own: clock.of_block(block),
        });
        Order {
            block,
            warps: warps.collect(),
            meetings: HashMap::new(),
        }
    }

    /// The block's number.
    pub fn block(&self) -> u32 {
        self.block
    }

    /// Whether every thread of the warp knows of an access; `false` if that is not told quickly. Of
    /// shared memory all accesses are the block's, or left by a block that is gone.
    #[inline(always)]
    pub fn is_old<const SHARED: bool>(&self, warp: u32, time: Time, grid_warp: u32) -> bool {
        let w = &self.warps[warp as usize];
        if time <= w.grid || SHARED && time <= w.block {
            return true;
        }
        if time > w.own {
            return false;
        }
        let by = Thread::of_warp(grid_warp, 0);
        by.block() == self.block
            && (time <= w.block || Thread::new(self.block, warp * 32).grid_warp() == grid_warp)
    }

    /// Whether an access of `by` at a moment has happened before the next one of a lane.
    pub fn is_before(&self, warp: u32, lane: u32, time: Time, by: Thread) -> bool {
        by == Thread::new(self.block, warp * 32 + lane)
            || time <= self.warps[warp as usize].clocks.get(lane as usize).of(by)
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

    /// `bar.warp.sync` of some lanes.
    pub fn sync_warp(&mut self, warp: u32, lanes: u32, living: u32, now: &mut Time) {
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

    /// A fence of some lanes, or the fence that an ordered access is.
    pub fn fence(
        &mut self,
        warp: u32,
        lanes: u32,
        living: u32,
        reach: Reach,
        (acquires, releases): (bool, bool),
        now: &mut Time,
    ) {
        let w = &self.warps[warp as usize];
        if acquires && !matches!(&w.seen, PerLane::All(seen) if seen.is_empty()) {
            for lane in (0..32).filter(|lane| lanes >> lane & 1 != 0) {
                let seen = self.warps[warp as usize].seen.get(lane).clone();
                let device = seen.device.filter(|_| reach == Reach::Device);
                for clock in [device, seen.block].into_iter().flatten() {
                    self.learn(warp, 1 << lane, living, &clock);
                }
            }
            if reach == Reach::Device {
                let seen = &mut self.warps[warp as usize].seen;
                seen.set(lanes, living, Seen::default());
            }
        }
        if !releases {
            return;
        }
        let w = &mut self.warps[warp as usize];
        let groups: Vec<_> = w
            .clocks
            .groups(lanes)
            .map(|(lanes, clock)| (lanes, Arc::clone(clock)))
            .collect();
        for (lanes, clock) in groups {
            let fence = Some(Fence { clock, own: *now });
            let device = match reach {
                Reach::Device => fence.clone(),
                Reach::Block => {
                    let first = lanes.trailing_zeros() as usize & 31;
                    w.fences.get(first).device.clone()
                }
            };
            let block = fence;
            w.fences.set(lanes, living, Fences { device, block });
        }
        tick(now);
    }

    fn learn(&mut self, warp: u32, lanes: u32, living: u32, from: &Arc<Clock>) {
        let w = &mut self.warps[warp as usize];
        if let Some((known_to, clock)) = &w.taken
            && Arc::ptr_eq(clock, from)
        {
            if lanes & !known_to == 0 {
                return;
            }
            w.taken = Some((lanes | known_to, Arc::clone(from)));
        } else {
            w.taken = Some((lanes, Arc::clone(from)));
        }
        let groups: Vec<_> = w
            .clocks
            .groups(lanes)
            .map(|(lanes, clock)| (lanes, Arc::clone(clock)))
            .collect();
        for (lanes, mut clock) in groups {
            Arc::make_mut(&mut clock).join(from);
            self.set_clock(warp, lanes, living, clock);
        }
    }

    /// A lane's strong write tells what its last fences know. `joins`: it is read and written in one
    /// step, so that what was told there before stays.
    pub fn tell(&self, warp: u32, lane: u32, location: &mut Location, joins: bool) {
        if !joins {
            *location = Location::default();
        }
        let fences = self.warps[warp as usize].fences.get(lane as usize);
        let add = |to: &mut Option<Arc<Clock>>, fence: &Fence| {
            learn(to, &fence.clock);
            if let Some(clock) = to {
                Arc::make_mut(clock).raise(self.block, warp, 1 << lane, fence.own);
            }
        };
        if let Some(fence) = &fences.device {
            add(&mut location.device, fence);
        }
        if let Some(fence) = &fences.block {
            let before = location.block.take().filter(|(by, _)| *by == self.block);
            let mut clock = before.map(|(_, clock)| clock);
            add(&mut clock, fence);
            location.block = clock.map(|clock| (self.block, clock));
        }
    }

    /// A lane's strong read sees what was told. `acquires`: it needs no fence to know it.
    pub fn see(
        &mut self,
        warp: u32,
        lane: u32,
        living: u32,
        location: &Location,
        reach: Reach,
        acquires: bool,
    ) {
        let own = location.block.as_ref();
        let own = own
            .filter(|(by, _)| *by == self.block)
            .map(|(_, clock)| clock);
        let device = location.device.as_ref();
        if acquires {
            let device = device.filter(|_| reach == Reach::Device);
            for clock in [device, own].into_iter().flatten() {
                self.learn(warp, 1 << lane, living, clock);
            }
            return;
        }
        let w = &mut self.warps[warp as usize];
        let mut seen = w.seen.get(lane as usize).clone();
        if let Some(clock) = device {
            learn(&mut seen.device, clock);
        }
        if let Some(clock) = own {
            learn(&mut seen.block, clock);
        }
        w.seen.set(1 << lane, living, seen);
    }

    /// Whether a lane has nothing to tell with a strong write.
    pub fn is_silent(&self, warp: u32, lane: u32) -> bool {
        let fences = self.warps[warp as usize].fences.get(lane as usize);
        fences.device.is_none() && fences.block.is_none()
    }
}

impl Seen {
    fn is_empty(&self) -> bool {
        self.device.is_none() && self.block.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u32 = !0;

    /// Blocks 0 and 1 of two warps, and the clock.
    fn blocks() -> (Order, Order, Time) {
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
            a.arrive((warp, ALL), (0, 0), true, true, &mut now);
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
        a.arrive((0, ALL), (3, 0), false, false, &mut now);
        let second = now;
        a.arrive((1, ALL), (3, 0), false, true, &mut now);
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

    /// A release and an acquire through a location, with or without their fences.
    fn message(release: Option<Reach>, fence_after: Option<Reach>, acquires: bool) -> bool {
        let (mut a, mut b, mut now) = blocks();
        let early = now;
        if let Some(reach) = release {
            a.fence(0, 1, ALL, reach, (true, true), &mut now);
        }
        let mut location = Location::default();
        a.tell(0, 0, &mut location, false);
        b.see(1, 4, ALL, &location, Reach::Device, acquires);
        if let Some(reach) = fence_after {
            b.fence(1, 1 << 4, ALL, reach, (true, true), &mut now);
        }
        assert!(!b.is_before(1, 5, early, Thread::new(0, 0)));
        b.is_before(1, 4, early, Thread::new(0, 0))
    }

    #[test]
    fn messages_need_both_fences_of_the_right_scope() {
        use Reach::{Block, Device};
        assert!(message(Some(Device), Some(Device), false));
        assert!(message(Some(Device), None, true));
        assert!(!message(Some(Device), None, false));
        assert!(!message(None, Some(Device), false));
        assert!(!message(Some(Block), Some(Device), false));
        assert!(!message(Some(Device), Some(Block), false));
    }

    #[test]
    fn a_fence_tells_what_came_before_it_and_through_barriers() {
        let (mut a, mut b, mut now) = blocks();
        let early = now;
        for warp in 0..2 {
            a.arrive((warp, ALL), (0, 0), true, true, &mut now);
        }
        a.pass(0, ALL, ALL, &mut now);
        a.fence(0, 1, ALL, Reach::Device, (true, true), &mut now);
        let late = now;
        let mut location = Location::default();
        a.tell(0, 0, &mut location, true);
        b.see(0, 0, ALL, &location, Reach::Device, true);
        // What another warp did before the barrier is known, what thread 0 did after its fence is not.
        assert!(b.is_before(0, 0, early, Thread::new(0, 40)));
        assert!(!b.is_before(0, 0, late, Thread::new(0, 0)));
        // A plain write takes back what was told, one that reads as well adds to it.
        assert!(b.is_silent(0, 0));
        b.tell(0, 0, &mut location, true);
        assert!(!location.is_empty());
        b.tell(0, 0, &mut location, false);
        assert!(location.is_empty());
    }

    #[test]
    fn fences_before_a_barrier_count_behind_it() {
        let (mut a, mut b, mut now) = blocks();
        let early = now;
        a.fence(1, ALL, ALL, Reach::Device, (true, true), &mut now);
        for warp in 0..2 {
            a.arrive((warp, ALL), (0, 0), true, true, &mut now);
        }
        for warp in 0..2 {
            a.pass(warp, ALL, ALL, &mut now);
        }
        let mut location = Location::default();
        a.tell(0, 0, &mut location, true);
        b.see(0, 0, ALL, &location, Reach::Device, true);
        assert!(b.is_before(0, 0, early, Thread::new(0, 63)));
        // Warp 0 has fenced nothing.
        assert!(!b.is_before(0, 0, early, Thread::new(0, 1)));
    }
}
