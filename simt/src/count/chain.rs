//! How long a block takes where nothing is in its way: its longest chain of instructions that wait for one
//! another.
//!
//! A warp issues one instruction a cycle, each as soon as its operands are there and those of the branches before
//! it, so that the loads of a loop's turns overlap where none needs another's: no compiler orders them better. Warps
//! wait for one another at the block's barriers, and for their own copies where they say so. What is left out: other
//! warps at the same units, bulk copies and what waits at mbarriers, and products of whole warpgroups, which take no
//! time here.
//!
//! Cycles are those of an A100: dependent arithmetic 4, special functions and shuffles some 20 (Jia et al.,
//! arXiv 1804.06826, table 4.1; Abdelkhalik et al., arXiv 2208.11174), `mma` 33, shared memory 29, L2 262 (Luo et al.,
//! arXiv 2402.13499, on memory latencies). A load from memory, by a block's first access to a line, is counted by
//! itself: how long it takes is the chip's.

use crate::exec::facts::{Class, Effect, Facts};
use crate::exec::program::{CONSTANT, Program};
use crate::exec::touch::Kind;
use crate::ptx::types::Space;
use crate::watch::Issue;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet, VecDeque};

const ARITHMETIC: u32 = 4;
const SPECIAL: u32 = 23;
const TENSOR: u32 = 33;
const SHARED: u32 = 29;
const L1: u32 = 38;
const L2: u32 = 262;
const BARRIER: u32 = 20;
/// What a load from memory takes, for the choice of the longest chain alone.
const MEMORY: u32 = 466;
/// Bytes of a line.
const LINE: u64 = 128;
/// Blocks of a launch that are followed: so many, evenly over the grid, and the last.
const BLOCKS: u64 = 16;

/// The longest chains of the blocks that were followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Chain {
    /// Of the longest: cycles but for loads from memory, and those loads.
    pub cycles: u64,
    pub loads: u64,
    /// The same of a block on average.
    pub mean_cycles: f64,
    pub mean_loads: f64,
}

/// A moment: cycles since the block's start, loads from memory not counted, and these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Moment {
    cycles: u32,
    loads: u32,
}

impl Moment {
    fn length(self) -> u64 {
        u64::from(self.cycles) + u64::from(self.loads) * u64::from(MEMORY)
    }

    fn later(self, other: Moment) -> Moment {
        if other.length() > self.length() {
            other
        } else {
            self
        }
    }

    fn after(self, cycles: u32) -> Moment {
        Moment {
            cycles: self.cycles + cycles,
            ..self
        }
    }
}

#[derive(Default)]
struct Warp {
    /// When the next instruction may issue at the earliest, and when the last of those before issues.
    start: Moment,
    end: Moment,
    /// When a register is there, by its place in words.
    ready: Vec<Moment>,
    /// When the copies are there that no group holds yet, and those of the groups.
    copies: Moment,
    groups: VecDeque<Moment>,
    /// Arrivals by barrier.
    arrivals: HashMap<u32, u32>,
}

impl Warp {
    /// What comes issues behind all that came.
    fn joins(&mut self) -> Moment {
        self.start = self.end.later(self.start);
        self.start
    }

    fn waits_for(&mut self, moment: Moment) {
        self.start = self.start.later(moment);
        self.end = self.end.later(self.start);
    }
}

/// Follows the warps of one block after another.
#[derive(Default)]
pub struct Chains {
    /// Whether the block at work is followed.
    follows: bool,
    warps: Vec<Warp>,
    /// The last arrival at a barrier, by how often it was met.
    meetings: HashMap<(u32, u32), Moment>,
    lines: HashSet<u64>,
    longest: Moment,
    sum: (u64, u64),
    blocks: u64,
}

impl Chains {
    pub fn block_begins(&mut self, block: u64, blocks: u64) {
        let step = blocks.div_ceil(BLOCKS).max(1);
        self.follows = block.is_multiple_of(step) || block + 1 == blocks;
        self.warps.clear();
        self.meetings.clear();
        self.lines.clear();
    }

    pub fn block_ends(&mut self) {
        if !self.follows {
            return;
        }
        let ends = self.warps.iter_mut().map(Warp::joins);
        let end = ends.fold(Moment::default(), Moment::later);
        self.longest = self.longest.later(end);
        self.sum.0 += u64::from(end.cycles);
        self.sum.1 += u64::from(end.loads);
        self.blocks += 1;
    }

    /// A warp issues an instruction.
    pub fn issue(&mut self, program: &Program, issue: &Issue<'_>) {
        if !self.follows {
            return;
        }
        let number = issue.warp() as usize;
        if number >= self.warps.len() {
            self.warps.resize_with(number + 1, Warp::default);
        }
        let facts = issue.facts();
        let latency = latency(facts);
        let from_memory = loads(facts) && self.is_first(issue);
        let warp = &mut self.warps[number];
        let (writes, reads) = program.operands(issue.pc() as usize);
        let ready = |place: u32| match place & CONSTANT {
            0 => warp.ready.get(place as usize / 4).copied(),
            _ => None,
        };
        let there = reads.iter().filter_map(|place| ready(*place));
        let at = there.fold(warp.start, Moment::later);
        warp.start = warp.start.after(1);
        warp.end = warp.end.later(at);
        let mut result = at.after(latency);
        if from_memory {
            result = Moment {
                cycles: at.cycles,
                loads: at.loads + 1,
            };
        }
        for place in writes.iter().filter(|place| **place & CONSTANT == 0) {
            let word = *place as usize / 4;
            if word >= warp.ready.len() {
                warp.ready.resize(word + 1, Moment::default());
            }
            warp.ready[word] = result;
        }
        match facts.effect {
            Effect::CopyCommit => {
                let copies = std::mem::take(&mut warp.copies);
                warp.groups.push_back(copies);
            }
            Effect::CopyWait { keep } => {
                while warp.groups.len() > keep.unwrap_or(0) as usize {
                    let group = warp.groups.pop_front().unwrap_or_default();
                    warp.waits_for(group);
                }
            }
            Effect::Barrier { .. } => {
                let arrival = warp.joins();
                if let Some((index, _)) = issue.barrier() {
                    let times = warp.arrivals.entry(index).or_default();
                    *times += 1;
                    let meeting = self.meetings.entry((index, *times)).or_default();
                    *meeting = meeting.later(arrival);
                }
            }
            _ if facts.class == Class::Control => warp.waits_for(at),
            _ if facts.class == Class::AsyncCopy => warp.copies = warp.copies.later(result),
            _ => {}
        }
    }

    /// A warp goes on behind a barrier.
    pub fn passed(&mut self, issue: &Issue<'_>) {
        let Some((index, _)) = issue.barrier().filter(|_| self.follows) else {
            return;
        };
        let Some(warp) = self.warps.get_mut(issue.warp() as usize) else {
            return;
        };
        let times = warp.arrivals.get(&index).copied().unwrap_or_default();
        if let Some(meeting) = self.meetings.get(&(index, times)) {
            warp.waits_for(meeting.after(BARRIER));
        }
    }

    /// Adds what another host thread has followed.
    pub fn merge(&mut self, other: &Chains) {
        self.longest = self.longest.later(other.longest);
        self.sum = (self.sum.0 + other.sum.0, self.sum.1 + other.sum.1);
        self.blocks += other.blocks;
    }

    pub fn chain(&self) -> Chain {
        let mean = |sum: u64| sum as f64 / self.blocks.max(1) as f64;
        Chain {
            cycles: self.longest.cycles.into(),
            loads: self.longest.loads.into(),
            mean_cycles: mean(self.sum.0),
            mean_loads: mean(self.sum.1),
        }
    }

    /// Whether the block touches a line of global memory for the first time.
    fn is_first(&mut self, issue: &Issue<'_>) -> bool {
        let mut first = false;
        for touched in issue.touches().filter(|t| t.space == Space::Global) {
            let addresses = touched.addresses();
            for lane in (0..32).filter(|lane| touched.lanes() >> lane & 1 != 0) {
                first |= self.lines.insert(addresses[lane] / LINE);
            }
        }
        first
    }
}

/// Whether an instruction brings something from global memory.
fn loads(facts: &Facts) -> bool {
    let read = |kind| matches!(kind, Kind::Read | Kind::CopyFrom);
    let mut touches = facts.touches.iter().flatten();
    touches.any(|touch| touch.space == Space::Global && read(touch.kind))
}

/// Cycles until a result is there, of a load from global memory where the block has touched it before.
fn latency(facts: &Facts) -> u32 {
    let space = facts.touches[0].map(|touch| touch.space);
    match (facts.class, space) {
        (Class::Load | Class::Atomic, Some(Space::Shared)) => SHARED,
        (Class::Load | Class::Atomic | Class::AsyncCopy, Some(Space::Global | Space::Generic)) => {
            L2
        }
        (Class::Load, Some(Space::Local)) => L1,
        (Class::Special | Class::Warp, _) => SPECIAL,
        (Class::Tensor, _) => TENSOR,
        (Class::Control | Class::Store | Class::Barrier, _) => 0,
        _ => ARITHMETIC,
    }
}
