//! What a finding is about: a lane of an instruction, what it touches, and perhaps another access.

use super::block::Local;
use super::clock::{Thread, Time};
use super::finding::{Finding, Kind, Memory, Owner};
use super::kernel::{Kernel, action};
use super::ledger::Key;
use super::state::State;
use crate::exec::block::Block;
use crate::exec::touch::Touched;
use crate::ptx::types::Space;
use crate::watch::Issue;

/// Block numbers wrap there: see [`Thread`].
pub const BLOCKS: u64 = 1 << 21;

/// A lane of an instruction that a warp is about to execute.
#[derive(Clone, Copy)]
pub struct Subject<'a, 'i> {
    pub kernel: &'a Kernel,
    pub issue: &'a Issue<'i>,
    pub lane: u32,
}

/// A lane's access to one memory.
#[derive(Clone, Copy)]
pub struct Access<'a, 'i> {
    pub by: Subject<'a, 'i>,
    pub touch: &'a Touched<'i>,
    /// Where the address lies: [`Space::Generic`] means in no memory.
    pub space: Space,
    /// Of shared and local memory an offset.
    pub address: u64,
    pub bytes: u32,
    /// Whose shared memory it is, if it is shared memory, and its index among the memories of the state.
    pub home: &'a Block,
    pub memory: usize,
    /// Who makes the access, and when, if that is not the lane now.
    pub engine: Option<(Thread, Time)>,
}

/// Another access, of a thread by an instruction, and whether it wrote.
pub type Other = (Thread, u32, bool);

/// An offset in memory of so many bytes.
fn owned(space: &'static str, offset: u64, bytes: u32, what: String) -> Memory {
    Memory {
        space,
        address: offset,
        allocation: Some(Owner {
            offset: offset as i64,
            bytes: bytes.into(),
            what,
        }),
    }
}

impl Local {
    fn memory(&self, state: &State, access: &Access<'_, '_>) -> Memory {
        let Access { by, address, .. } = *access;
        match access.space {
            Space::Shared => self.shared_memory(by.kernel, access.home, address),
            Space::Local => {
                let bytes = by.issue.local_bytes();
                owned(
                    "local",
                    address,
                    bytes,
                    format!("the thread's {bytes} bytes"),
                )
            }
            Space::Generic => Memory {
                space: "generic",
                address,
                allocation: None,
            },
            _ => state.memory(address),
        }
    }

    /// An offset in the shared memory of a block, this one or another of its cluster.
    pub fn shared_memory(&self, kernel: &Kernel, home: &Block, offset: u64) -> Memory {
        let bytes = home.shared_bytes;
        let what = if home.index == self.number {
            format!("the block's {bytes} bytes")
        } else {
            let [x, y, z] = kernel.block(home.index);
            format!("the {bytes} bytes of block ({x}, {y}, {z})")
        };
        owned("shared", offset, bytes, what)
    }

    /// Adds a finding about an access, or counts one that is known.
    #[cold]
    pub fn find_access(
        &self,
        state: &mut State,
        kind: Kind,
        access: &Access<'_, '_>,
        other: Option<Other>,
        note: &dyn Fn() -> String,
    ) {
        let make = |state: &State| {
            let mut finding = Finding::new(kind, action(access.touch));
            finding.memory = Some(self.memory(state, access));
            finding.note = note();
            finding
        };
        self.find(state, kind, &access.by, other, &make);
    }

    /// Adds a finding about threads that are not together where they should be.
    #[cold]
    pub fn find_threads(
        &self,
        state: &mut State,
        kind: Kind,
        subject: &Subject<'_, '_>,
        note: &dyn Fn() -> String,
    ) {
        let what = match kind {
            Kind::DivergentBarrier | Kind::ExitedThreads => "barrier of the block",
            _ => "instruction of the warp",
        };
        let make = |_: &State| {
            let mut finding = Finding::new(kind, what.to_owned());
            finding.note = note();
            finding
        };
        self.find(state, kind, subject, None, &make);
    }

    /// Adds a finding that `make` makes, or counts one that is known.
    pub fn find(
        &self,
        state: &mut State,
        kind: Kind,
        subject: &Subject<'_, '_>,
        other: Option<Other>,
        make: &dyn Fn(&State) -> Finding,
    ) {
        let Subject {
            kernel,
            issue,
            lane,
        } = *subject;
        let key = Key {
            kind,
            kernel: kernel.id,
            pc: issue.pc(),
            other: other.map_or(0, |(_, pc, _)| pc + 1),
        };
        if state.ledger.count(key) {
            return;
        }
        let mut finding = make(state);
        finding.site = Some(kernel.site(issue.pc(), self.number, issue.first_thread() + lane));
        finding.other = other.map(|(by, pc, was_write)| {
            let site = kernel.site(pc, self.block_of(by), by.index());
            (kernel.action(pc, was_write), site)
        });
        state.ledger.add(key, finding);
    }

    /// The number of a thread's block, the latest of those that it may be.
    fn block_of(&self, thread: Thread) -> u64 {
        let whole = self.number - self.number % BLOCKS + u64::from(thread.block());
        if whole > self.number && whole >= BLOCKS {
            whole - BLOCKS
        } else {
            whole
        }
    }
}
