//! Barriers of a block, as far as they order accesses.

use super::clock::{Clock, Time};
use super::messages::{Fence, Fences};
use super::order::{Order, learn, tick};
use std::sync::Arc;

/// Threads that meet at a barrier, from the first that arrives until the last has gone on.
#[derive(Debug, Default)]
pub struct Meeting {
    /// What all who have arrived know.
    clock: Option<Arc<Clock>>,
    /// What their fences at the device's scope know.
    fenced: Option<Arc<Clock>>,
    fence: Option<Arc<Clock>>,
    /// Warps, lanes and moments of those who have arrived.
    arrivals: Vec<(u32, u32, Time)>,
    /// All of the block meet, who go on together.
    is_whole: bool,
    is_sealed: bool,
}

impl Order {
    /// Lanes arrive at a barrier that has passed `passes` times. `is_whole`: all of the block will, and
    /// wait. `waits`: these lanes do.
    pub fn arrive(
        &mut self,
        (warp, lanes, living): (u32, u32, u32),
        (index, passes): (u32, u64),
        is_whole: bool,
        waits: bool,
        now: &mut Time,
    ) {
        self.settle(warp, lanes, living);
        self.meetings
            .retain(|(other, at), _| *other != index || at + 2 > passes);
        let meeting = self.meetings.entry((index, passes)).or_default();
        meeting.is_whole = is_whole;
        meeting.arrivals.push((warp, lanes, *now));
        let w = &mut self.warps[warp as usize];
        for (_, clock) in w.clocks.groups(lanes) {
            learn(&mut meeting.clock, clock);
        }
        for (lanes, fences) in w.fences.groups(lanes) {
            let Some(Fence { clock, own }) = &fences.device else {
                continue;
            };
            if meeting
                .fence
                .as_ref()
                .is_none_or(|f| !Arc::ptr_eq(f, clock))
            {
                learn(&mut meeting.fenced, clock);
                meeting.fence = Some(Arc::clone(clock));
            }
            if let Some(fenced) = meeting.fenced.as_mut().filter(|_| *own > 0) {
                Arc::make_mut(fenced).raise(self.block, warp, lanes, *own);
            }
        }
        if waits {
            w.waiting.push((lanes, (index, passes)));
        }
        tick(now);
    }

    /// Lanes arrive at the barrier of the cluster, and tell what they know; without `releases` what they knew
    /// when they fenced last.
    pub fn release(
        &mut self,
        (warp, lanes, living): (u32, u32, u32),
        releases: bool,
        told: &mut Option<Arc<Clock>>,
        now: &mut Time,
    ) {
        self.settle(warp, lanes, living);
        let w = &self.warps[warp as usize];
        let mut tell = |clock: &Arc<Clock>, lanes, own| {
            learn(told, clock);
            if let Some(told) = told {
                Arc::make_mut(told).raise(self.block, warp, lanes, own);
            }
        };
        if releases {
            w.clocks
                .groups(lanes)
                .for_each(|(lanes, clock)| tell(clock, lanes, *now));
        } else {
            for (lanes, fences) in w.fences.groups(lanes) {
                if let Some(Fence { clock, own }) = &fences.device {
                    tell(clock, lanes, *own);
                }
            }
        }
        tick(now);
    }

    /// Lanes go on behind the barrier that they have arrived at.
    pub fn pass(&mut self, warp: u32, lanes: u32, living: u32, now: &mut Time) {
        let block = self.block;
        let waiting = &mut self.warps[warp as usize].waiting;
        let Some(at) = waiting.iter().position(|(there, _)| there & lanes != 0) else {
            return;
        };
        let (there, key) = waiting[at];
        if there & !lanes == 0 {
            waiting.swap_remove(at);
        } else {
            waiting[at].0 = there & !lanes;
        }
        let Some(meeting) = self.meetings.get_mut(&key) else {
            return;
        };
        let Some(clock) = &mut meeting.clock else {
            return;
        };
        if !meeting.is_sealed {
            meeting.is_sealed = true;
            let clock = Arc::make_mut(clock);
            if meeting.is_whole {
                clock.raise_block(block, *now);
            } else {
                for (warp, lanes, time) in &meeting.arrivals {
                    clock.raise(block, *warp, *lanes, *time);
                }
            }
            tick(now);
        }
        let clock = Arc::clone(clock);
        if let Some(fenced) = &meeting.fenced {
            let fences = Fences::after_barrier(Arc::clone(fenced));
            self.warps[warp as usize].fences.set(lanes, living, fences);
        }
        self.set_clock(warp, lanes, living, clock);
    }
}
