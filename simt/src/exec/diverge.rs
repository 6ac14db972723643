//! Divergence, reconvergence and forward progress.
//!
//! The threads of a warp that run together are a *split*. A branch that its threads take differently
//! makes two splits and a *join* at the branch's immediate post-dominator: who arrives there waits
//! for the others, and then they go on together. Calls are joins as well: they hold where to return.
//!
//! Waiting is a matter of speed, not of meaning. Where the others spend their turn without arriving
//! (they may be spinning for a lock that one of those who wait holds), those who wait go on alone.

use super::program::{NONE, Step};
use super::warp::Warp;

/// What a split needs before it can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Ready,
    /// Waits at an instruction for the warp's threads in the mask.
    Warp(u32),
    /// Waits at a barrier of the block, by index, for it to pass this many times.
    Barrier(u32, u64),
    /// Waits for the cluster's barrier to pass this many times.
    Cluster(u64),
    /// Waits for the mbarrier at this host address to leave the phase of this parity.
    Phase(u64, u32),
}

/// Threads of a warp that run together.
#[derive(Debug, Clone, Copy)]
pub struct Split {
    pub pc: u32,
    pub lanes: u32,
    /// Innermost join, or [`NONE`].
    pub join: u32,
    pub frame_base: u32,
    pub local_base: u32,
    pub state: State,
    /// It has waited for what its next instruction waits for.
    pub passed: bool,
}

impl Split {
    /// Threads at an instruction of an entry.
    pub fn new(pc: u32, lanes: u32) -> Split {
        Split {
            pc,
            lanes,
            join: NONE,
            frame_base: 0,
            local_base: 0,
            state: State::Ready,
            passed: false,
        }
    }
}

/// A place where threads wait for one another.
#[derive(Debug, Clone, Copy)]
pub struct Join {
    pub pc: u32,
    /// A call: `pc` is where it returns to, in the caller's frame below.
    pub is_call: bool,
    /// Threads that will come, and those that have.
    pub expected: u32,
    pub arrived: u32,
    /// The join around it, or [`NONE`].
    pub parent: u32,
    pub frame_base: u32,
    pub local_base: u32,
}

impl Warp {
    /// Makes a runnable split the running one. Threads that wait at joins only for threads that
    /// cannot run are let go. `false`: no thread can run.
    pub fn choose(&mut self) -> bool {
        loop {
            let count = self.splits.len();
            for step in 0..count {
                let at = (self.current + step) % count;
                let over = match self.splits[at].state {
                    State::Ready | State::Warp(_) => false,
                    State::Barrier(index, passes) => self.block().barrier_passes(index) >= passes,
                    State::Cluster(passes) => self.block().cluster().passes() >= passes,
                    State::Phase(word, parity) => self.block().has_left(word, parity),
                };
                if over {
                    self.splits[at].state = State::Ready;
                    self.splits[at].passed = true;
                }
                if self.splits[at].state == State::Ready {
                    self.current = at;
                    self.load();
                    return true;
                }
            }
            if !self.release_one() {
                return false;
            }
        }
    }

    /// After a turn: lets threads go that wait at joins, and makes the next split the first to run.
    pub fn let_others_go(&mut self) {
        while self.release_one() {}
        self.current = (self.current + 1) % self.splits.len();
    }

    /// Lets the threads of one join go on without the others. `false`: nobody waits at a join.
    fn release_one(&mut self) -> bool {
        let waiting = |join: &Join| join.arrived != 0;
        let Some(at) = self.joins.iter().rposition(waiting) else {
            return false;
        };
        let join = &mut self.joins[at];
        let split = Split {
            pc: join.pc,
            lanes: join.arrived,
            join: join.parent,
            frame_base: join.frame_base,
            local_base: join.local_base,
            state: State::Ready,
            passed: false,
        };
        join.expected &= !join.arrived;
        join.arrived = 0;
        if join.expected == 0 {
            self.free_joins.push(at as u32);
        }
        self.splits.push(split);
        true
    }

    /// The running threads go two ways: `lanes` to `target`, the others to `other`. They meet again at
    /// `meet`, an immediate post-dominator, or never where it is [`NONE`].
    pub fn diverge(&mut self, lanes: u32, target: u32, other: u32, meet: u32) -> Step {
        let rest = self.active & !lanes;
        let join = self.join_at(meet);
        self.save();
        // The one that is further back first: it is more likely to catch up.
        let (first, second) = if target <= other {
            ((target, lanes), (other, rest))
        } else {
            ((other, rest), (target, lanes))
        };
        self.active = first.1;
        self.join = join;
        self.pc = first.0;
        self.save();
        self.add(second.0, second.1);
        Step::Jump
    }

    /// The join for threads that part now and meet at `meet`.
    pub fn join_at(&mut self, meet: u32) -> u32 {
        if meet == NONE {
            return self.join;
        }
        if self.join != NONE {
            let join = &self.joins[self.join as usize];
            if join.pc == meet && !join.is_call {
                return self.join;
            }
        }
        self.new_join(meet, false)
    }

    /// A new innermost join for the running threads.
    pub fn new_join(&mut self, pc: u32, is_call: bool) -> u32 {
        let join = Join {
            pc,
            is_call,
            expected: self.active,
            arrived: 0,
            parent: self.join,
            frame_base: self.frame_base,
            local_base: self.local_base,
        };
        if let Some(at) = self.free_joins.pop() {
            self.joins[at as usize] = join;
            return at;
        }
        self.joins.push(join);
        self.joins.len() as u32 - 1
    }

    /// Adds threads to another split that stands where they do, or as a new one; frame and join are those
    /// of the running split.
    pub fn add(&mut self, pc: u32, lanes: u32) {
        let current = self.current;
        let same = |(at, s): &(usize, &mut Split)| {
            *at != current
                && s.pc == pc
                && s.join == self.join
                && s.frame_base == self.frame_base
                && s.local_base == self.local_base
                && s.state == State::Ready
        };
        match self.splits.iter_mut().enumerate().find(same) {
            Some((_, split)) => split.lanes |= lanes,
            None => self.splits.push(Split {
                pc,
                lanes,
                join: self.join,
                frame_base: self.frame_base,
                local_base: self.local_base,
                state: State::Ready,
                passed: false,
            }),
        }
    }

    /// The running split has come to a place where joins may be.
    pub fn meet(&mut self) -> Step {
        if self.join == NONE {
            return Step::Next;
        }
        let join = &self.joins[self.join as usize];
        if join.is_call || join.pc != self.pc {
            return Step::Next;
        }
        self.arrive(self.join)
    }

    /// The running split arrives at a join, and goes on with the others or waits for them.
    pub fn arrive(&mut self, at: u32) -> Step {
        let join = &mut self.joins[at as usize];
        join.arrived |= self.active;
        if join.arrived != join.expected {
            self.drop_current();
            return Step::Switch;
        }
        let join = *join;
        self.joins[at as usize].arrived = 0;
        self.free_joins.push(at);
        self.active = join.arrived;
        self.join = join.parent;
        self.frame_base = join.frame_base;
        self.local_base = join.local_base;
        self.pc = join.pc;
        self.save();
        self.load();
        Step::Jump
    }

    /// Removes the running split.
    pub fn drop_current(&mut self) {
        self.splits.swap_remove(self.current);
        self.current = 0;
    }

    /// Threads will not come to the joins from `at` outwards, up to `end` (a join, or [`NONE`]).
    fn leave(&mut self, mut at: u32, end: u32, lanes: u32) {
        while at != end {
            let join = &mut self.joins[at as usize];
            let parent = join.parent;
            join.expected &= !lanes;
            if join.expected == 0 {
                self.free_joins.push(at);
            } else if join.arrived == join.expected {
                let split = Split {
                    pc: join.pc,
                    lanes: join.arrived,
                    join: parent,
                    frame_base: join.frame_base,
                    local_base: join.local_base,
                    state: State::Ready,
                    passed: false,
                };
                join.arrived = 0;
                self.splits.push(split);
                self.free_joins.push(at);
            }
            at = parent;
        }
    }

    /// Threads of the running split exit.
    pub fn exit(&mut self, lanes: u32) -> Step {
        self.dead |= lanes;
        self.leave(self.join, NONE, lanes);
        self.wake_warp_waiters();
        self.block()
            .exited(self.first_thread as usize / 32, self.dead);
        self.without(lanes)
    }

    /// Threads of the running split return from the innermost call.
    pub fn leave_call(&mut self, lanes: u32) -> Step {
        let mut call = self.join;
        while call != NONE && !self.joins[call as usize].is_call {
            call = self.joins[call as usize].parent;
        }
        if call == NONE {
            return self.exit(lanes);
        }
        self.leave(self.join, call, lanes);
        let rest = self.active & !lanes;
        if rest != 0 {
            self.save();
            self.pc += 1;
            // Those who stay become a split of their own behind the guarded return.
            self.add(self.pc, rest);
            self.active = lanes;
            self.save();
        }
        self.arrive(call)
    }

    /// The running split goes on without some of its threads, which have been dealt with.
    fn without(&mut self, lanes: u32) -> Step {
        self.active &= !lanes;
        if self.active == 0 {
            self.drop_current();
            return Step::Switch;
        }
        self.pc += 1;
        self.save();
        Step::Jump
    }
}
