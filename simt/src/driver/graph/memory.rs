//! Memory that a graph takes: its address is known when the node is made, and is the node's until the
//! last graph with it is gone.

use crate::driver::state::{Device, current, device, lock};
use crate::driver::{Error, Result, put};
use std::collections::HashMap;
use std::ffi::{c_int, c_uint};
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock, Mutex, Weak};

/// `CUDA_MEM_ALLOC_NODE_PARAMS`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct AllocParams {
    /// `CUmemPoolProps`: kind, handle types, location's kind, location.
    pool: [c_uint; 4],
    _pool_rest: [u64; 9],
    access: *const u8,
    access_count: usize,
    bytes: usize,
    address: u64,
}

/// Memory of a node.
pub struct Reservation {
    address: u64,
    bytes: usize,
    ordinal: usize,
    device: &'static Device,
    epoch: usize,
}

static RESERVED: LazyLock<Mutex<HashMap<u64, Weak<Reservation>>>> = LazyLock::new(Mutex::default);

impl Reservation {
    /// Takes memory of the current device.
    pub fn new(bytes: usize) -> Result<Arc<Reservation>> {
        let context = current()?;
        Reservation::on(context.device, bytes)
    }

    fn on(ordinal: usize, bytes: usize) -> Result<Arc<Reservation>> {
        if bytes == 0 {
            return Err(Error::InvalidValue);
        }
        let device = device(ordinal as i32)?;
        let address = lock(&device.arena).allocate(bytes as u64)?;
        let reservation = Arc::new(Reservation {
            address,
            bytes,
            ordinal,
            device,
            epoch: device.epoch.load(Ordering::Relaxed),
        });
        lock(&RESERVED).insert(address, Arc::downgrade(&reservation));
        Ok(reservation)
    }

    /// Takes what a node's parameters ask for, and tells them the address.
    ///
    /// # Safety
    /// The pointer is null or valid.
    pub unsafe fn of(params: *mut AllocParams) -> Result<Arc<Reservation>> {
        // SAFETY: the caller's promise.
        let params = unsafe { params.as_mut() }.ok_or(Error::InvalidValue)?;
        let reservation = Reservation::on(params.pool[3] as usize, params.bytes)?;
        params.address = reservation.address;
        Ok(reservation)
    }

    /// Where it is.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Its parameters.
    ///
    /// # Safety
    /// The pointer is null or valid.
    pub unsafe fn show(&self, params: *mut AllocParams) -> Result<()> {
        let shown = AllocParams {
            // Pinned memory of a device.
            pool: [1, 0, 1, self.ordinal as c_uint],
            _pool_rest: [0; 9],
            access: std::ptr::null(),
            access_count: 0,
            bytes: self.bytes,
            address: self.address,
        };
        // SAFETY: the caller's promise.
        unsafe { put(params, shown) }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        lock(&RESERVED).remove(&self.address);
        if self.device.epoch.load(Ordering::Relaxed) == self.epoch {
            lock(&self.device.arena).free(self.address);
        }
    }
}

/// Whether an address is the first of a graph's memory.
pub fn is_reserved(address: u64) -> bool {
    lock(&RESERVED)
        .get(&address)
        .is_some_and(|known| known.strong_count() > 0)
}

crate::driver::api! {
    /// Memory that graphs have taken, and that is kept for them: the same.
    fn cuDeviceGetGraphMemAttribute(ordinal: c_int, attribute: c_uint, value: *mut u64) {
        device(ordinal)?;
        if attribute > 3 {
            return Err(Error::InvalidValue);
        }
        let known = lock(&RESERVED);
        let ours = known.values().filter_map(Weak::upgrade).filter(|r| r.ordinal == ordinal as usize);
        let bytes: Vec<usize> = ours.map(|r| r.bytes).collect();
        drop(known);
        put(value, bytes.iter().sum::<usize>() as u64)
    }
    /// The most there was is not kept.
    fn cuDeviceSetGraphMemAttribute(ordinal: c_int, attribute: c_uint, _value: *mut u64) {
        device(ordinal)?;
        if attribute == 1 || attribute == 3 { Ok(()) } else { Err(Error::InvalidValue) }
    }
    /// Nothing is kept beyond use.
    fn cuDeviceGraphMemTrim(ordinal: c_int) { device(ordinal).map(drop) }
}
