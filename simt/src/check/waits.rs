//! What threads hear when they wait: for the phase of an mbarrier, for groups of bulk copies and of products,
//! for the cluster.

use super::block::Local;
use super::clock::{Thread, Time};
use super::engines::Work;
use super::state::State;
use super::subject::BLOCKS;
use crate::watch::Issue;

/// The cluster that a warp is in, by the number of its first block.
fn cluster_of(issue: &Issue<'_>) -> u64 {
    issue.block().index - u64::from(issue.block().rank)
}

impl Local {
    /// Lanes that see the phase of an mbarrier complete know of the copies in it.
    pub fn see_phases(&mut self, state: &mut State, issue: &Issue<'_>) {
        if !self.checks.races {
            return;
        }
        let mut heard: Vec<(Thread, Time, u32)> = Vec::new();
        issue.looks(|look| {
            let Some(index) = state.memories.find(look.block) else {
                return;
            };
            let memory = state.memories.at(index);
            let block = (memory.number % BLOCKS) as u32;
            let work = Work::Barrier(look.offset);
            let Some((engine, time)) = memory.engines.find(block, work, look.parity) else {
                return;
            };
            let lane = 1 << look.lane;
            match heard.iter_mut().find(|h| (h.0, h.1) == (engine, time)) {
                Some((_, _, lanes)) => *lanes |= lane,
                None => heard.push((engine, time, lane)),
            }
        });
        let (warp, living) = (issue.warp(), !issue.dead());
        for (engine, time, lanes) in heard {
            self.order.hear_of(warp, lanes, living, engine, time);
        }
    }

    /// Lanes end the bulk groups that they are filling.
    pub fn end_groups(&mut self, issue: &Issue<'_>) {
        for lane in (0..32).filter(|lane| issue.mask() >> lane & 1 != 0) {
            self.stores.commit(issue.first_thread() + lane);
        }
    }

    /// Lanes that have waited for bulk groups know of the copies in them.
    pub fn see_groups(
        &mut self,
        state: &mut State,
        issue: &Issue<'_>,
        keep: u32,
        only_reads: bool,
    ) {
        let (warp, living) = (issue.warp(), !issue.dead());
        let block = self.order.block();
        for lane in (0..32).filter(|lane| issue.mask() >> lane & 1 != 0) {
            let thread = issue.first_thread() + lane;
            let Some(time) = self.stores.wait(thread, keep, only_reads) else {
                continue;
            };
            let engines = &state.memories.at(self.memory).engines;
            let writes = (!only_reads).then_some(Work::Writes(thread));
            for work in [Some(Work::Reads(thread)), writes].into_iter().flatten() {
                if let Some((engine, _)) = engines.find(block, work, 0) {
                    self.order.hear_of(warp, 1 << lane, living, engine, time);
                }
            }
        }
    }

    /// A warp that has waited for groups of products knows of what they read.
    pub fn see_products(&mut self, state: &mut State, issue: &Issue<'_>, keep: u32) {
        let (warp, block) = (issue.warp(), self.order.block());
        let engines = &state.memories.at(self.memory).engines;
        if let Some((work, time)) = self.products.wait(warp, keep)
            && let Some((engine, _)) = engines.find(block, work, 0)
        {
            let (lanes, living) = (issue.mask(), !issue.dead());
            self.order.hear_of(warp, lanes, living, engine, time);
        }
    }

    /// Lanes arrive at the barrier of the cluster.
    pub fn tell_cluster(&mut self, state: &mut State, issue: &Issue<'_>, releases: bool) {
        let key = (cluster_of(issue), issue.block().cluster().passes());
        let is_needed = |(cluster, passes): &(u64, u64)| *cluster != key.0 || passes + 2 > key.1;
        state.clusters.retain(|key, _| is_needed(key));
        let told = state.clusters.entry(key).or_default();
        let lanes = (issue.warp(), issue.mask(), !issue.dead());
        self.order.release(lanes, releases, told, &mut state.now);
    }

    /// Lanes go on behind the barrier of the cluster, or begin to wait there and hear the rest later.
    pub fn hear_cluster(&mut self, state: &mut State, issue: &Issue<'_>) {
        // Who has never arrived has nothing to wait for.
        let passes = issue.cluster_goal().wrapping_sub(1);
        if let Some(Some(told)) = state.clusters.get(&(cluster_of(issue), passes)) {
            let (warp, lanes, living) = (issue.warp(), issue.mask(), !issue.dead());
            self.order.learn(warp, lanes, living, told);
        }
    }
}
