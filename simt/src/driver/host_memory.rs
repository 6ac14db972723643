//! Memory of the host that kernels of every device may touch: pinned, registered and managed.

use super::memory::refused;
use super::state::{current, devices, lock};
use super::{Error, Result, put};
use crate::watch::Mistake;
use std::alloc::{Layout, alloc, dealloc};
use std::collections::BTreeMap;
use std::ffi::c_uint;
use std::sync::{LazyLock, Mutex};

/// Whose memory it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Pinned,
    Registered,
    Managed,
}

/// A block of it.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    pub first: u64,
    pub bytes: usize,
    pub kind: Kind,
    pub flags: c_uint,
    /// The device that was current when it was made.
    pub device: usize,
}

/// As the host's pages.
const ALIGN: usize = 4096;

static BLOCKS: LazyLock<Mutex<BTreeMap<u64, Block>>> = LazyLock::new(Mutex::default);

/// The block that an address is in.
pub fn find(at: u64) -> Option<Block> {
    let blocks = lock(&BLOCKS);
    let (_, block) = blocks.range(..=at).next_back()?;
    (at < block.first + block.bytes as u64).then_some(*block)
}

fn keep(block: Block) -> Result<()> {
    for device in devices()? {
        lock(&device.arena).register(block.first, block.bytes as u64);
    }
    lock(&BLOCKS).insert(block.first, block);
    Ok(())
}

fn forget(first: u64, is_it: impl Fn(Kind) -> bool) -> Result<Option<Block>> {
    let mut blocks = lock(&BLOCKS);
    if !blocks.get(&first).is_some_and(|block| is_it(block.kind)) {
        return Ok(None);
    }
    for device in devices()? {
        lock(&device.arena).unregister(first);
    }
    Ok(blocks.remove(&first))
}

fn allocate(bytes: usize, kind: Kind, flags: c_uint) -> Result<u64> {
    let device = current()?.device;
    let layout = Layout::from_size_align(bytes, ALIGN).map_err(|_| Error::OutOfMemory)?;
    if bytes == 0 {
        return Err(Error::InvalidValue);
    }
    // SAFETY: the size is not zero.
    let first = unsafe { alloc(layout) } as u64;
    if first == 0 {
        return Err(Error::OutOfMemory);
    }
    keep(Block {
        first,
        bytes,
        kind,
        flags,
        device,
    })?;
    Ok(first)
}

fn release(block: Block) {
    if let Ok(layout) = Layout::from_size_align(block.bytes, ALIGN) {
        // SAFETY: `allocate` got the block with this layout, and nobody knows it any more.
        unsafe { dealloc(block.first as *mut u8, layout) };
    }
}

/// Gives managed memory back; `false`: it is none.
pub fn free_managed(first: u64) -> bool {
    let found = forget(first, |kind| kind == Kind::Managed).ok().flatten();
    found.map(release).is_some()
}

super::api! {
    /// Memory of host and device alike.
    fn cuMemAllocManaged(to: *mut u64, bytes: usize, flags: c_uint) {
        if flags != 1 && flags != 2 {
            return Err(Error::InvalidValue);
        }
        put(to, allocate(bytes, Kind::Managed, flags)?)
    }
    /// Host memory that kernels may touch.
    fn cuMemHostAlloc(to: *mut u64, bytes: usize, flags: c_uint) {
        put(to, allocate(bytes, Kind::Pinned, flags)?)
    }
    /// As `cuMemHostAlloc`.
    fn cuMemAllocHost_v2(to: *mut u64, bytes: usize) { put(to, allocate(bytes, Kind::Pinned, 0)?) }
    /// Gives it back.
    fn cuMemFreeHost(at: u64) {
        current()?;
        match forget(at, |kind| kind == Kind::Pinned)? {
            Some(block) => {
                release(block);
                Ok(())
            }
            None => refused(Mistake::Free, at, 0),
        }
    }
    /// Its address for kernels: the same.
    fn cuMemHostGetDevicePointer_v2(to: *mut u64, at: u64, flags: c_uint) {
        current()?;
        if flags != 0 || find(at).is_none() {
            return Err(Error::InvalidValue);
        }
        put(to, at)
    }
    /// The flags it was made with; all of it is mapped.
    fn cuMemHostGetFlags(flags: *mut c_uint, at: u64) {
        const DEVICE_MAP: c_uint = 2;
        let block = find(at).filter(|b| b.kind != Kind::Managed).ok_or(Error::InvalidValue)?;
        put(flags, block.flags | DEVICE_MAP)
    }
    /// Lets kernels touch memory of the caller.
    fn cuMemHostRegister_v2(at: u64, bytes: usize, flags: c_uint) {
        let device = current()?.device;
        let last = at.checked_add(bytes as u64).ok_or(Error::InvalidValue)?;
        if at == 0 || bytes == 0 {
            return Err(Error::InvalidValue);
        }
        if find(at).is_some() || find(last - 1).is_some() {
            return Err(Error::HostMemoryAlreadyRegistered);
        }
        keep(Block { first: at, bytes, kind: Kind::Registered, flags, device })
    }
    /// Takes that back.
    fn cuMemHostUnregister(at: u64) {
        current()?;
        forget(at, |kind| kind == Kind::Registered)?.map(drop).ok_or(Error::HostMemoryNotRegistered)
    }
}
