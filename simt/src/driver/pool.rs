//! `cuMemPool…`: pools count what is taken from them, and keep nothing that is given back.

use super::graph::memory::Reservation;
use super::memory::{allocate, free};
use super::state::{Registry, current, device, devices, lock};
use super::work::Work;
use super::{Error, Result, capture, put, stream, unsupported};
use std::collections::HashMap;
use std::ffi::{c_int, c_uint, c_void};
use std::sync::{Arc, LazyLock, Mutex};

/// `CUmemPoolProps`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PoolProps {
    kind: c_uint,
    handle_types: c_uint,
    place_kind: c_uint,
    place: c_int,
    _security: usize,
    max_bytes: usize,
    _usage: [u64; 7],
}

/// `CUmemAccessDesc`
#[repr(C)]
pub struct Access {
    pub place_kind: c_uint,
    pub place: c_int,
    pub flags: c_uint,
}

/// A pool.
struct Pool {
    device: usize,
    max_bytes: usize,
    is_default: bool,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Reuse follows events, is opportunistic, has internal dependencies.
    reuse: [c_int; 3],
    release_threshold: u64,
    used: u64,
    used_high: u64,
    /// Devices that may touch it, as flags.
    access: HashMap<c_int, c_uint>,
}

static POOLS: Registry<Pool> = Registry::new();
/// What has been taken: the pool and the bytes.
static TAKEN: LazyLock<Mutex<HashMap<u64, (usize, usize)>>> = LazyLock::new(Mutex::default);
/// Pools of the devices: the default one and the one in use.
static OF_DEVICES: LazyLock<Mutex<HashMap<usize, (usize, usize)>>> = LazyLock::new(Mutex::default);

/// Most bytes of attributes that are integers of 32 bits.
const LAST_INT: c_uint = 3;

fn pools_of(device: usize) -> (usize, usize) {
    let make = || {
        let counts = Counts {
            reuse: [1; 3],
            ..Counts::default()
        };
        let pool = Pool {
            device,
            max_bytes: 0,
            is_default: true,
            counts: Mutex::new(counts),
        };
        let pool = POOLS.insert(pool);
        (pool, pool)
    };
    *lock(&OF_DEVICES).entry(device).or_insert_with(make)
}

/// Notes that an address has been given back.
pub fn forget(address: u64) {
    let taken = lock(&TAKEN).remove(&address);
    if let Some((pool, bytes)) = taken
        && let Ok(pool) = POOLS.get(pool)
    {
        lock(&pool.counts).used -= bytes as u64;
    }
}

fn take(bytes: usize, pool: usize, stream: usize) -> Result<u64> {
    stream::check(stream)?;
    let known = POOLS.get(pool)?;
    // In a captured stream memory is the graph's; the address holds from now on.
    if capture::look(stream, |found| found.is_some())? {
        let reservation = Reservation::new(bytes)?;
        let address = reservation.address();
        capture::add(stream, &Work::Allocate(reservation))?;
        return Ok(address);
    }
    let mut counts = lock(&known.counts);
    let after = counts
        .used
        .checked_add(bytes as u64)
        .ok_or(Error::OutOfMemory)?;
    if known.max_bytes > 0 && after > known.max_bytes as u64 {
        return Err(Error::OutOfMemory);
    }
    let address = allocate(bytes)?;
    counts.used = after;
    counts.used_high = counts.used_high.max(after);
    lock(&TAKEN).insert(address, (pool, bytes));
    Ok(address)
}

unsafe fn attribute(pool: usize, attribute: c_uint, value: *mut c_void) -> Result<()> {
    let pool = POOLS.get(pool)?;
    let counts = lock(&pool.counts);
    // SAFETY: the attribute says what the pointer is to.
    unsafe {
        match attribute {
            1..=LAST_INT => put(value.cast::<c_int>(), counts.reuse[attribute as usize - 1]),
            4 => put(value.cast::<u64>(), counts.release_threshold),
            5 | 7 => put(value.cast::<u64>(), counts.used),
            6 | 8 => put(value.cast::<u64>(), counts.used_high),
            _ => Err(Error::InvalidValue),
        }
    }
}

unsafe fn set_attribute(pool: usize, attribute: c_uint, value: *const c_void) -> Result<()> {
    if value.is_null() {
        return Err(Error::InvalidValue);
    }
    let pool = POOLS.get(pool)?;
    let mut counts = lock(&pool.counts);
    // SAFETY: as above.
    unsafe {
        match attribute {
            1..=LAST_INT => counts.reuse[attribute as usize - 1] = value.cast::<c_int>().read(),
            4 => counts.release_threshold = value.cast::<u64>().read(),
            // Only back to what is in use.
            6 | 8 if value.cast::<u64>().read() == 0 => counts.used_high = counts.used,
            _ => return Err(Error::InvalidValue),
        }
    }
    Ok(())
}

super::api! {
    /// Memory of the device's pool.
    fn cuMemAllocAsync(to: *mut u64, bytes: usize, stream: usize) {
        let pool = pools_of(current()?.device).1;
        put(to, take(bytes, pool, stream)?)
    }
    /// Memory of a pool.
    fn cuMemAllocFromPoolAsync(to: *mut u64, bytes: usize, pool: usize, stream: usize) {
        put(to, take(bytes, pool, stream)?)
    }
    /// Gives memory back.
    fn cuMemFreeAsync(at: u64, stream: usize) {
        stream::check(stream)?;
        match capture::add(stream, &Work::Free(at))? {
            true => Ok(()),
            false => free(at),
        }
    }
    /// A pool of a device.
    fn cuMemPoolCreate(to: *mut usize, props: *const PoolProps) {
        let props = props.as_ref().ok_or(Error::InvalidValue)?;
        // Pinned memory of a device, for this process.
        if props.kind != 1 || props.place_kind != 1 {
            return Err(Error::InvalidValue);
        }
        if props.handle_types != 0 {
            return unsupported::note("memory pools that processes share");
        }
        device(props.place)?;
        let counts = Mutex::new(Counts { reuse: [1; 3], ..Counts::default() });
        put(to, POOLS.insert(Pool {
            device: props.place as usize,
            max_bytes: props.max_bytes,
            is_default: false,
            counts,
        }))
    }
    /// Ends a pool; what was taken from it lives on.
    fn cuMemPoolDestroy(pool: usize) {
        let known: Arc<Pool> = POOLS.get(pool)?;
        if known.is_default {
            return Err(Error::InvalidValue);
        }
        for (default, used) in lock(&OF_DEVICES).values_mut() {
            if *used == pool {
                *used = *default;
            }
        }
        POOLS.remove(pool).map(drop)
    }
    /// An attribute.
    fn cuMemPoolGetAttribute(pool: usize, which: c_uint, value: *mut c_void) { attribute(pool, which, value) }
    /// Sets an attribute.
    fn cuMemPoolSetAttribute(pool: usize, which: c_uint, value: *const c_void) {
        set_attribute(pool, which, value)
    }
    /// Nothing is kept that could be given back.
    fn cuMemPoolTrimTo(pool: usize, _bytes: usize) { POOLS.get(pool).map(drop) }
    /// Says which devices may touch it.
    fn cuMemPoolSetAccess(pool: usize, map: *const Access, count: usize) {
        let pool = POOLS.get(pool)?;
        if map.is_null() && count > 0 {
            return Err(Error::InvalidValue);
        }
        for at in 0..count {
            let access = &*map.add(at);
            device(access.place)?;
            lock(&pool.counts).access.insert(access.place, access.flags);
        }
        Ok(())
    }
    /// How a device may touch it: 0, or 3 for reading and writing.
    fn cuMemPoolGetAccess(flags: *mut c_uint, pool: usize, place: *const [c_int; 2]) {
        let pool = POOLS.get(pool)?;
        let [_, ordinal] = *place.as_ref().ok_or(Error::InvalidValue)?;
        device(ordinal)?;
        let default = if ordinal as usize == pool.device { 3 } else { 0 };
        put(flags, lock(&pool.counts).access.get(&ordinal).copied().unwrap_or(default))
    }
    /// The pool that a device starts with.
    fn cuDeviceGetDefaultMemPool(to: *mut usize, ordinal: c_int) {
        device(ordinal)?;
        put(to, pools_of(ordinal as usize).0)
    }
    /// The pool that `cuMemAllocAsync` takes from.
    fn cuDeviceGetMemPool(to: *mut usize, ordinal: c_int) {
        device(ordinal)?;
        put(to, pools_of(ordinal as usize).1)
    }
    /// Sets that pool.
    fn cuDeviceSetMemPool(ordinal: c_int, pool: usize) {
        device(ordinal)?;
        if POOLS.get(pool)?.device != ordinal as usize {
            return Err(Error::InvalidValue);
        }
        pools_of(ordinal as usize);
        if let Some(pools) = lock(&OF_DEVICES).get_mut(&(ordinal as usize)) {
            pools.1 = pool;
        }
        Ok(())
    }
}

/// The pool that an address was taken from.
pub fn of(address: u64) -> Option<usize> {
    devices().ok()?;
    lock(&TAKEN).get(&address).map(|(pool, _)| *pool)
}
