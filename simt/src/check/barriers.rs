//! Barriers, fences and member masks: what they order, and what is wrong with them.

use super::block::Local;
use super::finding::{Finding, Kind};
use super::kernel::Kernel;
use super::ledger::Key;
use super::order::Reach;
use super::shadow::Span;
use super::state::State;
use super::subject::Subject;
use crate::exec::block::BARRIERS;
use crate::exec::facts::Effect;
use crate::exec::touch::{Order, Scope};
use crate::watch::Issue;

/// Lanes of a warp that wait at a barrier of the block.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    warp: u32,
    index: u32,
    passes: u64,
    pc: u32,
    first_thread: u32,
    lanes: u32,
    /// Lanes that were alive when the first ones came.
    living: u32,
    aligned: bool,
    is_whole: bool,
}

/// How far a scope reaches. Clusters may be of several blocks.
pub fn reach(scope: Scope) -> Reach {
    match scope {
        Scope::Cta => Reach::Block,
        Scope::Cluster | Scope::Gpu | Scope::Sys => Reach::Device,
    }
}

/// How often a barrier of the block has passed, if there is one of that index.
fn passes(issue: &Issue<'_>, index: u32) -> Option<u64> {
    (index < BARRIERS).then(|| issue.block().barrier_passes(index))
}

/// Lanes that a mask names, in words.
fn lanes(mask: u32) -> String {
    match mask.count_ones() {
        1 => format!("lane {}", mask.trailing_zeros()),
        n => format!("{n} lanes ({mask:#010x})"),
    }
}

impl Local {
    /// What an instruction does to the order of threads.
    pub fn effect(&mut self, state: &mut State, kernel: &Kernel, issue: &Issue<'_>) {
        let (warp, mask, living) = (issue.warp(), issue.mask(), !issue.dead());
        match issue.facts().effect {
            Effect::None | Effect::WgmmaFence => {}
            Effect::WgmmaCommit => self.products.commit(warp),
            Effect::WgmmaWait { keep } => self.see_products(state, issue, keep),
            Effect::Warp { orders, .. } => {
                if self.checks.sync {
                    self.check_masks(state, kernel, issue);
                }
                if orders {
                    let members = issue.members().unwrap_or(!0);
                    self.order
                        .sync_warp(warp, members & mask, living, &mut state.now);
                }
            }
            Effect::Barrier { aligned, waits, .. } => {
                let is_whole = issue.barrier().is_some_and(|(_, count)| count == 0) && waits;
                if self.checks.sync && is_whole {
                    self.check_exited(state, kernel, issue);
                }
                if let Some((index, _)) = issue.barrier()
                    && let Some(passes) = passes(issue, index)
                {
                    if waits {
                        self.waits(Waiting {
                            warp,
                            index,
                            passes,
                            pc: issue.pc(),
                            first_thread: issue.first_thread(),
                            lanes: mask,
                            living,
                            aligned,
                            is_whole,
                        });
                    }
                    self.order.arrive(
                        (warp, mask, living),
                        (index, passes),
                        is_whole,
                        waits,
                        &mut state.now,
                    );
                }
            }
            // Between proxies: it orders no threads.
            Effect::Fence { proxy: true, .. } => {}
            Effect::Fence { order, scope, .. } => {
                let both = (order != Order::Release, order != Order::Acquire);
                self.order
                    .fence(warp, mask, living, reach(scope), both, &mut state.now);
            }
            Effect::CopyCommit => self.copies.commit(warp, mask),
            Effect::CopyWait { keep } => {
                let (order, now) = (&self.order, state.now);
                let shadow = &mut state.memories.at(self.memory).shadow;
                let races = self.checks.races;
                self.copies.wait(warp, mask, keep, |copy| {
                    if races {
                        let access = order.access(warp, copy.lane, now, copy.pc);
                        shadow.land(Span {
                            address: copy.to,
                            bytes: copy.bytes,
                            access,
                        });
                    }
                });
            }
            Effect::ClusterArrive { releases } => self.tell_cluster(state, issue, releases),
            Effect::ClusterWait => self.hear_cluster(state, issue),
            Effect::MbarrierWait => self.see_phases(state, issue),
            Effect::BulkCommit => self.end_groups(issue),
            Effect::BulkWait { keep, only_reads } => {
                self.see_groups(state, issue, keep, only_reads);
            }
            Effect::Return if issue.is_called() => {}
            Effect::Exit | Effect::Return => {
                self.exited = Some(issue.first_thread() + mask.trailing_zeros());
                if self.checks.sync {
                    self.check_exit(state, kernel, issue);
                }
            }
        }
    }

    /// The member masks of a `.sync` instruction.
    fn check_masks(&self, state: &mut State, kernel: &Kernel, issue: &Issue<'_>) {
        let (mask, dead) = (issue.mask(), issue.dead());
        let existing = !0u32 >> (32 - (kernel.threads() - issue.first_thread()).min(32));
        let subject = |lane| Subject {
            kernel,
            issue,
            lane,
        };
        let Some(members) = issue.member_masks() else {
            // All of the warp's living threads have to execute it.
            let absent = existing & !dead & !mask;
            if absent != 0 {
                let note = || format!("{} of the warp do not execute it", lanes(absent));
                let lane = mask.trailing_zeros();
                self.find_threads(state, Kind::AbsentThreads, &subject(lane), &note);
            }
            return;
        };
        for lane in (0..32u32).filter(|lane| mask >> lane & 1 != 0) {
            let named = members[lane as usize];
            if named >> lane & 1 == 0 {
                let note = || format!("its mask {named:#010x} lacks lane {lane}");
                self.find_threads(state, Kind::CallerNotInMask, &subject(lane), &note);
            }
            let absent = named & existing & !mask;
            if absent != 0 {
                let note = || {
                    let how = if absent & !dead == 0 {
                        "have exited without it"
                    } else {
                        "execute something else"
                    };
                    format!(
                        "its mask {named:#010x} names {}, which {how}",
                        lanes(absent)
                    )
                };
                self.find_threads(state, Kind::AbsentThreads, &subject(lane), &note);
                return;
            }
        }
    }

    /// Threads of the block have exited that a barrier of all of it would need.
    fn check_exited(&self, state: &mut State, kernel: &Kernel, issue: &Issue<'_>) {
        if let Some(gone) = self.exited {
            let subject = Subject {
                kernel,
                issue,
                lane: issue.mask().trailing_zeros(),
            };
            let note = || format!("thread {gone} of the block has exited");
            self.find_threads(state, Kind::ExitedThreads, &subject, &note);
        }
    }

    /// Lanes arrive, together with those that wait at the same instruction or after them.
    fn waits(&mut self, new: Waiting) {
        let is_same = |old: &&mut Waiting| {
            (old.warp, old.index, old.passes, old.pc) == (new.warp, new.index, new.passes, new.pc)
        };
        match self.waiting.iter_mut().find(is_same) {
            Some(old) => old.lanes |= new.lanes,
            None => self.waiting.push(new),
        }
    }

    /// Lanes go on behind a barrier: all that it needed have come.
    pub fn go_on(&mut self, state: &mut State, kernel: &Kernel, warp: u32, lanes: u32) {
        let mine = |w: &&Waiting| w.warp == warp && w.lanes & lanes != 0;
        let Some(first) = self.waiting.iter().find(mine).copied() else {
            return;
        };
        let is_same =
            |w: &Waiting| (w.warp, w.index, w.passes) == (first.warp, first.index, first.passes);
        if self.checks.sync {
            self.check_together(state, kernel, &first);
        }
        self.waiting.retain(|w| !is_same(w));
    }

    /// All of a warp have to execute an aligned barrier together, though not at one moment here: threads
    /// that wait for others to meet them may go on first.
    fn check_together(&self, state: &mut State, kernel: &Kernel, waiting: &Waiting) {
        let missing = waiting.living & !waiting.lanes;
        if waiting.aligned && missing != 0 {
            let (there, missing) = (lanes(waiting.lanes), lanes(missing));
            let note = format!("{there} of the warp execute it, {missing} do not");
            self.find_waiting(state, kernel, Kind::DivergentBarrier, waiting, note);
        }
    }

    /// The block has ended, as it should or with a fault: whoever still waits will wait forever.
    pub fn check_left(&mut self, state: &mut State, kernel: &Kernel) {
        for waiting in std::mem::take(&mut self.waiting) {
            if self.checks.sync {
                self.check_together(state, kernel, &waiting);
            }
        }
    }

    /// Threads exit; others may be waiting for them.
    fn check_exit(&self, state: &mut State, kernel: &Kernel, issue: &Issue<'_>) {
        let gone = issue.first_thread() + issue.mask().trailing_zeros();
        for waiting in &self.waiting {
            if passes(issue, waiting.index) != Some(waiting.passes) {
                continue;
            }
            if waiting.is_whole {
                let note = format!("thread {gone} of the block exits without it");
                self.find_waiting(state, kernel, Kind::ExitedThreads, waiting, note);
            }
        }
    }

    /// A finding about threads that wait.
    fn find_waiting(
        &self,
        state: &mut State,
        kernel: &Kernel,
        kind: Kind,
        waiting: &Waiting,
        note: String,
    ) {
        let key = Key {
            kind,
            kernel: kernel.id,
            pc: waiting.pc,
            other: 0,
        };
        if !state.ledger.count(key) {
            let thread = waiting.first_thread + waiting.lanes.trailing_zeros();
            let mut finding = Finding::new(kind, "barrier of the block".to_owned());
            finding.site = Some(kernel.site(waiting.pc, self.number, thread));
            finding.note = note;
            state.ledger.add(key, finding);
        }
    }
}
