//! Bulk copies and the matrices of `wmma`: whether anybody has written what they read, and whether copies
//! and other accesses are in order.

use super::block::Local;
use super::cell;
use super::clock::Thread;
use super::engines::Work;
use super::finding::{Finding, Kind as Fault};
use super::kernel::{Kernel, movement};
use super::order::tick;
use super::races::{Known, hint};
use super::shadow::Span;
use super::state::State;
use super::subject::{BLOCKS, Other, Subject};
use crate::exec::pieces::{Mover, Piece, Until};
use crate::exec::touch::Kind;
use crate::ptx::types::Space;
use crate::watch::Issue;

/// Bytes that are looked at together.
const UNIT: u64 = 16;

/// Parts of at most [`UNIT`] bytes that do not cross a multiple of it.
fn units(first: u64, bytes: u64) -> impl Iterator<Item = (u64, u32)> {
    let end = first + bytes;
    let mut at = first;
    std::iter::from_fn(move || {
        let stop = end.min((at / UNIT + 1) * UNIT);
        let unit = (at, (stop - at) as u32);
        at = stop;
        (unit.1 > 0).then_some(unit)
    })
}

impl Local {
    /// What an instruction touches that no touch says.
    pub fn pieces(&mut self, state: &mut State, kernel: &Kernel, issue: &Issue<'_>, mover: Mover) {
        let mut pieces = Vec::new();
        issue.pieces(|piece| pieces.push(piece));
        for piece in pieces.iter().filter(|p| p.kind != Kind::Prefetch) {
            let by = Subject {
                kernel,
                issue,
                lane: piece.lane,
            };
            if self.checks.initialised {
                self.check_written(state, &by, mover, piece);
            }
            if self.checks.races {
                self.check_order(state, &by, mover, piece);
            }
        }
        // What is begun later is told apart.
        tick(&mut state.now);
    }

    /// The engine that does what a piece says.
    fn engine(&mut self, state: &mut State, thread: u32, piece: &Piece<'_>) -> Option<Thread> {
        let now = state.now;
        let (index, work, parity) = match piece.until {
            // The lanes of a matrix's warp do not tell who touches what of it.
            Until::Now => return None,
            Until::Phase {
                block,
                offset,
                parity,
            } => (state.memories.find(block)?, Work::Barrier(offset), parity),
            Until::Group => {
                self.stores.start(thread, now);
                let work = match piece.space {
                    Space::Shared => Work::Reads(thread),
                    _ => Work::Writes(thread),
                };
                (self.memory, work, 0)
            }
        };
        let memory = state.memories.at(index);
        let block = (memory.number % BLOCKS) as u32;
        Some(memory.engines.start(block, work, parity, now))
    }

    /// Compares what a copy will do with the accesses before it. What the thread knows that begins it, it
    /// comes after.
    fn check_order(
        &mut self,
        state: &mut State,
        by: &Subject<'_, '_>,
        mover: Mover,
        piece: &Piece<'_>,
    ) {
        let issue = by.issue;
        let (warp, pc) = (issue.warp(), issue.pc());
        let thread = issue.first_thread() + by.lane;
        let Some(engine) = self.engine(state, thread, piece) else {
            return;
        };
        self.order.expect_others();
        let me = Thread::new(self.order.block(), thread);
        state.issuers.insert((engine, pc), me);
        let access = cell::Access {
            by: engine,
            time: state.now,
            pc,
        };
        let reduces = piece.kind == Kind::Reduce;
        let (order, facts) = (&self.order, &by.kernel.program.facts[..]);
        let (lane, writes) = (by.lane, piece.kind.writes());
        let index = state.memories.find(piece.block);
        let mut first = None;
        for (address, bytes) in units(piece.address, piece.bytes) {
            let span = Span {
                address,
                bytes,
                access,
            };
            let conflict = match (piece.space, index) {
                (Space::Shared, Some(index)) => {
                    let known = Known::<true> {
                        order,
                        facts,
                        touch: None,
                        reduces,
                        warp,
                        lane,
                    };
                    let shadow = &mut state.memories.at(index).shadow;
                    shadow.access(writes, span, &known)
                }
                (Space::Shared, None) => None,
                _ => {
                    let known = Known::<false> {
                        order,
                        facts,
                        touch: None,
                        reduces,
                        warp,
                        lane,
                    };
                    state.shadow.access(writes, span, &known)
                }
            };
            first = first.or(conflict.map(|conflict| (address, conflict)));
        }
        if let Some((at, conflict)) = first {
            let facts = by.kernel.facts(conflict.pc);
            let note = || hint(me, conflict.by, facts, false).to_owned();
            let other = Some(state.other(conflict));
            self.find_piece(state, Fault::Race, by, (mover, piece), at, other, &note);
        }
    }

    /// Whether what a piece reads has been written; what it writes has been from now on.
    fn check_written(
        &self,
        state: &mut State,
        by: &Subject<'_, '_>,
        mover: Mover,
        piece: &Piece<'_>,
    ) {
        let range = piece.address..piece.address + piece.bytes;
        let place = match piece.space {
            Space::Shared => match state.memories.find(piece.block) {
                Some(index) => Some(index),
                None => return,
            },
            _ => None,
        };
        if piece.kind.reads() {
            let mut units = units(piece.address, piece.bytes);
            let lacking = units.find(|(at, bytes)| match place {
                Some(index) => state.memories.at(index).written.lacks(*at, *bytes),
                None => state.written.lacks(*at, *bytes),
            });
            if let Some((at, _)) = lacking {
                let kind = Fault::Uninitialised;
                self.find_piece(state, kind, by, (mover, piece), at, None, &String::new);
            }
        }
        if piece.kind.writes() {
            match place {
                Some(index) => state.memories.at(index).written.put(range, true),
                None => state.written.set(range),
            }
        }
    }

    /// Adds a finding about a piece, or counts one that is known; `at` is the address that it is about.
    #[cold]
    #[allow(clippy::too_many_arguments)]
    pub fn find_piece(
        &self,
        state: &mut State,
        kind: Fault,
        by: &Subject<'_, '_>,
        (mover, piece): (Mover, &Piece<'_>),
        at: u64,
        other: Option<Other>,
        note: &dyn Fn() -> String,
    ) {
        let make = |state: &State| {
            let mut finding = Finding::new(kind, movement(mover, piece.kind, piece.bytes));
            finding.memory = Some(match piece.space {
                Space::Shared => self.shared_memory(by.kernel, piece.block, at),
                _ => state.memory(at),
            });
            finding.note = note();
            finding
        };
        self.find(state, kind, by, other, &make);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_aligned_and_leave_nothing_out() {
        for (first, bytes) in [(0, 16), (4, 3), (10, 100), (4090, 20), (16, 9000), (32, 0)] {
            let mut at = first;
            for (start, length) in units(first, bytes) {
                let last = start + u64::from(length) - 1;
                assert_eq!((start, start / UNIT), (at, last / UNIT));
                at = last + 1;
            }
            assert_eq!(at, first + bytes);
        }
    }
}
