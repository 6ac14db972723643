//! Copies that the machine does beside its threads: from where, to where, and when they land.
//!
//! An operation that completes on an mbarrier lands when a thread looks at that barrier; one of a bulk
//! group when its thread waits for the group, reading shared memory first and writing global memory
//! only when writes are waited for too. So a program that forgets to wait sees what was there before.

use super::asynchronous::LaneCopy;
use super::block::Block;
use super::fault::Fault;
use super::mbarrier_object::{self, Mbarrier};
use super::reduction::Reduction;
use super::tensor_map::Tile;
use crate::numeric::matrix::descriptor::Swizzle;

/// One end of a transfer.
#[derive(Debug, Clone)]
pub enum End {
    /// Bytes that lie together.
    Global(*mut u8),
    /// Bytes from an offset of a block's shared memory on.
    Shared(*const Block, u32, Swizzle),
    /// A box of a tensor.
    Tile(Box<Tile>),
    /// Bytes that have been read already.
    Read(Vec<u8>),
}

impl End {
    /// What is there.
    ///
    /// # Safety
    /// The block and the bytes are there.
    unsafe fn read(&self, bytes: usize) -> Vec<u8> {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                End::Global(from) => std::slice::from_raw_parts(*from, bytes).to_vec(),
                End::Shared(block, offset, Swizzle::None) => {
                    let base = (**block).shared();
                    std::slice::from_raw_parts(base.add(*offset as usize), bytes).to_vec()
                }
                End::Shared(block, offset, swizzle) => {
                    let base = (**block).shared();
                    let mut read = vec![0; bytes];
                    for (unit, to) in read.chunks_mut(16).enumerate() {
                        let at = swizzle.apply(offset + 16 * unit as u32) as usize;
                        to.copy_from_slice(std::slice::from_raw_parts(base.add(at), to.len()));
                    }
                    read
                }
                End::Tile(tile) => tile.read(bytes),
                End::Read(read) => read.clone(),
            }
        }
    }

    /// Puts bytes there, or makes them one with what is there.
    ///
    /// # Safety
    /// As for [`End::read`].
    unsafe fn write(&self, data: &[u8], reduction: Option<Reduction>) {
        // SAFETY: the caller's promise.
        unsafe {
            let run = |to: *mut u8, data: &[u8]| match reduction {
                Some(reduction) => reduction.apply(to, data),
                None => to.copy_from(data.as_ptr(), data.len()),
            };
            match self {
                End::Global(to) => run(*to, data),
                End::Shared(block, offset, Swizzle::None) => {
                    run((**block).shared().add(*offset as usize), data);
                }
                End::Shared(block, offset, swizzle) => {
                    let base = (**block).shared();
                    for (unit, from) in data.chunks(16).enumerate() {
                        let at = swizzle.apply(offset + 16 * unit as u32) as usize;
                        run(base.add(at), from);
                    }
                }
                End::Tile(tile) => tile.write(data, run),
                End::Read(_) => {}
            }
        }
    }
}

/// Bytes on their way.
#[derive(Debug, Clone)]
pub struct Transfer {
    pub from: End,
    pub to: End,
    pub bytes: usize,
    pub reduction: Option<Reduction>,
}

impl Transfer {
    /// Reads the source, once.
    ///
    /// # Safety
    /// Both ends are still there.
    unsafe fn read(&mut self) {
        if !matches!(self.from, End::Read(_)) {
            // SAFETY: the caller's promise.
            self.from = End::Read(unsafe { self.from.read(self.bytes) });
        }
    }

    /// Does all of it.
    ///
    /// # Safety
    /// As for [`Transfer::read`].
    unsafe fn perform(&mut self) {
        // SAFETY: the caller's promise.
        unsafe {
            self.read();
            if let End::Read(data) = &self.from {
                self.to.write(data, self.reduction);
            }
        }
    }
}

/// What an mbarrier is told when an operation is done.
#[derive(Debug, Clone, Copy)]
pub enum Completion {
    Bytes(u32),
    Arrival,
}

/// What an operation does.
#[derive(Debug, Clone)]
pub enum Work {
    Transfer(Transfer),
    /// Copies of `cp.async`, which a thread has under way.
    Copies(Vec<LaneCopy>),
}

/// Work that completes on an mbarrier.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The barrier's host address, and the shared address that the program gave.
    pub barrier: *mut u64,
    pub address: u64,
    pub completion: Completion,
    pub work: Work,
    /// The thread of the block whose `cp.async` these are.
    pub owner: Option<u32>,
}

impl Block {
    /// Whether an mbarrier is no longer in the phase of that parity. What it waits for lands first.
    pub fn has_left(&self, barrier: u64, parity: u32) -> bool {
        if !self.operations.borrow().is_empty() {
            self.land_if(|operation| operation.barrier as u64 == barrier);
        }
        // SAFETY: the address was found in shared memory of the cluster when the thread began to wait.
        let word = unsafe { (barrier as *const u64).read() };
        Mbarrier::decode(word).is_some_and(|barrier| barrier.parity != parity)
    }

    /// What [`Block::has_left`] would say, without anything landing.
    pub fn will_have_left(&self, barrier: u64, parity: u32) -> bool {
        // SAFETY: the caller has found the address in shared memory of the cluster.
        let word = unsafe { (barrier as *const u64).read_unaligned() };
        let Some(mut object) = Mbarrier::decode(word) else {
            return false;
        };
        let operations = self.operations.borrow();
        for operation in operations.iter().filter(|o| o.barrier as u64 == barrier) {
            // What cannot be told is a fault when it lands.
            let _ = object.complete(operation.completion);
        }
        object.parity != parity
    }

    /// Has operations done, in the order in which they were begun; `false`: there was none such.
    pub fn land_if(&self, chosen: impl Fn(&Operation) -> bool) -> bool {
        let mut any = false;
        let mut operations = self.operations.borrow_mut();
        operations.retain_mut(|operation| {
            if !chosen(operation) {
                return true;
            }
            any = true;
            // SAFETY: the addresses were checked when the operation began; memory of the cluster and of
            // the launch is there as long as its blocks run.
            let done = unsafe {
                match &mut operation.work {
                    Work::Transfer(transfer) => transfer.perform(),
                    Work::Copies(copies) => copies.iter().for_each(|copy| copy.perform()),
                }
                mbarrier_object::complete(
                    operation.barrier,
                    operation.address,
                    operation.completion,
                )
            };
            if let Err(fault) = done {
                self.note(fault);
            }
            false
        });
        if any {
            self.stir();
        }
        any
    }

    fn note(&self, fault: Fault) {
        self.trouble.borrow_mut().get_or_insert(fault);
    }
}

/// Bulk copies of a warp's threads that complete by groups.
#[derive(Debug, Default)]
pub struct Stores {
    /// Lane, number of its group, and what is to be done.
    pending: Vec<(usize, u32, Transfer)>,
    /// The group that each lane is filling.
    group: [u32; 32],
}

impl Stores {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.pending.clear();
        self.group = [0; 32];
    }

    /// Begins a copy in a lane.
    pub fn start(&mut self, lane: usize, transfer: Transfer) {
        self.pending.push((lane, self.group[lane], transfer));
    }

    /// Ends the group that the lanes are filling.
    pub fn commit(&mut self, lanes: u32) {
        for lane in 0..32 {
            self.group[lane] += lanes >> lane & 1;
        }
    }

    /// Completes all but the `keep` latest groups of the lanes, or only their reads.
    ///
    /// # Safety
    /// What the transfers were given is still there.
    pub unsafe fn wait(&mut self, lanes: u32, keep: u32, only_reads: bool) {
        let group = self.group;
        self.pending.retain_mut(|(lane, number, transfer)| {
            let waited = lanes >> *lane & 1 != 0 && *number + keep < group[*lane];
            if !waited {
                return true;
            }
            // SAFETY: the caller's promise.
            unsafe {
                if only_reads {
                    transfer.read();
                } else {
                    transfer.perform();
                }
            }
            only_reads
        });
    }

    /// Completes everything.
    ///
    /// # Safety
    /// As for [`Stores::wait`].
    pub unsafe fn wait_all(&mut self) {
        for (_, _, mut transfer) in self.pending.drain(..) {
            // SAFETY: the caller's promise.
            unsafe { transfer.perform() };
        }
    }
}
