//! Accesses to memory: bounds, alignment, and whether anybody has written what is read.

use super::bits::Bits;
use super::block::Local;
use super::clock::{Thread, Time};
use super::finding::Kind as Fault;
use super::kernel::{Kernel, is_strong};
use super::order::tick;
use super::state::State;
use super::subject::{Access, Subject};
use crate::exec::cluster::OFFSET_BITS;
use crate::exec::facts::Class;
use crate::exec::touch::{Form, Kind, Touched, resolve};
use crate::ptx::types::Space;
use crate::watch::Issue;

impl Local {
    /// Everything that an instruction is about to touch.
    pub fn accesses(&mut self, state: &mut State, kernel: &Kernel, issue: &Issue<'_>) {
        let mut engine = None;
        for touched in issue.touches() {
            if let Form::Tile { .. } = touched.form {
                engine = engine.or_else(|| self.product(state, issue));
                self.tile(state, kernel, issue, &touched, engine);
                continue;
            }
            if is_strong(&touched) {
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
                if bytes == 0 {
                    continue;
                }
                let address = addresses[lane as usize];
                let (space, address) =
                    resolve(touched.space, address).unwrap_or((Space::Generic, address));
                let access = Access {
                    by: Subject {
                        kernel,
                        issue,
                        lane,
                    },
                    touch: &touched,
                    space,
                    address,
                    bytes,
                    home: issue.block(),
                    memory: self.memory,
                    engine: None,
                };
                match space {
                    Space::Global | Space::Const => self.global(state, &access),
                    Space::Shared => self.shared(state, &access),
                    Space::Local => self.local(state, &access),
                    Space::Generic => self.fault(state, &access, Fault::OutOfBounds),
                    _ => {}
                }
            }
        }
    }

    #[inline]
    fn global(&mut self, state: &mut State, access: &Access<'_, '_>) {
        let Access { address, bytes, .. } = *access;
        let (first, end) = self.range;
        if address < first || end.saturating_sub(address) < u64::from(bytes) {
            match access.by.issue.block().launch().memory.find(address) {
                Some(range) if range.1 - address >= u64::from(bytes) => self.range = range,
                _ => {
                    let freed = state.allocations.find_freed(address).is_some();
                    let kind = if freed {
                        Fault::UseAfterFree
                    } else {
                        Fault::OutOfBounds
                    };
                    return self.fault(state, access, kind);
                }
            }
        }
        if !is_aligned(access) {
            return self.fault(state, access, Fault::Misaligned);
        }
        if self.checks.initialised {
            if access.touch.kind.reads() && state.written.lacks(address, bytes) {
                self.find_access(state, Fault::Uninitialised, access, None, &String::new);
            }
            let range = address..address + u64::from(bytes);
            match access.touch.kind {
                Kind::Discard => state.written.clear(range),
                kind if kind.writes() => state.written.set(range),
                _ => {}
            }
        }
        if self.checks.races {
            self.check_global(state, access);
        }
    }

    #[inline]
    fn shared(&mut self, state: &mut State, access: &Access<'_, '_>) {
        match access.address >> OFFSET_BITS {
            0 => self.near(state, access),
            _ => self.distant(state, access),
        }
    }

    /// An access to shared memory by its offset there.
    #[inline(always)]
    fn near(&mut self, state: &mut State, access: &Access<'_, '_>) {
        let Access { address, bytes, .. } = *access;
        let size = u64::from(access.by.issue.block().shared_bytes);
        if size.saturating_sub(address) < u64::from(bytes) {
            return self.fault(state, access, Fault::OutOfBounds);
        }
        if !is_aligned(access) {
            return self.fault(state, access, Fault::Misaligned);
        }
        if self.checks.initialised {
            let written = &mut state.memories.at(access.memory).written;
            let lacks = access.touch.kind.reads() && written.lacks(address, bytes);
            if access.touch.kind.writes() {
                written.put(address..address + u64::from(bytes), true);
            }
            if lacks {
                self.find_access(state, Fault::Uninitialised, access, None, &String::new);
            }
        }
        if self.checks.races {
            self.check_shared(state, access);
        }
    }

    /// An access to the shared memory of a block by its rank in the cluster.
    #[cold]
    fn distant(&mut self, state: &mut State, access: &Access<'_, '_>) {
        let block = access.by.issue.block();
        let found = block.shared_at(access.address, access.bytes.into());
        let found =
            found.and_then(|(home, offset)| Some((home, offset, state.memories.find(home)?)));
        let Some((home, address, memory)) = found else {
            return self.fault(state, access, Fault::OutOfBounds);
        };
        let there = Access {
            address,
            home,
            memory,
            ..*access
        };
        self.near(state, &there);
    }

    fn local(&mut self, state: &mut State, access: &Access<'_, '_>) {
        let Access { address, bytes, .. } = *access;
        let (issue, lane) = (access.by.issue, access.by.lane);
        let size = issue.local_bytes();
        // Copies of arguments are of any size; that they fit is the executor's business, and what
        // they copy need not be written.
        let is_implied = issue.facts().class == Class::Implied;
        let is_inside = u64::from(size).saturating_sub(address) >= u64::from(bytes);
        if !is_implied && !is_inside {
            return self.fault(state, access, Fault::OutOfBounds);
        }
        if !is_implied && !is_aligned(access) {
            return self.fault(state, access, Fault::Misaligned);
        }
        if !self.checks.initialised || !is_inside {
            return;
        }
        let first = u64::from(lane) * u64::from(size) + address;
        let written = self.local_written[issue.warp() as usize].get_or_insert_with(|| {
            let mut bits = Bits::default();
            bits.reset(size as usize * 32);
            bits
        });
        let lacks = access.touch.kind.reads() && !is_implied && written.lacks(first, bytes);
        if access.touch.kind.writes() {
            written.put(first..first + u64::from(bytes), true);
        }
        if lacks {
            self.find_access(state, Fault::Uninitialised, access, None, &String::new);
        }
    }

    /// A warp begins a product, for whose reads its warpgroup's engine stands, at a moment.
    fn product(&mut self, state: &mut State, issue: &Issue<'_>) -> Option<(Thread, Time)> {
        if !self.checks.races {
            return None;
        }
        self.order.expect_others();
        let (work, time) = self.products.start(issue.warp(), state.now);
        let block = self.order.block();
        let engines = &mut state.memories.at(self.memory).engines;
        let engine = engines.start(block, work, 0, time);
        let lane = issue.mask().trailing_zeros();
        let me = Thread::new(block, issue.first_thread() + lane);
        state.issuers.insert((engine, issue.pc()), me);
        tick(&mut state.now);
        Some((engine, time))
    }

    /// A tile that a warp of a group reads by a descriptor.
    fn tile(
        &mut self,
        state: &mut State,
        kernel: &Kernel,
        issue: &Issue<'_>,
        tile: &Touched<'_>,
        engine: Option<(Thread, Time)>,
    ) {
        let size = issue.block().shared_bytes;
        tile.units(|offset| {
            // What leaves shared memory is the executor's fault to raise.
            if offset + 16 <= size {
                let access = Access {
                    by: Subject {
                        kernel,
                        issue,
                        lane: issue.mask().trailing_zeros(),
                    },
                    touch: tile,
                    space: Space::Shared,
                    address: offset.into(),
                    bytes: 16,
                    home: issue.block(),
                    memory: self.memory,
                    engine,
                };
                self.shared(state, &access);
            }
        });
    }

    /// An access that the executor will not allow.
    #[cold]
    fn fault(&self, state: &mut State, access: &Access<'_, '_>, kind: Fault) {
        if self.checks.memory {
            self.find_access(state, kind, access, None, &String::new);
        }
    }
}

#[inline(always)]
fn is_aligned(access: &Access<'_, '_>) -> bool {
    let whole = u64::from(access.touch.bytes * access.touch.count);
    access.address.is_multiple_of(whole.max(1))
}
