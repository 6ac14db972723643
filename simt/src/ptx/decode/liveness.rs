//! Virtual registers to places in a frame. Registers that are never alive together share a place, so
//! that the frames of a block's warps fit into the host's caches.

use super::emit::Raw;
use super::flow::Graph;
use super::scope::Scope;
use crate::exec::program::{CONSTANT, NONE, Place};
use std::collections::BTreeMap;

/// A function's frame.
pub struct Frame {
    /// Place of every virtual register, in bytes from the frame's start.
    pub places: Vec<Place>,
    pub bytes: u32,
    /// Most registers of 32 bits that a thread holds at once.
    pub registers: u32,
}

/// A set of virtual registers.
#[derive(Clone, PartialEq)]
struct Set(Vec<u64>);

impl Set {
    fn new(count: usize) -> Set {
        Set(vec![0; count.div_ceil(64)])
    }
    fn has(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 != 0
    }
    fn insert(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }
    fn remove(&mut self, at: usize) {
        self.0[at / 64] &= !(1 << (at % 64));
    }
}

/// Gives every register a place: a linear scan over the spans of the text in which they are alive.
pub fn allocate(code: &[Raw], graph: &Graph, scope: &Scope<'_, '_>) -> Frame {
    let count = scope.registers.len();
    let spans = spans(code, graph, count, scope);
    let mut order: Vec<usize> = (0..count).filter(|r| spans[*r].is_some()).collect();
    order.sort_by_key(|r| spans[*r].map_or(0, |s| s.0));

    let mut places = vec![0; count];
    let mut free: BTreeMap<u32, Vec<Place>> = BTreeMap::new();
    let mut alive: BTreeMap<(usize, usize), ()> = BTreeMap::new();
    let (mut bytes, mut predicates) = (0u32, 0u32);
    let (mut held, mut most) = (0, 0);
    for register in order {
        let Some((start, end)) = spans[register] else {
            continue;
        };
        while let Some((&(last, other), ())) = alive.first_key_value() {
            if last >= start {
                break;
            }
            alive.pop_first();
            let size = scope.registers[other].bytes();
            held -= size.div_ceil(128);
            free.entry(size).or_default().push(places[other]);
        }
        let size = scope.registers[register].bytes();
        places[register] = match free.get_mut(&size).and_then(Vec::pop) {
            Some(place) => place,
            None if size == 4 => {
                // Sixteen predicates share a line.
                if predicates % 16 == 0 {
                    predicates = bytes / 4;
                    bytes += 64;
                }
                predicates += 1;
                (predicates - 1) * 4
            }
            None => {
                bytes += size;
                bytes - size
            }
        };
        held += size.div_ceil(128);
        most = most.max(held);
        alive.insert((end, register), ());
    }
    Frame {
        places,
        bytes: bytes.next_multiple_of(64),
        registers: most,
    }
}

/// First and last instruction at which each register is alive.
fn spans(
    code: &[Raw],
    graph: &Graph,
    count: usize,
    scope: &Scope<'_, '_>,
) -> Vec<Option<(usize, usize)>> {
    let is_register = |place: Place| place != NONE && place & CONSTANT == 0;
    let blocks = graph.starts.len();
    let end_of = |block: usize| graph.starts.get(block + 1).copied().unwrap_or(code.len());
    let step = |raw: &Raw, live: &mut Set| {
        // A guarded write leaves what was there in some lanes.
        if raw.guard == NONE {
            for u in raw
                .uses
                .iter()
                .filter(|u| u.is_write && is_register(u.place))
            {
                live.remove(u.place as usize);
            }
        }
        for u in raw.uses.iter().filter(|u| is_register(u.place)) {
            if !u.is_write || raw.guard != NONE {
                live.insert(u.place as usize);
            }
        }
        if is_register(raw.guard) {
            live.insert(raw.guard as usize);
        }
        for register in &raw.keeps {
            live.insert(*register as usize);
        }
    };
    let mut live_in = vec![Set::new(count); blocks + 1];
    let mut changed = true;
    while changed {
        changed = false;
        for block in (0..blocks).rev() {
            let mut live = Set::new(count);
            for next in &graph.successors[block] {
                for (to, from) in live.0.iter_mut().zip(&live_in[*next].0) {
                    *to |= from;
                }
            }
            for raw in code[graph.starts[block]..end_of(block)].iter().rev() {
                step(raw, &mut live);
            }
            if live != live_in[block] {
                live_in[block] = live;
                changed = true;
            }
        }
    }

    let mut spans: Vec<Option<(usize, usize)>> = vec![None; count];
    let mut cover = |register: usize, at: usize| {
        let span = spans[register].get_or_insert((at, at));
        *span = (span.0.min(at), span.1.max(at));
    };
    // Special registers are filled when the frame is entered.
    for register in scope.specials.values() {
        cover(*register as usize, 0);
    }
    for block in 0..blocks {
        let (start, end) = (graph.starts[block], end_of(block));
        for register in (0..count).filter(|r| live_in[block].has(*r)) {
            cover(register, start);
        }
        for next in &graph.successors[block] {
            for register in (0..count).filter(|r| live_in[*next].has(*r)) {
                cover(register, end - 1);
            }
        }
        for (index, raw) in code[start..end].iter().enumerate() {
            for u in raw.uses.iter().filter(|u| is_register(u.place)) {
                cover(u.place as usize, start + index);
            }
            if is_register(raw.guard) {
                cover(raw.guard as usize, start + index);
            }
            for register in &raw.keeps {
                cover(*register as usize, start + index);
            }
        }
    }
    spans
}
