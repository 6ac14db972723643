//! Reads of memory that are not in order with one another.

use super::clock::Time;

/// Nobody has accessed it, or it does not matter any more.
pub const NEVER: Time = 0;
/// End of a list of reads.
pub const END: u32 = 0;

/// Reads by some lanes of a warp at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    pub time: Time,
    /// [`Thread::grid_warp`](super::clock::Thread::grid_warp)
    pub warp: u32,
    pub lanes: u32,
    pub pc: u32,
}

/// No read.
pub const NO_READ: Read = Read {
    time: NEVER,
    warp: 0,
    lanes: 0,
    pc: 0,
};

/// Reads beyond the first of each cell, in lists.
#[derive(Debug)]
pub struct Reads {
    nodes: Vec<(Read, u32)>,
    free: u32,
    /// Longest that a list gets: what does not fit is forgotten, which may hide a race.
    longest: usize,
}

impl Reads {
    /// Lists of up to `longest` reads.
    pub fn new(longest: usize) -> Reads {
        Reads {
            nodes: vec![(NO_READ, END)],
            free: END,
            longest,
        }
    }

    /// The read at the head of a list, and the rest of the list.
    pub fn node(&self, list: u32) -> (Read, u32) {
        self.nodes[list as usize]
    }

    fn push(&mut self, list: u32, read: Read) -> u32 {
        let node = (read, list);
        if self.free != END {
            let at = self.free;
            self.free = self.nodes[at as usize].1;
            self.nodes[at as usize] = node;
            return at;
        }
        match u32::try_from(self.nodes.len()) {
            Ok(at) => {
                self.nodes.push(node);
                at
            }
            Err(_) => list,
        }
    }

    /// Forgets a list.
    pub fn release(&mut self, mut list: u32) {
        while list != END {
            let next = self.nodes[list as usize].1;
            self.nodes[list as usize].1 = self.free;
            self.free = list;
            list = next;
        }
    }

    /// Adds a read to a list, less those that `is_past` says of: whoever comes after this one comes
    /// after them.
    pub fn add(&mut self, list: u32, read: Read, is_past: &impl Fn(&Read) -> bool) -> u32 {
        let mut at = list;
        while at != END {
            let (old, next) = self.nodes[at as usize];
            if old.warp == read.warp && old.time == read.time {
                self.nodes[at as usize].0.lanes |= read.lanes;
                return list;
            }
            at = next;
        }
        let (kept, count) = self.keep(list, is_past);
        if count < self.longest {
            self.push(kept, read)
        } else {
            kept
        }
    }

    /// A list without the reads that `is_past` says of, and its length.
    pub fn keep(&mut self, list: u32, is_past: &impl Fn(&Read) -> bool) -> (u32, usize) {
        let (mut kept, mut count) = (END, 0);
        let mut at = list;
        while at != END {
            let (read, next) = self.nodes[at as usize];
            let to = if is_past(&read) {
                &mut self.free
            } else {
                count += 1;
                &mut kept
            };
            self.nodes[at as usize].1 = *to;
            *to = at;
            at = next;
        }
        (kept, count)
    }
}
