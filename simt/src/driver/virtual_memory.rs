//! `cuMemAddressReserve`, `cuMemCreate`, `cuMemMap`: addresses and the memory behind them, apart.
//!
//! Memory is a file that only this process knows; mapping it at two addresses gives the same bytes
//! at both.

use super::memory::refused;
use super::pool::Access;
use super::state::{Registry, current, device, devices, lock};
use super::{Error, Result, put, unsupported};
use crate::memory::Reserved;
use crate::watch::Mistake;
use std::collections::BTreeMap;
use std::ffi::{c_int, c_uint, c_void};
use std::fs::File;
use std::sync::{Arc, LazyLock, Mutex};

/// `CUmemAllocationProp`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct AllocationProps {
    kind: c_uint,
    handle_types: c_uint,
    place_kind: c_uint,
    place: c_int,
    _metadata: usize,
    _flags: u64,
}

/// Memory without an address.
struct Physical {
    file: File,
    bytes: usize,
    props: AllocationProps,
    device: usize,
}

impl Drop for Physical {
    fn drop(&mut self) {
        if let Ok(devices) = devices() {
            lock(&devices[self.device].arena).discharge(self.bytes as u64);
        }
    }
}

/// A mapped range.
struct Mapping {
    bytes: usize,
    handle: usize,
    memory: Arc<Physical>,
    /// Devices that may touch it.
    access: Vec<usize>,
}

static MEMORY: Registry<Physical> = Registry::new();
/// References that programs hold to handles.
static HELD: LazyLock<Mutex<BTreeMap<usize, usize>>> = LazyLock::new(Mutex::default);
static RANGES: LazyLock<Mutex<BTreeMap<u64, Reserved>>> = LazyLock::new(Mutex::default);
static MAPPINGS: LazyLock<Mutex<BTreeMap<u64, Mapping>>> = LazyLock::new(Mutex::default);

/// Sizes and addresses are multiples of this, as on the chip.
const GRANULARITY: usize = 2 << 20;

/// The mapping that an address is in: first byte, bytes, device.
pub fn find(at: u64) -> Option<(u64, u64, usize)> {
    let mappings = lock(&MAPPINGS);
    let (first, mapping) = mappings.range(..=at).next_back()?;
    (at < first + mapping.bytes as u64).then_some((
        *first,
        mapping.bytes as u64,
        mapping.memory.device,
    ))
}

fn granules(bytes: usize) -> Result<()> {
    match bytes > 0 && bytes.is_multiple_of(GRANULARITY) {
        true => Ok(()),
        false => Err(Error::InvalidValue),
    }
}

fn create(bytes: usize, props: &AllocationProps) -> Result<usize> {
    granules(bytes)?;
    if props.kind != 1 || props.place_kind != 1 {
        return Err(Error::InvalidValue);
    }
    if props.handle_types != 0 {
        return unsupported::note("memory that processes share");
    }
    let device = device(props.place)?;
    lock(&device.arena).charge(bytes as u64)?;
    let memory = crate::memory::anonymous_file(bytes).map(|file| Physical {
        file,
        bytes,
        props: *props,
        device: props.place as usize,
    });
    let Ok(memory) = memory else {
        lock(&device.arena).discharge(bytes as u64);
        return Err(Error::OutOfMemory);
    };
    let handle = MEMORY.insert(memory);
    lock(&HELD).insert(handle, 1);
    Ok(handle)
}

fn map(at: u64, bytes: usize, offset: usize, handle: usize) -> Result<()> {
    granules(bytes)?;
    let memory = MEMORY.get(handle)?;
    let fits = offset
        .checked_add(bytes)
        .is_some_and(|end| end <= memory.bytes);
    let ranges = lock(&RANGES);
    let (_, range) = ranges.range(..=at).next_back().ok_or(Error::InvalidValue)?;
    let mut mappings = lock(&MAPPINGS);
    let end = at.checked_add(bytes as u64).ok_or(Error::InvalidValue)?;
    let before = mappings.range(..end).next_back();
    let is_free = before.is_none_or(|(first, mapping)| first + mapping.bytes as u64 <= at);
    if !fits
        || !is_free
        || !at.is_multiple_of(GRANULARITY as u64)
        || !offset.is_multiple_of(GRANULARITY)
    {
        return Err(Error::InvalidValue);
    }
    range
        .map(at, bytes, &memory.file, offset)
        .map_err(|_| Error::InvalidValue)?;
    mappings.insert(
        at,
        Mapping {
            bytes,
            handle,
            memory,
            access: Vec::new(),
        },
    );
    Ok(())
}

/// Every mapping that begins in a range has to end in it, and together they fill it.
fn covered(mappings: &BTreeMap<u64, Mapping>, at: u64, bytes: usize) -> Result<Vec<u64>> {
    let end = at.checked_add(bytes as u64).ok_or(Error::InvalidValue)?;
    let inside = mappings.range(at..end);
    let total: usize = inside.clone().map(|(_, mapping)| mapping.bytes).sum();
    match total == bytes && bytes > 0 {
        true => Ok(inside.map(|(first, _)| *first).collect()),
        false => Err(Error::InvalidValue),
    }
}

fn unmap(at: u64, bytes: usize) -> Result<()> {
    let ranges = lock(&RANGES);
    let mut mappings = lock(&MAPPINGS);
    let Ok(covered) = covered(&mappings, at, bytes) else {
        return refused(Mistake::Free, at, bytes);
    };
    for first in covered {
        if let Some(mapping) = mappings.remove(&first) {
            for index in &mapping.access {
                lock(&devices()?[*index].arena).unregister(first);
            }
            if let Some((_, range)) = ranges.range(..=first).next_back() {
                range
                    .unmap(first, mapping.bytes)
                    .map_err(|_| Error::OperatingSystem)?;
            }
        }
    }
    Ok(())
}

fn set_access(at: u64, bytes: usize, access: &Access) -> Result<()> {
    if access.place_kind != 1 {
        return Err(Error::InvalidValue);
    }
    let index = access.place as usize;
    let device = device(access.place)?;
    let mut mappings = lock(&MAPPINGS);
    for first in covered(&mappings, at, bytes)? {
        if let Some(mapping) = mappings.get_mut(&first) {
            mapping.access.retain(|known| *known != index);
            lock(&device.arena).unregister(first);
            if access.flags != 0 {
                mapping.access.push(index);
                lock(&device.arena).register(first, mapping.bytes as u64);
            }
        }
    }
    Ok(())
}

super::api! {
    /// Addresses with nothing behind them.
    fn cuMemAddressReserve(to: *mut u64, bytes: usize, align: usize, _wish: u64, flags: u64) {
        granules(bytes)?;
        if flags != 0 || align != 0 && !align.is_power_of_two() || to.is_null() {
            return Err(Error::InvalidValue);
        }
        let range = Reserved::new(bytes, align.max(GRANULARITY)).map_err(|_| Error::OutOfMemory)?;
        let first = range.first();
        lock(&RANGES).insert(first, range);
        put(to, first)
    }
    /// Gives them back.
    fn cuMemAddressFree(at: u64, bytes: usize) {
        let mut ranges = lock(&RANGES);
        let end = at.checked_add(bytes as u64).ok_or(Error::InvalidValue)?;
        let is_used = lock(&MAPPINGS).range(at..end).next().is_some();
        let is_whole = ranges.get(&at).is_some_and(|range| range.bytes() == bytes);
        if !is_whole || is_used {
            return Err(Error::InvalidValue);
        }
        ranges.remove(&at);
        Ok(())
    }
    /// Memory without an address.
    fn cuMemCreate(to: *mut usize, bytes: usize, props: *const AllocationProps, _flags: u64) {
        if to.is_null() {
            return Err(Error::InvalidValue);
        }
        put(to, create(bytes, props.as_ref().ok_or(Error::InvalidValue)?)?)
    }
    /// Lets it go; what is mapped stays until it is unmapped.
    fn cuMemRelease(handle: usize) {
        let mut held = lock(&HELD);
        let count = held.get_mut(&handle).ok_or(Error::InvalidValue)?;
        *count -= 1;
        if *count == 0 {
            held.remove(&handle);
            MEMORY.remove(handle)?;
        }
        Ok(())
    }
    /// Puts memory behind addresses.
    fn cuMemMap(at: u64, bytes: usize, offset: usize, handle: usize, _flags: u64) {
        map(at, bytes, offset, handle)
    }
    /// Takes it away.
    fn cuMemUnmap(at: u64, bytes: usize) { unmap(at, bytes) }
    /// Lets devices touch it.
    fn cuMemSetAccess(at: u64, bytes: usize, access: *const Access, count: usize) {
        if access.is_null() {
            return Err(Error::InvalidValue);
        }
        (0..count).try_for_each(|index| set_access(at, bytes, &*access.add(index)))
    }
    /// How a device may touch it: 0, or 3 for reading and writing.
    fn cuMemGetAccess(flags: *mut u64, place: *const [c_int; 2], at: u64) {
        let [_, ordinal] = *place.as_ref().ok_or(Error::InvalidValue)?;
        device(ordinal)?;
        let first = find(at).ok_or(Error::InvalidValue)?.0;
        let known = lock(&MAPPINGS).get(&first).is_some_and(|m| m.access.contains(&(ordinal as usize)));
        put(flags, if known { 3 } else { 0 })
    }
    /// Sizes are multiples of 2 MiB.
    fn cuMemGetAllocationGranularity(to: *mut usize, props: *const AllocationProps, _option: c_uint) {
        props.as_ref().ok_or(Error::InvalidValue)?;
        put(to, GRANULARITY)
    }
    /// What memory was made with.
    fn cuMemGetAllocationPropertiesFromHandle(to: *mut AllocationProps, handle: usize) {
        put(to, MEMORY.get(handle)?.props)
    }
    /// The memory behind an address, held once more.
    fn cuMemRetainAllocationHandle(to: *mut usize, at: *const c_void) {
        current()?;
        let first = find(at as u64).ok_or(Error::InvalidValue)?.0;
        let handle = lock(&MAPPINGS).get(&first).map(|m| m.handle).ok_or(Error::InvalidValue)?;
        let mut held = lock(&HELD);
        *held.get_mut(&handle).ok_or(Error::InvalidValue)? += 1;
        put(to, handle)
    }
}
