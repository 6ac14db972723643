//! `cuMem…`: allocation, copies and fills.

use super::copy::Copy3D;
use super::state::{Device, current, lock};
use super::work::{Fill, Work, submit};
use super::{Error, Result, graph, host_memory, pool, put, stream};
use crate::watch::{Event, Mistake, TransferKind, tell, transfer};
use std::ffi::{c_int, c_uchar, c_uint, c_ushort, c_void};

fn device() -> Result<&'static Device> {
    current()?.device()
}

/// Takes memory of the current device.
pub fn allocate(bytes: usize) -> Result<u64> {
    if bytes == 0 {
        return Err(Error::InvalidValue);
    }
    Ok(lock(&device()?.arena).allocate(bytes as u64)?)
}

/// Gives back memory of any device, or managed memory.
pub fn free(at: u64) -> Result<()> {
    current()?;
    // Memory of a graph's node stays the node's.
    if at == 0 || graph::memory::is_reserved(at) || host_memory::free_managed(at) {
        return Ok(());
    }
    pool::forget(at);
    match super::state::devices()?
        .iter()
        .any(|device| lock(&device.arena).free(at))
    {
        true => Ok(()),
        false => refused(Mistake::Free, at, 0),
    }
}

/// Refuses a call for what it asks of memory.
pub fn refused<T>(mistake: Mistake, address: u64, bytes: usize) -> Result<T> {
    tell(&Event::Refused {
        mistake,
        address,
        bytes: bytes as u64,
    });
    Err(Error::InvalidValue)
}

/// Checks that `bytes` from a device address on are in one allocation of some device.
pub fn check(at: u64, bytes: usize) -> Result<()> {
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
///
/// # Safety
/// Both hold so many bytes.
pub unsafe fn copy(kind: TransferKind, to: u64, from: u64, bytes: usize) -> Result<()> {
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
///
/// # Safety
/// What is not device memory holds so many bytes.
pub unsafe fn anywhere(to: u64, from: u64, bytes: usize) -> Result<()> {
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
    let words = size_of::<T>();
    if !(to as usize).is_multiple_of(words) || height > 1 && !pitch.is_multiple_of(words) {
        return Err(Error::InvalidValue);
    }
    if width == 0 {
        return Ok(());
    }
    for row in 0..height {
        let offset = row.checked_mul(pitch).ok_or(Error::InvalidValue)?;
        let first = to.checked_add(offset as u64).ok_or(Error::InvalidValue)?;
        let bytes = width.checked_mul(words).ok_or(Error::InvalidValue)?;
        check(first, bytes)?;
        transfer(TransferKind::Fill, first, 0, bytes, || {
            // SAFETY: checked, and aligned.
            unsafe { std::slice::from_raw_parts_mut(first as *mut T, width) }.fill(value);
        });
    }
    Ok(())
}

/// Fills as a node says.
pub fn fill_any(fill: &Fill) -> Result<()> {
    let Fill {
        to,
        pitch,
        value,
        element,
        width,
        height,
    } = *fill;
    // SAFETY: every row is checked before it is written.
    unsafe {
        match element {
            1 => self::fill(to, pitch, value as u8, width, height),
            2 => self::fill(to, pitch, value as u16, width, height),
            4 => self::fill(to, pitch, value, width, height),
            _ => Err(Error::InvalidValue),
        }
    }
}

/// A fill in the order of a stream.
fn submit_fill(
    stream: usize,
    to: u64,
    pitch: usize,
    value: u32,
    element: u32,
    extent: [usize; 2],
) -> Result<()> {
    let [width, height] = extent;
    submit(
        stream,
        Work::Fill(Fill {
            to,
            pitch,
            value,
            element,
            width,
            height,
        }),
    )
}

/// A copy that a captured stream keeps for later; `false`: it has to be done now.
fn is_kept(stream: usize, to: u64, from: u64, bytes: usize) -> Result<bool> {
    stream::check(stream)?;
    super::capture::add(stream, &Work::Copy(Copy3D::line(to, from, bytes)))
}

super::api! {
    /// Memory of the current device, at a multiple of 256 bytes.
    fn cuMemAlloc_v2(to: *mut u64, bytes: usize) { put(to, allocate(bytes)?) }
    /// Rows that begin at multiples of 512 bytes.
    fn cuMemAllocPitch_v2(to: *mut u64, pitch: *mut usize, width: usize, height: usize, _element: c_uint) {
        let row = width.checked_next_multiple_of(512).ok_or(Error::InvalidValue)?;
        put(to, allocate(row.checked_mul(height).ok_or(Error::OutOfMemory)?)?)?;
        put(pitch, row)
    }
    /// Gives memory back.
    fn cuMemFree_v2(at: u64) { free(at) }
    /// Free and total bytes.
    fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) {
        let arena = lock(&device()?.arena);
        put(free, arena.available() as usize)?;
        put(total, arena.total() as usize)
    }
    /// The allocation that an address is in.
    fn cuMemGetAddressRange_v2(first: *mut u64, bytes: *mut usize, at: u64) {
        current()?;
        let found = super::state::devices()?.iter().find_map(|d| lock(&d.arena).find(at));
        let (start, length) = found.ok_or(Error::NotFound)?;
        if !first.is_null() {
            put(first, start)?;
        }
        if bytes.is_null() { Ok(()) } else { put(bytes, length as usize) }
    }
    /// Host to device.
    fn cuMemcpyHtoD_v2(to: u64, from: *const c_void, bytes: usize) { to_device(to, from, bytes) }
    /// Host to device.
    fn cuMemcpyHtoDAsync_v2(to: u64, from: *const c_void, bytes: usize, stream: usize) {
        if is_kept(stream, to, from as u64, bytes)? {
            return Ok(());
        }
        to_device(to, from, bytes)
    }
    /// Device to host.
    fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, bytes: usize) { to_host(to, from, bytes) }
    /// Device to host.
    fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: u64, bytes: usize, stream: usize) {
        if is_kept(stream, to as u64, from, bytes)? {
            return Ok(());
        }
        to_host(to, from, bytes)
    }
    /// Device to device.
    fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) { on_device(to, from, bytes) }
    /// Device to device.
    fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: usize) {
        if is_kept(stream, to, from, bytes)? {
            return Ok(());
        }
        on_device(to, from, bytes)
    }
    /// Between any two places.
    fn cuMemcpy(to: u64, from: u64, bytes: usize) { anywhere(to, from, bytes) }
    /// Between any two places.
    fn cuMemcpyAsync(to: u64, from: u64, bytes: usize, stream: usize) {
        if is_kept(stream, to, from, bytes)? {
            return Ok(());
        }
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
        if is_kept(stream, to, from, bytes)? {
            return Ok(());
        }
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
        submit_fill(stream, to, 0, value.into(), 1, [count, 1])
    }
    /// Fills with words of 16 bits.
    fn cuMemsetD16Async(to: u64, value: c_ushort, count: usize, stream: usize) {
        submit_fill(stream, to, 0, value.into(), 2, [count, 1])
    }
    /// Fills with words of 32 bits.
    fn cuMemsetD32Async(to: u64, value: c_uint, count: usize, stream: usize) {
        submit_fill(stream, to, 0, value, 4, [count, 1])
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
    /// Fills rows with bytes.
    fn cuMemsetD2D8Async(
        to: u64, pitch: usize, value: c_uchar, width: usize, height: usize, stream: usize,
    ) {
        submit_fill(stream, to, pitch, value.into(), 1, [width, height])
    }
    /// Fills rows with words of 16 bits.
    fn cuMemsetD2D16Async(
        to: u64, pitch: usize, value: c_ushort, width: usize, height: usize, stream: usize,
    ) {
        submit_fill(stream, to, pitch, value.into(), 2, [width, height])
    }
    /// Fills rows with words of 32 bits.
    fn cuMemsetD2D32Async(
        to: u64, pitch: usize, value: c_uint, width: usize, height: usize, stream: usize,
    ) {
        submit_fill(stream, to, pitch, value, 4, [width, height])
    }
    /// All memory is the host's: nothing moves.
    fn cuMemPrefetchAsync(at: u64, bytes: usize, _device: c_int, stream: usize) {
        stream::check(stream)?;
        check(at, bytes)
    }
    /// As before; a place is a kind and a number.
    fn cuMemPrefetchAsync_v2(at: u64, bytes: usize, _place: u64, _flags: c_uint, stream: usize) {
        stream::check(stream)?;
        check(at, bytes)
    }
    /// Advice changes nothing.
    fn cuMemAdvise_v2(at: u64, bytes: usize, _advice: c_uint, _place: u64) { check(at, bytes) }
    /// Advice changes nothing.
    fn cuMemAdvise(at: u64, bytes: usize, _advice: c_uint, _device: c_int) { check(at, bytes) }
}
