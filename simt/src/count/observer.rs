//! Counts what the warps of one block after another do.

use super::banks::wavefronts;
use super::cache::Want;
use super::intervals::{Intervals, SECTOR, bytes, parts};
use super::moves::Moves;
use super::replay::Stream;
use super::session::{Session, Totals};
use super::tally::{Counts, Global, Shared, Way};
use crate::exec::block::Block;
use crate::exec::facts::{Class, Work};
use crate::exec::pieces::Mover;
use crate::exec::touch::{Form, Kind, Touched, resolve};
use crate::ptx::types::Space;
use crate::watch::{Issue, Observer};
use std::sync::Arc;

/// What one host thread has counted of a launch.
pub struct Counter {
    session: Arc<Session>,
    counted: Totals,
    /// Of the block at work.
    stream: Stream,
    most_runs: usize,
}

impl Counter {
    /// Nothing counted yet.
    pub fn new(session: &Arc<Session>) -> Counter {
        Counter {
            session: Arc::clone(session),
            counted: Totals::new(&session.program),
            stream: Stream::default(),
            most_runs: session.most_runs,
        }
    }

    #[cold]
    fn overflow(&self) {
        self.session.truncate();
    }

    fn touch(&mut self, pc: usize, touched: &Touched<'_>) {
        if let Form::Tile { .. } = touched.form {
            touched.units(|_| self.counted.tally.0[pc].tiles += 16);
            return;
        }
        let addresses = touched.addresses();
        let mask = touched.lanes();
        match touched.space {
            Space::Global => self.global(pc, touched, &addresses, mask),
            Space::Shared => self.shared(pc, touched, &addresses, mask),
            Space::Generic => {
                let mut offsets = [0; 32];
                let (mut global, mut shared) = (0, 0);
                for lane in (0..32).filter(|lane| mask >> lane & 1 != 0) {
                    match resolve(Space::Generic, addresses[lane]) {
                        Some((Space::Global, _)) => global |= 1 << lane,
                        Some((Space::Shared, offset)) => {
                            shared |= 1 << lane;
                            offsets[lane] = offset;
                        }
                        _ => {}
                    }
                }
                self.global(pc, touched, &addresses, global);
                self.shared(pc, touched, &offsets, shared);
            }
            _ => {}
        }
    }

    fn global(&mut self, pc: usize, touched: &Touched<'_>, addresses: &[u64; 32], mask: u32) {
        let intervals = Intervals::new(addresses, mask, |lane| touched.lane_bytes(lane));
        if touched.kind == Kind::Discard {
            return self.discard(intervals.ranges());
        }
        let lanes = (0..32).filter(|lane| mask >> lane & 1 != 0);
        let bytes = lanes.map(|l| u64::from(touched.lane_bytes(l))).sum();
        if self.global_ranges(pc, touched.kind.into(), intervals.ranges(), bytes) {
            self.stream.end_instruction();
        }
    }

    /// Joined ranges that one request is for, of so many bytes in all lanes together; whether the block's
    /// stream has got any.
    fn global_ranges(&mut self, pc: usize, way: Way, ranges: &[(u64, u64)], asked: u64) -> bool {
        if ranges.is_empty() {
            return false;
        }
        let want = match way {
            Way::Load => Want::Read,
            Way::Store => Want::Write,
            Way::Atomic => Want::Atomic,
        };
        for (first, end) in ranges {
            if want != Want::Write {
                self.counted.read.add(*first, *end);
            }
            if want != Want::Read {
                self.counted.written.add(*first, *end);
            }
        }
        let mut sectors = 0;
        let has_room = self.stream.len() < self.most_runs;
        if has_room {
            parts(ranges, SECTOR, |first, count| {
                sectors += count;
                self.stream.push(first, count, want);
            });
        } else {
            parts(ranges, SECTOR, |_, count| sectors += count);
            self.overflow();
        }
        self.counted.tally.0[pc].global[way as usize].add(&Global {
            requests: 1,
            bytes: asked,
            sectors,
            ideal: bytes(ranges).div_ceil(SECTOR),
        });
        has_room
    }

    /// Lines that the cache forgets: nothing moves, and what was written there stays written.
    fn discard(&mut self, ranges: &[(u64, u64)]) {
        if self.stream.len() >= self.most_runs {
            return self.overflow();
        }
        parts(ranges, SECTOR, |first, count| {
            self.stream.push(first, count, Want::Discard);
        });
        self.stream.end_instruction();
    }

    fn shared(&mut self, pc: usize, touched: &Touched<'_>, offsets: &[u64; 32], mask: u32) {
        if mask == 0 {
            return;
        }
        // A copy that reads less fills the rest with zeros.
        let bytes = touched.bytes * touched.count;
        let cost = wavefronts(offsets, mask, bytes, touched.kind == Kind::Atomic);
        let cost = Shared {
            requests: 1,
            bytes: u64::from(bytes * mask.count_ones()),
            wavefronts: cost.needed,
            ideal: cost.ideal,
        };
        self.shared_cost(pc, touched.kind.into(), &cost);
    }

    fn shared_cost(&mut self, pc: usize, way: Way, cost: &Shared) {
        self.counted.tally.0[pc].shared[way as usize].add(cost);
        self.counted.blocks.wavefronts(cost.wavefronts);
    }

    /// Bulk copies, and matrices of `wmma`.
    fn moved(&mut self, pc: usize, mover: Mover, issue: &Issue<'_>) {
        // What goes to other blocks value by value is no copy of bytes.
        if let Mover::Value { .. } = mover {
            return;
        }
        let mut moves = Moves::default();
        issue.pieces(|piece| moves.add(&piece));
        let mut any = false;
        for part in moves.parts() {
            match part.space {
                Space::Global => {
                    let asked = bytes(&part.ranges);
                    any |= self.global_ranges(pc, part.way, &part.ranges, asked);
                }
                _ => {
                    let way = part.way;
                    let cost = match mover {
                        Mover::Fragment { .. } => part.cost_of_matrix(),
                        _ => part.cost_of_copy(),
                    };
                    self.shared_cost(pc, way, &cost);
                }
            }
        }
        if any {
            self.stream.end_instruction();
        }
    }
}

impl Observer for Counter {
    fn block_begins(&mut self, block: &Block) {
        self.counted
            .chains
            .block_begins(block.index, self.session.blocks);
    }

    fn before(&mut self, issue: &Issue<'_>) {
        let facts = issue.facts();
        if facts.class == Class::Implied {
            return;
        }
        let pc = issue.pc() as usize;
        let counts: &mut Counts = &mut self.counted.tally.0[pc];
        counts.warps += 1;
        let lanes = issue.mask().count_ones();
        counts.lanes += u64::from(lanes);
        self.counted.blocks.instruction(facts.work, lanes);
        self.counted.chains.issue(&self.session.program, issue);
        if facts.touches[0].is_some() {
            issue.touches().for_each(|touched| self.touch(pc, &touched));
        }
        if let Some(mover) = facts.mover {
            self.moved(pc, mover, issue);
        }
    }

    fn held_back(&mut self, _: &Block, pc: u32) {
        // It takes its turn all the same.
        if self.session.program.facts[pc as usize].class != Class::Implied {
            self.counted.tally.0[pc as usize].warps += 1;
            self.counted.blocks.instruction(Work::None, 0);
        }
    }

    fn passed(&mut self, issue: &Issue<'_>) {
        self.counted.chains.passed(issue);
    }

    fn block_ends(&mut self, block: &Block) {
        self.counted.chains.block_ends();
        self.counted.blocks.ends(block.index, self.session.blocks);
        let stream = std::mem::take(&mut self.stream);
        self.session.block(block.index, stream);
    }

    fn finish(self: Box<Self>) {
        self.session.merge(&self.counted);
    }
}
