//! Races, and how strong accesses order threads.

use super::barriers::reach;
use super::block::Local;
use super::cell::{self, Conflict, Knowledge};
use super::clock::{Thread, Time};
use super::finding::Kind as Fault;
use super::kernel::is_strong;
use super::messages::Location;
use super::order::{Order, Reach};
use super::shadow::Span;
use super::state::State;
use super::subject::{Access, Other};
use crate::exec::facts::Facts;
use crate::exec::pieces::Mover;
use crate::exec::touch::{Kind, Order as Ordering, Scope, Touch};
use crate::ptx::types::Space;
use crate::watch::Issue;

/// What orders the accesses of a lane, or of the copies that it begins.
pub struct Known<'a, const SHARED: bool> {
    pub order: &'a Order,
    pub facts: &'a [Facts],
    /// The access; `None`: it is an engine's, which reduces or does not.
    pub touch: Option<&'a Touch>,
    pub reduces: bool,
    pub warp: u32,
    pub lane: u32,
}

/// How far the reductions of copies reach.
const REDUCTIONS: Scope = Scope::Gpu;

/// How far the accesses of an instruction reach, if they are strong.
pub fn strength(facts: &Facts) -> Option<Scope> {
    match facts.mover {
        Some(Mover::Bulk { reduces: true } | Mover::Value { reduces: true }) => Some(REDUCTIONS),
        _ => facts.touches[0].as_ref().and_then(strength_of),
    }
}

fn strength_of(touch: &Touch) -> Option<Scope> {
    is_strong(touch).then_some(touch.scope)
}

impl<const SHARED: bool> Knowledge for Known<'_, SHARED> {
    #[inline(always)]
    fn is_old(&self, time: Time, grid_warp: u32) -> bool {
        self.order.is_old::<SHARED>(self.warp, time, grid_warp)
    }

    fn is_before(&self, time: Time, by: Thread) -> bool {
        self.order.is_before(self.warp, self.lane, time, by)
    }

    fn is_allowed(&self, by: Thread, pc: u32) -> bool {
        let own = match self.touch {
            Some(touch) => strength_of(touch),
            None => self.reduces.then_some(REDUCTIONS),
        };
        let (Some(own), Some(other)) = (own, strength(&self.facts[pc as usize])) else {
            return false;
        };
        by.block() == self.order.block() || own.min(other) > Scope::Cta
    }
}

#[inline(always)]
fn known<'a, const SHARED: bool>(order: &'a Order, access: &Access<'a, '_>) -> Known<'a, SHARED> {
    Known {
        order,
        facts: &access.by.kernel.program.facts,
        touch: Some(access.touch),
        reduces: false,
        warp: access.by.issue.warp(),
        lane: access.by.lane,
    }
}

impl Order {
    /// An access of a lane.
    #[inline(always)]
    pub fn access(&self, warp: u32, lane: u32, time: Time, pc: u32) -> cell::Access {
        cell::Access {
            by: Thread::new(self.block(), warp * 32 + lane),
            time,
            pc,
        }
    }
}

impl Local {
    /// Compares an access to global memory with those before it.
    #[inline]
    pub fn check_global(&mut self, state: &mut State, access: &Access<'_, '_>) {
        let span = self.span(state, access);
        let known = known::<false>(&self.order, access);
        let writes = access.touch.kind.writes();
        if let Some(conflict) = state.shadow.access(writes, span, &known) {
            self.race(state, access, conflict);
        }
        let lane = access.by.lane;
        let is_silent = self.order.is_silent(access.by.issue.warp(), lane);
        if is_strong(access.touch) && !(is_silent && state.locations.is_empty()) {
            let mut location = state.locations.remove(&access.address).unwrap_or_default();
            self.through(access, &mut location);
            if !location.is_empty() {
                state.locations.insert(access.address, location);
            }
        }
    }

    /// Compares an access to shared memory with those before it, and with copies under way.
    #[inline]
    pub fn check_shared(&mut self, state: &mut State, access: &Access<'_, '_>) {
        let (warp, lane) = (access.by.issue.warp(), access.by.lane);
        let Access { address, bytes, .. } = *access;
        // Only a block's own threads copy into its memory with `cp.async`.
        let copies = (access.memory == self.memory).then_some(&self.copies);
        if let Some(copy) = copies.and_then(|all| all.find(address, bytes).copied()) {
            let by = Thread::new(self.order.block(), copy.warp * 32 + copy.lane);
            let note = || "the copy's thread has not waited for it".to_owned();
            let other = Some((by, copy.pc, true));
            self.find_access(state, Fault::PendingCopy, access, other, &note);
        } else {
            let span = self.span(state, access);
            let known = known::<true>(&self.order, access);
            let writes = access.touch.kind.writes();
            let shadow = &mut state.memories.at(access.memory).shadow;
            if let Some(conflict) = shadow.access(writes, span, &known) {
                self.race(state, access, conflict);
            }
        }
        if access.touch.kind == Kind::CopyTo {
            let pc = access.by.issue.pc();
            self.copies.start(warp, lane, address, bytes, pc);
        }
        let is_silent = self.order.is_silent(warp, lane);
        let locations = &mut state.memories.at(access.memory).locations;
        if is_strong(access.touch) && !(is_silent && locations.is_empty()) {
            let mut location = locations.remove(&address).unwrap_or_default();
            self.through(access, &mut location);
            if !location.is_empty() {
                locations.insert(address, location);
            }
        }
    }

    #[inline(always)]
    fn span(&self, state: &State, access: &Access<'_, '_>) -> Span {
        let (issue, lane) = (access.by.issue, access.by.lane);
        let pc = issue.pc();
        Span {
            address: access.address,
            bytes: access.bytes,
            access: match access.engine {
                None => self.order.access(issue.warp(), lane, state.now, pc),
                Some((by, time)) => cell::Access { by, time, pc },
            },
        }
    }

    /// What an access with release semantics does first.
    pub fn before_strong(&mut self, state: &mut State, issue: &Issue<'_>, touch: &Touch) {
        if matches!(
            touch.order,
            Ordering::Release | Ordering::AcqRel | Ordering::Sc
        ) {
            let (warp, lanes, living) = (issue.warp(), issue.mask(), !issue.dead());
            let releases = (false, true);
            let reach = reach(touch.scope);
            self.order
                .fence(warp, lanes, living, reach, releases, &mut state.now);
        }
    }

    /// A strong access sees what was told at its location, and tells.
    fn through(&mut self, access: &Access<'_, '_>, location: &mut Location) {
        let (touch, lane) = (access.touch, access.by.lane);
        let (warp, living) = (access.by.issue.warp(), !access.by.issue.dead());
        if touch.kind.reads() {
            // An `atom` needs no fence: see `Order`.
            let acquires = touch.kind == Kind::Atomic
                || matches!(
                    touch.order,
                    Ordering::Acquire | Ordering::AcqRel | Ordering::Sc
                );
            let reach = match access.space {
                Space::Shared => Reach::Device,
                _ => reach(touch.scope),
            };
            self.order
                .see(warp, lane, living, location, reach, acquires);
        }
        if touch.kind.writes() {
            self.order.tell(warp, lane, location, touch.kind.reads());
        }
    }

    #[cold]
    fn race(&self, state: &mut State, access: &Access<'_, '_>, conflict: Conflict) {
        let me = Thread::new(
            self.order.block(),
            access.by.issue.first_thread() + access.by.lane,
        );
        if writes_the_same(access, me, conflict) {
            return;
        }
        let Access {
            by: subject, touch, ..
        } = *access;
        let note = || {
            let other = strength(subject.kernel.facts(conflict.pc));
            let facts = subject.kernel.facts(conflict.pc);
            hint(me, conflict.by, facts, is_strong(touch) && other.is_some()).to_owned()
        };
        let other = Some(state.other(conflict));
        self.find_access(state, Fault::Race, access, other, &note);
    }
}

impl State {
    /// The other side of a race: of a copy, the thread that has begun it.
    pub fn other(&self, conflict: Conflict) -> Other {
        let Conflict { by, pc, was_write } = conflict;
        let issuer = self.issuers.get(&(by, pc)).copied();
        (issuer.unwrap_or(by), pc, was_write)
    }
}

/// What two threads lack, of which the other one may be an engine; `facts` are of its instruction.
pub fn hint(me: Thread, other: Thread, facts: &Facts, both_strong: bool) -> &'static str {
    if other.is_engine() && facts.mover.is_none() {
        "nothing has told the thread that the product is over, for which wgmma.wait_group waits"
    } else if other.is_engine() {
        "nothing has told the thread that the copy is over: the phase of its mbarrier, or its bulk group"
    } else if me.block() != other.block() && both_strong {
        "threads of different blocks; the scope of one of them is its own block"
    } else if me.block() != other.block() {
        "threads of different blocks"
    } else if me.grid_warp() != other.grid_warp() {
        "threads of different warps, with no barrier of the block between them"
    } else {
        "threads of one warp, with no barrier of the warp between them"
    }
}

/// Whether a store stores what the other one has stored, so that it does not matter which came last: as
/// where many threads set one flag.
fn writes_the_same(access: &Access<'_, '_>, me: Thread, conflict: Conflict) -> bool {
    let Access { by, touch, .. } = *access;
    let other = &by.kernel.facts(conflict.pc).touches[0];
    let is_store = |touch: &Touch| touch.kind == Kind::Write;
    if !conflict.was_write || !is_store(touch) || !other.as_ref().is_some_and(is_store) {
        return false;
    }
    let Some(mine) = touch.stored(by.lane as usize) else {
        return false;
    };
    // Another lane of the same instruction has not stored yet.
    let (issue, lane) = (by.issue, conflict.by.index() % 32);
    let is_together = conflict.pc == issue.pc()
        && conflict.by.grid_warp() == me.grid_warp()
        && issue.mask() >> lane & 1 != 0;
    if is_together {
        let addresses = touch.addresses();
        if addresses[lane as usize] == addresses[by.lane as usize] {
            return touch.stored(lane as usize).is_some_and(|its| its == mine);
        }
    }
    let first = match access.space {
        Space::Shared => access.home.shared() as u64 + access.address,
        _ => access.address,
    };
    // SAFETY: the access has been found to be in an allocation, or in the block's shared memory.
    let there = unsafe { std::slice::from_raw_parts(first as *const u8, mine.len()) };
    there == mine
}
