//! What a finding is about: a lane of an instruction, what it touches, and perhaps another access.

use super::block::Local;
use super::clock::Thread;
use super::finding::{Finding, Kind, Memory, Owner};
use super::kernel::{Kernel, action};
use super::ledger::Key;
use super::state::State;
use crate::exec::touch::Touched;
use crate::ptx::types::Space;
use crate::watch::Issue;

/// Block numbers wrap there: see [`Thread`].
pub const BLOCKS: u64 = 1 << 22;

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
}

/// Another access, of a thread by an instruction, and whether it wrote.
pub type Other = (Thread, u32, bool);

impl Access<'_, '_> {
    fn memory(&self, state: &State) -> Memory {
        let Access { address, .. } = *self;
        let (space, owner, bytes) = match self.space {
            Space::Shared => ("shared", "the block's", self.by.issue.block().shared_bytes),
            Space::Local => ("local", "the thread's", self.by.issue.local_bytes()),
            Space::Generic => {
                return Memory {
                    space: "generic",
                    address,
                    allocation: None,
                };
            }
            _ => return state.memory(address),
        };
        Memory {
            space,
            address,
            allocation: Some(Owner {
                offset: address as i64,
                bytes: bytes.into(),
                what: format!("{owner} {bytes} bytes"),
            }),
        }
    }
}

impl Local {
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
            finding.memory = Some(access.memory(state));
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

    fn find(
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
