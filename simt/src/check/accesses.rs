//! Accesses to memory: bounds, alignment, whether anybody has written what is read, and races.

use super::block::{About, Local};
use super::cell::{Access, Conflict, Knowledge};
use super::clock::{Thread, Time};
use super::finding::{Kind as Fault, Memory, Owner};
use super::kernel::{Kernel, action, is_strong};
use super::order::{Location, Order, Reach};
use super::shadow::Span;
use super::state::State;
use crate::exec::facts::{Class, Facts};
use crate::exec::touch::{Form, Kind, Order as Ordering, Scope, Touch, Touched, resolve};
use crate::ptx::types::Space;
use crate::watch::Issue;

/// One lane's access to one memory.
#[derive(Debug, Clone, Copy)]
struct Lane {
    lane: u32,
    address: u64,
    bytes: u32,
}

/// What orders the accesses of a lane.
struct Known<'a, const SHARED: bool> {
    order: &'a Order,
    facts: &'a [Facts],
    touch: &'a Touch,
    warp: u32,
    lane: u32,
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
        let Some(other) = &self.facts[pc as usize].touches[0] else {
            return false;
        };
        let is_near = by.block() == self.order.block();
        let reaches = |touch: &Touch| is_near || touch.scope > Scope::Cta;
        is_strong(self.touch) && is_strong(other) && reaches(self.touch) && reaches(other)
    }
}

impl Local {
    /// Everything that an instruction is about to touch.
    pub fn accesses(&mut self, state: &mut State, kernel: &Kernel, issue: &Issue<'_>) {
        for touched in issue.touches() {
            if let Form::Tile { .. } = touched.form {
                self.tile(state, kernel, issue, &touched);
                continue;
            }
            if touched.kind == Kind::Atomic || is_strong(&touched) {
                self.before_strong(state, issue, &touched);
            }
            let addresses = touched.addresses();
            let mut left = touched.lanes();
            while left != 0 {
                let lane = left.trailing_zeros();
                left &= left - 1;
                let bytes = match touched.kind {
                    Kind::CopyTo => touched.bytes,
                    _ => touched.lane_bytes(lane as usize),
                };
                if bytes > 0 {
                    let address = addresses[lane as usize];
                    self.access(state, kernel, issue, &touched, (lane, address, bytes));
                }
            }
        }
    }

    #[inline]
    fn access(
        &mut self,
        state: &mut State,
        kernel: &Kernel,
        issue: &Issue<'_>,
        touch: &Touch,
        (lane, address, bytes): (u32, u64, u32),
    ) {
        match resolve(touch.space, address) {
            Some((Space::Global | Space::Const, address)) => {
                let at = Lane {
                    lane,
                    address,
                    bytes,
                };
                self.global(state, kernel, issue, touch, at);
            }
            Some((Space::Shared, address)) => {
                let at = Lane {
                    lane,
                    address,
                    bytes,
                };
                self.shared(state, kernel, issue, touch, at);
            }
            Some((Space::Local, address)) => {
                let at = Lane {
                    lane,
                    address,
                    bytes,
                };
                self.local(state, kernel, issue, touch, at);
            }
            Some(_) => {}
            None => {
                let at = Lane {
                    lane,
                    address,
                    bytes,
                };
                self.fault(state, kernel, issue, touch, at, "generic", None);
            }
        }
    }

    fn global(
        &mut self,
        state: &mut State,
        kernel: &Kernel,
        issue: &Issue<'_>,
        touch: &Touch,
        at: Lane,
    ) {
        let Lane {
            lane,
            address,
            bytes,
        } = at;
        let (first, end) = self.range;
        if address < first || end.saturating_sub(address) < u64::from(bytes) {
            match issue.block().launch().memory.find(address) {
                Some(range) if range.1 - address >= u64::from(bytes) => self.range = range,
                _ => return self.fault(state, kernel, issue, touch, at, "global", None),
            }
        }
        if !is_aligned(touch, at) {
            return self.fault(state, kernel, issue, touch, at, "global", Some(()));
        }
        if self.checks.initialised {
            if touch.kind.reads() && state.written.lacks(address, bytes) {
                self.uninitialised(state, kernel, issue, touch, lane, &|state| {
                    Some(state.memory(address))
                });
            }
            if touch.kind.writes() {
                state.written.set(address..address + u64::from(bytes));
            }
        }
        if !self.checks.races {
            return;
        }
        let warp = issue.warp();
        let knowledge = Known::<false> {
            order: &self.order,
            facts: &kernel.program.facts,
            touch,
            warp,
            lane,
        };
        let access = self.order.access(warp, lane, state.now, issue.pc());
        let span = Span {
            address,
            bytes,
            access,
        };
        if let Some(conflict) = state.shadow.access(touch.kind.writes(), span, &knowledge) {
            self.race(state, kernel, issue, touch, lane, conflict, &|state| {
                Some(state.memory(address))
            });
        }
        if is_strong(touch) && (!state.locations.is_empty() || !self.order.is_silent(warp, lane)) {
            let mut location = state.locations.remove(&address).unwrap_or_default();
            self.through(issue, touch, lane, &mut location);
            if !location.is_empty() {
                state.locations.insert(address, location);
            }
        }
    }

    fn shared(
        &mut self,
        state: &mut State,
        kernel: &Kernel,
        issue: &Issue<'_>,
        touch: &Touch,
        at: Lane,
    ) {
        let Lane {
            lane,
            address,
            bytes,
        } = at;
        let size = issue.block().shared_bytes;
        if u64::from(size).saturating_sub(address) < u64::from(bytes) {
            return self.fault(state, kernel, issue, touch, at, "shared", None);
        }
        if !is_aligned(touch, at) {
            return self.fault(state, kernel, issue, touch, at, "shared", Some(()));
        }
        let memory = |_: &State| Some(of_block("shared", address, size));
        let range = address..address + u64::from(bytes);
        if self.checks.initialised {
            if touch.kind.reads() && self.written.lacks(address, bytes) {
                self.uninitialised(state, kernel, issue, touch, lane, &memory);
            }
            if touch.kind.writes() {
                self.written.put(range, true);
            }
        }
        if !self.checks.races {
            return;
        }
        let warp = issue.warp();
        if let Some(copy) = self.copies.find(address, bytes).copied() {
            let by = Thread::new(self.order.block(), copy.warp * 32 + copy.lane);
            let about = About {
                kernel,
                issue,
                lane,
                action: &|| action(touch),
                memory: &memory,
            };
            let other = Some((by, copy.pc, true));
            let note = || "the copy's thread has not waited for it".to_owned();
            self.find(state, Fault::PendingCopy, &about, other, &note);
        } else {
            self.shared_race(state, kernel, issue, touch, at);
        }
        if touch.kind == Kind::CopyTo {
            self.copies.start(warp, lane, address, bytes, issue.pc());
        }
        if is_strong(touch) && (!self.locations.is_empty() || !self.order.is_silent(warp, lane)) {
            let mut location = self.locations.remove(&address).unwrap_or_default();
            self.through(issue, touch, lane, &mut location);
            if !location.is_empty() {
                self.locations.insert(address, location);
            }
        }
    }

    #[inline]
    fn shared_race(
        &mut self,
        state: &mut State,
        kernel: &Kernel,
        issue: &Issue<'_>,
        touch: &Touch,
        at: Lane,
    ) {
        let (warp, lane, address) = (issue.warp(), at.lane, at.address);
        let knowledge = Known::<true> {
            order: &self.order,
            facts: &kernel.program.facts,
            touch,
            warp,
            lane,
        };
        let span = Span {
            address,
            bytes: at.bytes,
            access: self.order.access(warp, lane, state.now, issue.pc()),
        };
        if let Some(conflict) = self.shadow.access(touch.kind.writes(), span, &knowledge) {
            let size = issue.block().shared_bytes;
            self.race(state, kernel, issue, touch, lane, conflict, &|_| {
                Some(of_block("shared", address, size))
            });
        }
    }

    fn local(
        &mut self,
        state: &mut State,
        kernel: &Kernel,
        issue: &Issue<'_>,
        touch: &Touch,
        at: Lane,
    ) {
        let Lane {
            lane,
            address,
            bytes,
        } = at;
        let size = issue.local_bytes();
        // Copies of arguments are of any size; that they fit is the executor's business.
        let is_implied = issue.facts().class == Class::Implied;
        if u64::from(size).saturating_sub(address) < u64::from(bytes) {
            if !is_implied {
                self.fault(state, kernel, issue, touch, at, "local", None);
            }
            return;
        }
        if !is_implied && !is_aligned(touch, at) {
            return self.fault(state, kernel, issue, touch, at, "local", Some(()));
        }
        if !self.checks.initialised {
            return;
        }
        let first = u64::from(lane * size) + address;
        let written = self.local_written[issue.warp() as usize].get_or_insert_with(|| {
            let mut bits = super::bits::Bits::default();
            bits.reset(size as usize * 32);
            bits
        });
        let lacks = touch.kind.reads() && !is_implied && written.lacks(first, bytes);
        if touch.kind.writes() {
            written.put(first..first + u64::from(bytes), true);
        }
        if lacks {
            let memory = |_: &State| Some(of_block("local", address, size));
            self.uninitialised(state, kernel, issue, touch, lane, &memory);
        }
    }

    /// A tile that a warp of a group reads by a descriptor.
    fn tile(&mut self, state: &mut State, kernel: &Kernel, issue: &Issue<'_>, tile: &Touched<'_>) {
        let lane = issue.mask().trailing_zeros();
        let size = u64::from(issue.block().shared_bytes);
        tile.units(|offset| {
            let address = u64::from(offset);
            // What leaves shared memory is the executor's fault to raise.
            if address + 16 <= size {
                let at = Lane {
                    lane,
                    address,
                    bytes: 16,
                };
                self.shared(state, kernel, issue, tile, at);
            }
        });
    }

    /// What an access with release semantics does first.
    fn before_strong(&mut self, state: &mut State, issue: &Issue<'_>, touch: &Touch) {
        if matches!(
            touch.order,
            Ordering::Release | Ordering::AcqRel | Ordering::Sc
        ) {
            let (warp, lanes, living) = (issue.warp(), issue.mask(), !issue.dead());
            let reach = super::barriers::reach(touch.scope);
            self.order
                .fence(warp, lanes, living, reach, (false, true), &mut state.now);
        }
    }

    /// A strong access tells at its location, and sees what was told.
    fn through(&mut self, issue: &Issue<'_>, touch: &Touch, lane: u32, location: &mut Location) {
        let (warp, living) = (issue.warp(), !issue.dead());
        if touch.kind.reads() {
            // An `atom` needs no fence: see `Order`.
            let acquires = touch.kind == Kind::Atomic
                || matches!(
                    touch.order,
                    Ordering::Acquire | Ordering::AcqRel | Ordering::Sc
                );
            let reach = match touch.space {
                Space::Shared => Reach::Device,
                _ => super::barriers::reach(touch.scope),
            };
            self.order
                .see(warp, lane, living, location, reach, acquires);
        }
        if touch.kind.writes() {
            self.order.tell(warp, lane, location, touch.kind.reads());
        }
    }

    #[cold]
    fn uninitialised(
        &self,
        state: &mut State,
        kernel: &Kernel,
        issue: &Issue<'_>,
        touch: &Touch,
        lane: u32,
        memory: &dyn Fn(&State) -> Option<Memory>,
    ) {
        let about = About {
            kernel,
            issue,
            lane,
            action: &|| action(touch),
            memory,
        };
        self.find(state, Fault::Uninitialised, &about, None, &String::new);
    }

    /// An access that the executor will not allow.
    #[cold]
    #[allow(clippy::too_many_arguments)]
    fn fault(
        &self,
        state: &mut State,
        kernel: &Kernel,
        issue: &Issue<'_>,
        touch: &Touch,
        at: Lane,
        space: &'static str,
        misaligned: Option<()>,
    ) {
        if !self.checks.memory {
            return;
        }
        let address = at.address;
        let is_freed = || {
            let state = &*state;
            state.allocations.find_freed(address).is_some()
        };
        let kind = match misaligned {
            Some(()) => Fault::Misaligned,
            None if space == "global" && is_freed() => Fault::UseAfterFree,
            None => Fault::OutOfBounds,
        };
        let size = match space {
            "shared" => issue.block().shared_bytes,
            _ => issue.local_bytes(),
        };
        let memory = |state: &State| match space {
            "global" => Some(state.memory(address)),
            "generic" => Some(Memory {
                space,
                address,
                allocation: None,
            }),
            _ => Some(of_block(space, address, size)),
        };
        let about = About {
            kernel,
            issue,
            lane: at.lane,
            action: &|| action(touch),
            memory: &memory,
        };
        self.find(state, kind, &about, None, &String::new);
    }

    #[cold]
    #[allow(clippy::too_many_arguments)]
    fn race(
        &self,
        state: &mut State,
        kernel: &Kernel,
        issue: &Issue<'_>,
        touch: &Touch,
        lane: u32,
        conflict: Conflict,
        memory: &dyn Fn(&State) -> Option<Memory>,
    ) {
        let me = Thread::new(self.order.block(), issue.first_thread() + lane);
        let note = || {
            let strong = |pc| {
                let touch = &kernel.facts(pc).touches[0];
                touch.as_ref().is_some_and(is_strong)
            };
            let hint = if me.block() != conflict.by.block() {
                if is_strong(touch) && strong(conflict.pc) {
                    "threads of different blocks; the scope of one of them is its own block"
                } else {
                    "threads of different blocks"
                }
            } else if me.grid_warp() != conflict.by.grid_warp() {
                "threads of different warps, with no barrier of the block between them"
            } else {
                "threads of one warp, with no barrier of the warp between them"
            };
            hint.to_owned()
        };
        let about = About {
            kernel,
            issue,
            lane,
            action: &|| action(touch),
            memory,
        };
        let other = Some((conflict.by, conflict.pc, conflict.was_write));
        self.find(state, Fault::Race, &about, other, &note);
    }
}

fn is_aligned(touch: &Touch, at: Lane) -> bool {
    let whole = u64::from(touch.bytes * touch.count);
    at.address.is_multiple_of(whole.max(1))
}

/// Shared memory of a block or local memory of a thread, of which there are `size` bytes.
fn of_block(space: &'static str, address: u64, size: u32) -> Memory {
    let owner = match space {
        "shared" => "the block's",
        _ => "the thread's",
    };
    Memory {
        space,
        address,
        allocation: Some(Owner {
            offset: address as i64,
            bytes: size.into(),
            what: format!("{owner} {size} bytes"),
        }),
    }
}

impl Order {
    /// An access of a lane.
    #[inline(always)]
    pub fn access(&self, warp: u32, lane: u32, time: Time, pc: u32) -> Access {
        Access {
            by: Thread::new(self.block(), warp * 32 + lane),
            time,
            pc,
        }
    }
}
