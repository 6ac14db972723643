//! What bulk copies and the matrices of `wmma` touch, put together from pieces.
//!
//! A bulk copy fills or empties lines of 128 bytes of shared memory, a wavefront each; ideal: those that
//! its bytes would fill. A matrix goes as lanes that each want 16 bytes of its rows, or columns, one
//! after another, or the whole of one that is shorter (`banks`).

use super::banks::wavefronts;
use super::intervals::{bytes, join, parts};
use super::tally::{Shared, Way};
use crate::exec::pieces::Piece;
use crate::ptx::types::Space;

/// Bytes of all banks together.
const LINE: u64 = 128;
/// Most bytes of a matrix that a lane wants.
const WIDEST: u64 = 16;

/// What one lane's copy does to one memory.
pub struct Part {
    lane: u32,
    pub way: Way,
    pub space: Space,
    /// Whose shared memory it is.
    block: u64,
    /// First byte, and one past the last.
    pub ranges: Vec<(u64, u64)>,
}

/// Pieces of one instruction.
#[derive(Default)]
pub struct Moves(Vec<Part>);

impl Moves {
    /// Adds a piece.
    pub fn add(&mut self, piece: &Piece<'_>) {
        let way = Way::from(piece.kind);
        let is_same = |part: &&mut Part| {
            (part.lane, part.way, part.space, part.block)
                == (piece.lane, way, piece.space, piece.block.index)
        };
        let range = (piece.address, piece.address + piece.bytes);
        match self.0.iter_mut().find(is_same) {
            Some(part) => part.ranges.push(range),
            None => self.0.push(Part {
                lane: piece.lane,
                way,
                space: piece.space,
                block: piece.block.index,
                ranges: vec![range],
            }),
        }
    }

    /// The parts, of which those in global memory have sorted ranges that do not touch.
    pub fn parts(mut self) -> Vec<Part> {
        for part in self.0.iter_mut().filter(|p| p.space == Space::Global) {
            part.join();
        }
        self.0
    }
}

impl Part {
    fn join(&mut self) {
        self.ranges.sort_unstable();
        let count = join(&mut self.ranges);
        self.ranges.truncate(count);
    }

    /// Shared memory that a bulk copy touches.
    pub fn cost_of_copy(mut self) -> Shared {
        self.join();
        let mut lines = 0;
        parts(&self.ranges, LINE, |_, count| lines += count);
        let bytes = bytes(&self.ranges);
        Shared {
            requests: 1,
            bytes,
            wavefronts: lines,
            ideal: bytes.div_ceil(LINE),
        }
    }

    /// Shared memory that a matrix lies in.
    pub fn cost_of_matrix(self) -> Shared {
        let length = self.ranges.iter().map(|(first, end)| end - first).min();
        let unit = length.unwrap_or(WIDEST).clamp(1, WIDEST);
        let units = |(first, end): &(u64, u64)| (*first..*end).step_by(unit as usize);
        let offsets: Vec<u64> = self.ranges.iter().flat_map(units).collect();
        let mut cost = Shared {
            requests: 1,
            bytes: bytes(&self.ranges),
            ..Shared::default()
        };
        for lanes in offsets.chunks(32) {
            let mut all = [0; 32];
            all[..lanes.len()].copy_from_slice(lanes);
            let mask = !0 >> (32 - lanes.len());
            let part = wavefronts(&all, mask, unit as u32, false);
            cost.wavefronts += part.needed;
            cost.ideal += part.ideal;
        }
        cost
    }
}
