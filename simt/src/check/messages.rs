//! Messages from thread to thread through memory: what strong writes tell, and strong reads see.
//!
//! A release pattern is a fence, then a strong write; an acquire pattern a strong read, then a fence. In
//! two places this is milder than the model, because programs in use rely on it and the chip allows it:
//! a fence before a barrier counts for whoever writes after the barrier, and an `atom` that sees a
//! release acquires without a fence.

use super::clock::{Clock, Time};
use super::lanes::PerLane;
use super::order::{Order, Reach, learn, tick};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
pub struct Seen {
    device: Option<Arc<Clock>>,
    block: Option<Arc<Clock>>,
}

/// What a thread has learnt at a location and not yet made part of its clock: who spins for a lock learns
/// the same again and again.
#[derive(Debug, Clone)]
pub struct Learnt {
    /// [`Location::id`]
    from: u64,
    pub clocks: [Option<Arc<Clock>>; 2],
}

/// What strong writes have told at an address.
#[derive(Debug)]
pub struct Location {
    /// As long as it is the same, what is told here only grows.
    id: u64,
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

impl Default for Location {
    fn default() -> Location {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Location {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            device: None,
            block: None,
        }
    }
}

impl Location {
    /// Whether nothing can be learnt here.
    pub fn is_empty(&self) -> bool {
        self.device.is_none() && self.block.is_none()
    }
}

impl Order {
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
        self.settle(warp, lanes, living);
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
            if reach == Reach::Device {
                let (device, block) = (fence.clone(), fence);
                w.fences.set(lanes, living, Fences { device, block });
                continue;
            }
            let before: Vec<_> = w
                .fences
                .groups(lanes)
                .map(|(lanes, fences)| (lanes, fences.device.clone()))
                .collect();
            for (lanes, device) in before {
                let block = fence.clone();
                w.fences.set(lanes, living, Fences { device, block });
            }
        }
        tick(now);
    }

    pub(super) fn learn(&mut self, warp: u32, lanes: u32, living: u32, from: &Arc<Clock>) {
        let groups: Vec<_> = self.warps[warp as usize]
            .clocks
            .groups(lanes)
            .map(|(lanes, clock)| (lanes, Arc::clone(clock)))
            .collect();
        for (lanes, mut clock) in groups {
            Arc::make_mut(&mut clock).join(from);
            self.set_clock(warp, lanes, living, clock);
        }
    }

    /// Makes what some lanes have learnt part of their clocks.
    pub(super) fn settle(&mut self, warp: u32, lanes: u32, living: u32) {
        let learnt = &self.warps[warp as usize].learnt;
        if matches!(learnt, PerLane::All(None)) {
            return;
        }
        let news: Vec<_> = learnt
            .groups(lanes)
            .filter_map(|(lanes, learnt)| Some((lanes, learnt.clone()?)))
            .collect();
        for (lanes, learnt) in news {
            for clock in learnt.clocks.iter().flatten() {
                self.learn(warp, lanes, living, clock);
            }
        }
        self.warps[warp as usize].learnt.set(lanes, living, None);
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
            let before = location.block.take();
            let is_ours = before.as_ref().is_none_or(|(by, _)| *by == self.block);
            if !is_ours {
                location.id = Location::default().id;
            }
            let mut clock = before.filter(|_| is_ours).map(|(_, clock)| clock);
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
            let clocks = [device.filter(|_| reach == Reach::Device), own].map(|c| c.cloned());
            if clocks.iter().all(Option::is_none) {
                return;
            }
            let learnt = self.warps[warp as usize].learnt.get(lane as usize);
            if learnt.as_ref().is_some_and(|l| l.from != location.id) {
                self.settle(warp, 1 << lane, living);
            }
            let w = &mut self.warps[warp as usize];
            let before = w.learnt.get(lane as usize).clone().map(|l| l.clocks);
            let [device, own] = clocks;
            let [old_device, old_own] = before.unwrap_or_default();
            let learnt = Some(Learnt {
                from: location.id,
                clocks: [device.or(old_device), own.or(old_own)],
            });
            w.learnt.set(1 << lane, living, learnt);
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
    use super::super::clock::Thread;
    use super::super::order::tests::{ALL, blocks};
    use super::*;

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
            a.arrive((warp, ALL, ALL), (0, 0), true, true, &mut now);
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
            a.arrive((warp, ALL, ALL), (0, 0), true, true, &mut now);
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

    #[test]
    fn an_atomic_of_the_block_hears_nothing_of_others() {
        for (reach, hears) in [(Reach::Device, true), (Reach::Block, false)] {
            let (mut a, mut b, mut now) = blocks();
            let early = now;
            a.fence(0, ALL, ALL, Reach::Device, (true, true), &mut now);
            let mut location = Location::default();
            a.tell(0, 3, &mut location, true);
            b.see(0, 0, ALL, &location, reach, true);
            assert_eq!(b.is_before(0, 0, early, Thread::new(0, 3)), hears);
        }
    }

    #[test]
    fn what_was_heard_at_one_place_is_not_lost_at_another() {
        let (mut a, mut b, mut now) = blocks();
        let early = now;
        let mut locations = [Location::default(), Location::default()];
        for (lane, location) in locations.iter_mut().enumerate() {
            a.fence(0, 1 << lane, ALL, Reach::Device, (true, true), &mut now);
            a.tell(0, lane as u32, location, false);
            b.see(0, 0, ALL, location, Reach::Device, true);
        }
        let knows = |b: &Order| [0, 1].map(|lane| b.is_before(0, 0, early, Thread::new(0, lane)));
        assert_eq!(knows(&b), [true, true]);
        // A place that is written anew tells of its last writer only; what was heard stays.
        a.fence(1, 1, ALL, Reach::Device, (true, true), &mut now);
        a.tell(1, 0, &mut locations[1], false);
        b.see(0, 0, ALL, &locations[1], Reach::Device, true);
        assert_eq!(knows(&b), [true, true]);
        assert!(b.is_before(0, 0, early, Thread::new(0, 32)));
        // A fence and a barrier make it known to the rest of the warp.
        b.sync_warp(0, ALL, ALL, &mut now);
        assert!(b.is_before(0, 31, early, Thread::new(0, 32)));
        assert!(b.is_before(0, 31, early, Thread::new(0, 0)));
    }
}
