//! Bulk copies and the matrices of `wmma`: whether anybody has written what they read.

use super::block::Local;
use super::finding::{Finding, Kind as Fault};
use super::kernel::{Kernel, movement};
use super::state::State;
use super::subject::{Other, Subject};
use crate::exec::pieces::{Mover, Piece};
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
