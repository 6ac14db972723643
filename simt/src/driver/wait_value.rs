//! `cuStreamWaitValue…`, `cuStreamWriteValue…`: words of memory in the order of a stream.

use super::memory::check;
use super::work::{Work, submit};
use super::{Error, Result};
use crate::watch::{TransferKind, transfer};
use std::ffi::c_uint;
use std::sync::Arc;

/// `CUstreamBatchMemOpParams`: what is to be done is in the first word.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OperationParams {
    kind: c_uint,
    _pad: c_uint,
    address: u64,
    value: u64,
    flags: c_uint,
    _pad_end: c_uint,
    _rest: [u64; 2],
}

/// `CUDA_BATCH_MEM_OP_NODE_PARAMS`
#[repr(C)]
pub struct BatchParams {
    context: usize,
    count: c_uint,
    operations: *const OperationParams,
    flags: c_uint,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    kind: Kind,
    address: u64,
    value: u64,
    /// Bytes.
    size: usize,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// `CUstreamWaitValue_flags`
    Wait(c_uint),
    Write,
    /// A fence: everything is in order already.
    Fence,
}

impl Operation {
    fn new(kind: Kind, address: u64, value: u64, size: usize) -> Result<Operation> {
        if !address.is_multiple_of(size as u64) {
            return Err(Error::InvalidValue);
        }
        check(address, size)?;
        Ok(Operation {
            kind,
            address,
            value,
            size,
        })
    }

    fn of(params: &OperationParams) -> Result<Operation> {
        let (address, value) = (params.address, params.value);
        let wait = Kind::Wait(params.flags & 3);
        match params.kind {
            1 => Operation::new(wait, address, value & 0xffff_ffff, 4),
            2 => Operation::new(Kind::Write, address, value, 4),
            4 => Operation::new(wait, address, value, 8),
            5 => Operation::new(Kind::Write, address, value, 8),
            3 | 6 => Ok(Operation {
                kind: Kind::Fence,
                address: 0,
                value: 0,
                size: 0,
            }),
            _ => Err(Error::InvalidValue),
        }
    }

    fn read(&self) -> Result<u64> {
        check(self.address, self.size)?;
        // SAFETY: the address has been checked and is a multiple of the size.
        Ok(unsafe {
            match self.size {
                4 => u64::from((self.address as *const u32).read_volatile()),
                _ => (self.address as *const u64).read_volatile(),
            }
        })
    }

    fn is_fulfilled(&self, flags: c_uint) -> Result<bool> {
        let found = self.read()?;
        // Differences count cyclically.
        let difference = found.wrapping_sub(self.value);
        let is_at_least = match self.size {
            4 => (difference as u32 as i32) >= 0,
            _ => (difference as i64) >= 0,
        };
        let mask = if self.size == 4 { 0xffff_ffff } else { !0 };
        Ok(match flags {
            0 => is_at_least,
            1 => difference & mask == 0,
            2 => found & self.value != 0,
            _ => !(found | self.value) & mask != 0,
        })
    }

    /// Writes, or waits for another thread of the host.
    pub fn run(&self) -> Result<()> {
        match self.kind {
            Kind::Fence => {}
            Kind::Write => {
                check(self.address, self.size)?;
                // SAFETY: the address has been checked and is a multiple of the size.
                let write = || unsafe {
                    match self.size {
                        4 => (self.address as *mut u32).write_volatile(self.value as u32),
                        _ => (self.address as *mut u64).write_volatile(self.value),
                    }
                };
                transfer(TransferKind::Fill, self.address, 0, self.size, write);
            }
            Kind::Wait(flags) => {
                while !self.is_fulfilled(flags)? {
                    std::thread::sleep(std::time::Duration::from_micros(50));
                }
            }
        }
        Ok(())
    }
}

unsafe fn operations(from: *const OperationParams, count: c_uint) -> Result<Arc<[Operation]>> {
    if from.is_null() && count > 0 {
        return Err(Error::InvalidValue);
    }
    // SAFETY: the caller gives so many.
    (0..count as usize)
        .map(|at| Operation::of(unsafe { &*from.add(at) }))
        .collect()
}

/// The operations of a node.
///
/// # Safety
/// The pointer is null or valid.
pub unsafe fn of_node(params: *const BatchParams) -> Result<Arc<[Operation]>> {
    // SAFETY: the caller's promise.
    unsafe {
        let params = params.as_ref().ok_or(Error::InvalidValue)?;
        operations(params.operations, params.count)
    }
}

fn one(stream: usize, kind: Kind, address: u64, value: u64, size: usize) -> Result<()> {
    super::stream::check(stream)?;
    let operation = Operation::new(kind, address, value, size)?;
    submit(stream, Work::Words(Arc::new([operation])))
}

super::api! {
    /// Waits until a word is as it should be.
    fn cuStreamWaitValue32_v2(stream: usize, address: u64, value: u32, flags: c_uint) {
        one(stream, Kind::Wait(flags & 3), address, value.into(), 4)
    }
    /// As before, 64 bits.
    fn cuStreamWaitValue64_v2(stream: usize, address: u64, value: u64, flags: c_uint) {
        one(stream, Kind::Wait(flags & 3), address, value, 8)
    }
    /// Writes a word.
    fn cuStreamWriteValue32_v2(stream: usize, address: u64, value: u32, _flags: c_uint) {
        one(stream, Kind::Write, address, value.into(), 4)
    }
    /// As before, 64 bits.
    fn cuStreamWriteValue64_v2(stream: usize, address: u64, value: u64, _flags: c_uint) {
        one(stream, Kind::Write, address, value, 8)
    }
    /// Several, in their order.
    fn cuStreamBatchMemOp_v2(
        stream: usize, count: c_uint, params: *const OperationParams, _flags: c_uint,
    ) {
        super::stream::check(stream)?;
        submit(stream, Work::Words(operations(params, count)?))
    }
}
