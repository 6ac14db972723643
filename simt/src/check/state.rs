//! What all launches and host calls of the process share.

use super::allocations::{Allocation, Allocations, Origin};
use super::bits::SparseBits;
use super::clock::{Clock, Thread, Time};
use super::finding::{Finding, Kind, Memory, Owner};
use super::ledger::{Key, Ledger};
use super::messages::Location;
use super::order::tick;
use super::settings::Checks;
use super::shadow::Shadow;
use super::shared_memory::Memories;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Unordered reads of a cell of global memory that are kept beside the first.
const GLOBAL_READS: usize = 3;
/// Leaks that are told each by itself.
const LEAKS: usize = 16;
/// From here on a launch starts with a new clock.
const LATE: Time = 1 << 31;

/// Everything that is known of memory outside of blocks.
#[derive(Debug)]
pub struct State {
    pub now: Time,
    pub allocations: Allocations,
    /// Bytes of global memory that somebody has written.
    pub written: SparseBits,
    pub shadow: Shadow,
    pub memories: Memories,
    /// What strong writes to global memory have told, by address.
    pub locations: HashMap<u64, Location>,
    /// The thread whose copy an engine has begun last at an instruction.
    pub issuers: HashMap<(Thread, u32), Thread>,
    /// What those who have arrived at the barrier of a cluster have told there, by the number of the first
    /// block and how often the barrier had passed.
    pub clusters: HashMap<(u64, u64), Option<Arc<Clock>>>,
    pub ledger: Ledger,
    /// A launch has ended with a fault, after which nothing can be given back.
    pub is_broken: bool,
    kernels: HashMap<String, u32>,
}

/// The checks that are on, and what they know.
#[derive(Debug)]
pub struct Shared {
    pub checks: Checks,
    state: Mutex<State>,
}

impl Shared {
    /// Nothing has happened yet.
    pub fn new(checks: Checks, ledger: Ledger) -> Shared {
        let state = State {
            now: 1,
            allocations: Allocations::default(),
            written: SparseBits::default(),
            shadow: Shadow::new(GLOBAL_READS),
            memories: Memories::default(),
            locations: HashMap::new(),
            issuers: HashMap::new(),
            clusters: HashMap::new(),
            ledger,
            is_broken: false,
            kernels: HashMap::new(),
        };
        Shared {
            checks,
            state: Mutex::new(state),
        }
    }

    /// The state; one who panicked with it has left something that is at worst incomplete.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A launch begins: the host has ordered it after everything before. The answer is the moment, and
    /// a number for the kernel.
    pub fn launch(&mut self, kernel: &str) -> (Time, u32) {
        if self.now > LATE {
            self.shadow = Shadow::new(GLOBAL_READS);
            self.now = 1;
        }
        self.locations.clear();
        self.issuers.clear();
        self.clusters.clear();
        let launched = self.now;
        tick(&mut self.now);
        let next = self.kernels.len() as u32 + 1;
        let id = *self.kernels.entry(kernel.to_owned()).or_insert(next);
        (launched, id)
    }

    /// An address of global memory, and what is known of its allocation.
    pub fn memory(&self, address: u64) -> Memory {
        let found = self.allocations.find(address);
        let allocation = found.or_else(|| self.allocations.nearest(address));
        Memory {
            space: "global",
            address,
            allocation: allocation.map(|a| Owner {
                offset: address.wrapping_sub(a.address) as i64,
                bytes: a.bytes,
                what: a.to_string(),
            }),
        }
    }

    /// A finding about what the host does; `number` tells it from others of the kind.
    pub fn host_finding(&mut self, number: u64, finding: Finding) {
        let key = Key {
            kind: finding.kind,
            kernel: 0,
            pc: number as u32,
            other: (number >> 32) as u32,
        };
        if !self.ledger.count(key) {
            self.ledger.add(key, finding);
        }
        self.ledger.tell();
    }

    /// Whatever the program has not given back is lost, unless a fault has kept it from doing so. Many
    /// are told as one: a program that ends with its pool of memory need not hear of every piece.
    pub fn find_leaks(&mut self) {
        if self.is_broken {
            return;
        }
        let left: Vec<Allocation> = self.allocations.left().into_iter().cloned().collect();
        let (each, others) = left.split_at(left.len().min(LEAKS));
        for allocation in each {
            let (Origin::Call(call) | Origin::Host(call)) = allocation.origin else {
                continue;
            };
            let action = format!("what {call} has given is never freed");
            let mut finding = Finding::new(Kind::Leak, action);
            finding.memory = Some(self.memory(allocation.address));
            self.host_finding(allocation.number, finding);
        }
        if let Some(first) = others.first() {
            let bytes: u64 = others.iter().map(|a| a.bytes).sum();
            let count = others.len();
            let action = format!("{count} more allocations, of {bytes} bytes, are never freed");
            self.host_finding(first.number, Finding::new(Kind::Leak, action));
        }
    }
}
