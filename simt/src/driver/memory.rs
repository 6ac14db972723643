//! `cuMem…`: allocation, copies and fills.

use super::state::{Device, current, lock};
use super::stream;
use super::{Error, Result, put};
use crate::watch::{Event, Mistake, TransferKind, tell, transfer};
use std::ffi::{c_int, c_uchar, c_uint, c_ushort, c_void};

fn device() -> Result<&'static Device> {
    current()?.device()
}

fn allocate(bytes: usize) -> Result<u64> {
    if bytes == 0 {
        return Err(Error::InvalidValue);
    }
    Ok(lock(&device()?.arena).allocate(bytes as u64)?)
}

fn free(at: u64) -> Result<()> {
    if at == 0 || lock(&device()?.arena).free(at) {
        Ok(())
    } else {
        refused(Mistake::Free, at, 0)
    }
}

/// Refuses a call for what it asks of memory.
fn refused(mistake: Mistake, address: u64, bytes: usize) -> Result<()> {
    tell(&Event::Refused {
        mistake,
        address,
        bytes: bytes as u64,
    });
    Err(Error::InvalidValue)
}

/// Checks that `bytes` from a device address on are in one allocation of some device.
fn check(at: u64, bytes: usize) -> Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    for device in super::state::devices()? {
        if let Some((first, length)) = lock(&device.arena).find(at) {
            let inside = at
                .checked_add(bytes as u64)
                .is_some_and(|end| end <= first + length);
            return if inside {
                Ok(())
            } else {
                refused(Mistake::Transfer, at, bytes)
            };
        }
    }
    refused(Mistake::Transfer, at, bytes)
}

/// Copies between addresses that have been checked, or are the caller's own.
unsafe fn copy(kind: TransferKind, to: u64, from: u64, bytes: usize) -> Result<()> {
    if bytes > 0 && (to == 0 || from == 0) {
        return Err(Error::InvalidValue);
    }
    transfer(kind, to, from, bytes, || {
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy(from as *const u8, to as *mut u8, bytes) };
    });
    Ok(())
}

unsafe fn to_device(to: u64, from: *const c_void, bytes: usize) -> Result<()> {
    current()?;
    check(to, bytes)?;
    // SAFETY: checked, and the host's part is the caller's.
    unsafe { copy(TransferKind::ToDevice, to, from as u64, bytes) }
}

unsafe fn to_host(to: *mut c_void, from: u64, bytes: usize) -> Result<()> {
    current()?;
    check(from, bytes)?;
    // SAFETY: as above.
    unsafe { copy(TransferKind::ToHost, to as u64, from, bytes) }
}

unsafe fn on_device(to: u64, from: u64, bytes: usize) -> Result<()> {
    current()?;
    check(to, bytes)?;
    check(from, bytes)?;
    // SAFETY: as above.
    unsafe { copy(TransferKind::OnDevice, to, from, bytes) }
}

/// With unified addressing any pointer may be on either side.
unsafe fn anywhere(to: u64, from: u64, bytes: usize) -> Result<()> {
    current()?;
    for at in [to, from] {
        let ours = super::state::devices()?
            .iter()
            .any(|d| lock(&d.arena).is_inside(at));
        if ours {
            check(at, bytes)?;
        }
    }
    // SAFETY: what is not ours is the caller's.
    unsafe { copy(TransferKind::Anywhere, to, from, bytes) }
}

unsafe fn fill<T: Copy>(
    to: u64,
    pitch: usize,
    value: T,
    width: usize,
    height: usize,
) -> Result<()> {
    current()?;
    if !(to as usize).is_multiple_of(size_of::<T>()) {
        return Err(Error::InvalidValue);
    }
    for row in 0..height {
        let first = to + (row * pitch) as u64;
        let bytes = width * size_of::<T>();
        check(first, bytes)?;
        transfer(TransferKind::Fill, first, 0, bytes, || {
            // SAFETY: checked, and aligned.
            unsafe { std::slice::from_raw_parts_mut(first as *mut T, width) }.fill(value);
        });
    }
    Ok(())
}

super::api! {
    /// Memory of the current device, at a multiple of 256 bytes.
    fn cuMemAlloc_v2(to: *mut u64, bytes: usize) { put(to, allocate(bytes)?) }
    /// As `cuMemAlloc_v2`.
    fn cuMemAllocAsync(to: *mut u64, bytes: usize, stream: usize) {
        stream::check(stream)?;
        put(to, allocate(bytes)?)
    }
    /// Memory of host and device alike.
    fn cuMemAllocManaged(to: *mut u64, bytes: usize, _flags: c_uint) { put(to, allocate(bytes)?) }
    /// Rows that begin at multiples of 512 bytes.
    fn cuMemAllocPitch_v2(to: *mut u64, pitch: *mut usize, width: usize, height: usize, _element: c_uint) {
        let row = width.next_multiple_of(512);
        put(to, allocate(row.checked_mul(height).ok_or(Error::OutOfMemory)?)?)?;
        put(pitch, row)
    }
    /// Gives memory back.
    fn cuMemFree_v2(at: u64) { free(at) }
    /// As `cuMemFree_v2`.
    fn cuMemFreeAsync(at: u64, stream: usize) {
        stream::check(stream)?;
        free(at)
    }
    /// Host memory that kernels may touch.
    fn cuMemHostAlloc(to: *mut u64, bytes: usize, _flags: c_uint) { put(to, allocate(bytes)?) }
    /// As `cuMemHostAlloc`.
    fn cuMemAllocHost_v2(to: *mut u64, bytes: usize) { put(to, allocate(bytes)?) }
    /// Gives it back.
    fn cuMemFreeHost(at: u64) { free(at) }
    /// Its address for kernels: the same.
    fn cuMemHostGetDevicePointer_v2(to: *mut u64, at: u64, _flags: c_uint) {
        check(at, 1)?;
        put(to, at)
    }
    /// None are kept.
    fn cuMemHostGetFlags(flags: *mut c_uint, at: u64) {
        check(at, 1)?;
        put(flags, 0)
    }
    /// Lets kernels touch memory of the caller.
    fn cuMemHostRegister_v2(at: u64, bytes: usize, _flags: c_uint) {
        if at == 0 || bytes == 0 {
            return Err(Error::InvalidValue);
        }
        let mut arena = lock(&device()?.arena);
        if arena.find(at).is_some() {
            return Err(Error::HostMemoryAlreadyRegistered);
        }
        arena.register(at, bytes as u64);
        Ok(())
    }
    /// Takes that back.
    fn cuMemHostUnregister(at: u64) {
        let known = lock(&device()?.arena).unregister(at);
        if known { Ok(()) } else { Err(Error::HostMemoryNotRegistered) }
    }
    /// Free and total bytes.
    fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) {
        let arena = lock(&device()?.arena);
        put(free, arena.available() as usize)?;
        put(total, arena.total() as usize)
    }
    /// The allocation that an address is in.
    fn cuMemGetAddressRange_v2(first: *mut u64, bytes: *mut usize, at: u64) {
        let (start, length) = lock(&device()?.arena).find(at).ok_or(Error::InvalidValue)?;
        if !first.is_null() {
            put(first, start)?;
        }
        if bytes.is_null() { Ok(()) } else { put(bytes, length as usize) }
    }
    /// Host to device.
    fn cuMemcpyHtoD_v2(to: u64, from: *const c_void, bytes: usize) { to_device(to, from, bytes) }
    /// Host to device.
    fn cuMemcpyHtoDAsync_v2(to: u64, from: *const c_void, bytes: usize, stream: usize) {
        stream::check(stream)?;
        to_device(to, from, bytes)
    }
    /// Device to host.
    fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, bytes: usize) { to_host(to, from, bytes) }
    /// Device to host.
    fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: u64, bytes: usize, stream: usize) {
        stream::check(stream)?;
        to_host(to, from, bytes)
    }
    /// Device to device.
    fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) { on_device(to, from, bytes) }
    /// Device to device.
    fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: usize) {
        stream::check(stream)?;
        on_device(to, from, bytes)
    }
    /// Between any two places.
    fn cuMemcpy(to: u64, from: u64, bytes: usize) { anywhere(to, from, bytes) }
    /// Between any two places.
    fn cuMemcpyAsync(to: u64, from: u64, bytes: usize, stream: usize) {
        stream::check(stream)?;
        anywhere(to, from, bytes)
    }
    /// Between devices.
    fn cuMemcpyPeer(to: u64, _to_context: usize, from: u64, _from_context: usize, bytes: usize) {
        on_device(to, from, bytes)
    }
    /// Between devices.
    fn cuMemcpyPeerAsync(
        to: u64,
        _to_context: usize,
        from: u64,
        _from_context: usize,
        bytes: usize,
        stream: usize,
    ) {
        stream::check(stream)?;
        on_device(to, from, bytes)
    }
    /// Fills with bytes.
    fn cuMemsetD8_v2(to: u64, value: c_uchar, count: usize) { fill(to, 0, value, count, 1) }
    /// Fills with words of 16 bits.
    fn cuMemsetD16_v2(to: u64, value: c_ushort, count: usize) { fill(to, 0, value, count, 1) }
    /// Fills with words of 32 bits.
    fn cuMemsetD32_v2(to: u64, value: c_uint, count: usize) { fill(to, 0, value, count, 1) }
    /// Fills with bytes.
    fn cuMemsetD8Async(to: u64, value: c_uchar, count: usize, stream: usize) {
        stream::check(stream)?;
        fill(to, 0, value, count, 1)
    }
    /// Fills with words of 16 bits.
    fn cuMemsetD16Async(to: u64, value: c_ushort, count: usize, stream: usize) {
        stream::check(stream)?;
        fill(to, 0, value, count, 1)
    }
    /// Fills with words of 32 bits.
    fn cuMemsetD32Async(to: u64, value: c_uint, count: usize, stream: usize) {
        stream::check(stream)?;
        fill(to, 0, value, count, 1)
    }
    /// Fills rows with bytes.
    fn cuMemsetD2D8_v2(to: u64, pitch: usize, value: c_uchar, width: usize, height: usize) {
        fill(to, pitch, value, width, height)
    }
    /// Fills rows with words of 16 bits.
    fn cuMemsetD2D16_v2(to: u64, pitch: usize, value: c_ushort, width: usize, height: usize) {
        fill(to, pitch, value, width, height)
    }
    /// Fills rows with words of 32 bits.
    fn cuMemsetD2D32_v2(to: u64, pitch: usize, value: c_uint, width: usize, height: usize) {
        fill(to, pitch, value, width, height)
    }
    /// All memory is the host's: nothing moves.
    fn cuMemPrefetchAsync(at: u64, bytes: usize, _device: c_int, stream: usize) {
        stream::check(stream)?;
        check(at, bytes)
    }
    /// Advice changes nothing.
    fn cuMemAdvise(at: u64, bytes: usize, _advice: c_uint, _device: c_int) { check(at, bytes) }
}
