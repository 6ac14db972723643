//! Waiting of a warp's splits: for one another, for an mbarrier, and for ever.

use super::diverge::{Split, State};
use super::fault::Fault;
use super::program::Step;
use super::warp::Warp;

impl Warp {
    /// Whether all living threads of `members` stand at this instruction; where they do not, the
    /// running split waits for them and the instruction is executed once they do.
    #[inline(always)]
    pub fn gather(&mut self, members: u32) -> Result<(), Step> {
        if members & !self.dead & !self.active == 0 {
            return Ok(());
        }
        self.wait_for(members)
    }

    /// Whether the running split has waited for what this instruction waits for.
    pub fn has_passed(&mut self) -> bool {
        std::mem::take(&mut self.splits[self.current].passed)
    }

    /// Whether an instruction that `members` execute together would wait for some of them.
    pub fn would_wait(&self, members: u32) -> bool {
        members & !self.dead & !self.active != 0 && !self.passes_now()
    }

    /// Whether the running split comes back to an instruction at which it has waited, to pass it.
    pub fn passes_now(&self) -> bool {
        self.splits[self.current].passed
    }

    #[cold]
    fn wait_for(&mut self, members: u32) -> Result<(), Step> {
        if self.has_passed() {
            return Ok(());
        }
        self.save();
        self.splits[self.current].state = State::Warp(members);
        self.wake_warp_waiters();
        if self.splits[self.current].state == State::Ready {
            self.load();
            return Err(Step::Jump);
        }
        Err(Step::Switch)
    }

    /// Lets splits go on whose partners have all come or exited. Partners at the same instruction
    /// become one split; at different ones (a program's error by the ISA) each goes on with its own.
    pub(super) fn wake_warp_waiters(&mut self) {
        for at in 0..self.splits.len() {
            let State::Warp(members) = self.splits[at].state else {
                continue;
            };
            let partner = |s: &Split| s.state == State::Warp(members);
            let here: u32 = self
                .splits
                .iter()
                .filter(|s| partner(s))
                .map(|s| s.lanes)
                .sum();
            if members & !self.dead & !here != 0 {
                continue;
            }
            let first = self.splits[at];
            // Backwards, so that what `swap_remove` moves has been looked at.
            for other in (0..self.splits.len()).rev() {
                let split = self.splits[other];
                if !partner(&split) {
                    continue;
                }
                let alike = split.pc == first.pc
                    && split.frame_base == first.frame_base
                    && split.join == first.join;
                if alike && other != at {
                    self.splits[at].lanes |= split.lanes;
                    self.splits.swap_remove(other);
                    if self.current == other {
                        self.current = at;
                    } else if self.current == self.splits.len() {
                        self.current = other;
                    }
                } else {
                    self.splits[other].state = State::Ready;
                    self.splits[other].passed = true;
                }
            }
            // Where all have come, the instruction sees that for itself.
            let is_whole = members & !self.dead & !self.splits[at].lanes == 0;
            self.splits[at].state = State::Ready;
            self.splits[at].passed = !is_whole;
            return;
        }
    }

    /// Lets threads go on that wait for an mbarrier; `false`: none does.
    pub fn give_up_waiting(&mut self) -> bool {
        let mut any = false;
        for split in &mut self.splits {
            if matches!(split.state, State::Phase(..)) {
                split.state = State::Ready;
                split.passed = true;
                any = true;
            }
        }
        any
    }

    /// The running threads wait; what they wait for, they ask again afterwards. Threads that were
    /// masked off go on.
    pub fn wait_in(&mut self, state: State, lanes: u32) -> Step {
        let rest = self.active & !lanes;
        if rest != 0 {
            self.save();
            self.add(self.pc + 1, rest);
            self.active = lanes;
        }
        self.save();
        self.splits[self.current].state = state;
        Step::Switch
    }

    /// A fault if no thread of the warp can ever run again.
    pub fn deadlock(&mut self) -> Step {
        self.fail(Fault::Deadlock)
    }
}
