//! `cudaDevice…` and the device of a thread.

use crate::context;
use crate::error::{Error, Result, Said, put};
use cudarc::driver::sys::{self, CUdevice_attribute};
use std::ffi::{c_char, c_int, c_uint};

/// What the driver says of a device. The runtime's attributes have the driver's numbers.
///
/// # Errors
/// Where there is no such device or attribute.
pub fn attribute(attribute: CUdevice_attribute, device: c_int) -> Result<c_int> {
    let mut value = 0;
    // SAFETY: valid for writing.
    unsafe { sys::cuDeviceGetAttribute(&mut value, attribute, device).ok()? };
    Ok(value)
}

type GetAttribute = unsafe extern "C" fn(*mut c_int, c_uint, c_int) -> c_uint;
type Limit = unsafe extern "C" fn(*mut usize, c_uint) -> c_uint;
type SetLimit = unsafe extern "C" fn(c_uint, usize) -> c_uint;

/// A function of the driver by its name, for arguments whose numbers only the driver may judge.
///
/// # Safety
/// `F` is the function's type.
pub unsafe fn by_name<F: Copy>(name: &[u8]) -> Result<F> {
    context::driver()?;
    // SAFETY: the caller's promise.
    let function = unsafe { sys::culib().get::<F>(name) };
    function.map(|f| *f).map_err(|_| Error::NOT_SUPPORTED)
}

/// As [`Said::ok`] for calls by name.
///
/// # Errors
/// What the call said, unless it is success.
pub fn said(code: c_uint) -> Result {
    match code {
        0 => Ok(()),
        code => Err(Error(code)),
    }
}

entry_points! {
    /// Number of devices.
    fn cudaGetDeviceCount(count: *mut c_int) {
        put(count, context::count()?)
    }

    /// Makes a device the calling thread's.
    fn cudaSetDevice(device: c_int) {
        context::set(device)
    }

    /// The calling thread's device.
    fn cudaGetDevice(device: *mut c_int) {
        put(device, context::device()?)
    }

    /// One number of what a device is.
    fn cudaDeviceGetAttribute(value: *mut c_int, attribute: c_uint, device: c_int) {
        context::checked(device)?;
        said(by_name::<GetAttribute>(b"cuDeviceGetAttribute\0")?(value, attribute, device))
    }

    /// Waits for everything on the thread's device.
    fn cudaDeviceSynchronize() {
        context::current()?;
        sys::cuCtxSynchronize().ok()
    }

    /// The same under its old name.
    fn cudaThreadSynchronize() {
        said(cudaDeviceSynchronize())
    }

    /// Ends everything on the thread's device.
    fn cudaDeviceReset() {
        context::reset()
    }

    /// A limit such as the heap's size.
    fn cudaDeviceGetLimit(value: *mut usize, limit: c_uint) {
        context::current()?;
        said(by_name::<Limit>(b"cuCtxGetLimit\0")?(value, limit))
    }

    /// Sets a limit.
    fn cudaDeviceSetLimit(limit: c_uint, value: usize) {
        context::current()?;
        said(by_name::<SetLimit>(b"cuCtxSetLimit\0")?(limit, value))
    }

    /// How a device is called on its bus.
    fn cudaDeviceGetPCIBusId(text: *mut c_char, length: c_int, device: c_int) {
        context::checked(device)?;
        sys::cuDeviceGetPCIBusId(text, length, device).ok()
    }

    /// The device of that name.
    fn cudaDeviceGetByPCIBusId(device: *mut c_int, text: *const c_char) {
        context::driver()?;
        sys::cuDeviceGetByPCIBusId(device, text).ok()
    }

    /// Whether a device may access another's memory.
    fn cudaDeviceCanAccessPeer(can: *mut c_int, device: c_int, peer: c_int) {
        context::driver()?;
        sys::cuDeviceCanAccessPeer(can, context::checked(device)?, context::checked(peer)?).ok()
    }

    /// Lets the thread's device access another's memory.
    fn cudaDeviceEnablePeerAccess(peer: c_int, flags: c_uint) {
        context::current()?;
        let mut other = std::ptr::null_mut();
        sys::cuDevicePrimaryCtxRetain(&mut other, context::checked(peer)?).ok()?;
        sys::cuCtxEnablePeerAccess(other, flags).ok()
    }

    /// Takes that back.
    fn cudaDeviceDisablePeerAccess(peer: c_int) {
        context::current()?;
        let mut other = std::ptr::null_mut();
        sys::cuDevicePrimaryCtxRetain(&mut other, context::checked(peer)?).ok()?;
        sys::cuCtxDisablePeerAccess(other).ok()?;
        // Once for this call, once for the one that enabled.
        sys::cuDevicePrimaryCtxRelease_v2(peer).ok()?;
        sys::cuDevicePrimaryCtxRelease_v2(peer).ok()
    }

    /// The priorities that streams may have, the lowest first.
    fn cudaDeviceGetStreamPriorityRange(least: *mut c_int, greatest: *mut c_int) {
        context::current()?;
        sys::cuCtxGetStreamPriorityRange(least, greatest).ok()
    }

    /// How the host waits: every way is the same to a program.
    fn cudaSetDeviceFlags(_flags: c_uint) {
        context::driver()
    }

    /// How the host waits.
    fn cudaGetDeviceFlags(flags: *mut c_uint) {
        context::current()?;
        sys::cuCtxGetFlags(flags).ok()
    }

    /// The division of the L1 cache: a wish, of which nothing depends.
    fn cudaDeviceSetCacheConfig(_config: c_uint) {
        context::driver()
    }

    /// The division of the L1 cache: none is preferred.
    fn cudaDeviceGetCacheConfig(config: *mut c_uint) {
        put(config, 0)
    }

    /// The width of shared memory's banks: 4 bytes on every chip since Maxwell.
    fn cudaDeviceSetSharedMemConfig(_config: c_uint) {
        context::driver()
    }

    /// The version that the driver supports.
    fn cudaDriverGetVersion(version: *mut c_int) {
        if context::driver() == Err(Error::INSUFFICIENT_DRIVER) {
            return put(version, 0);
        }
        sys::cuDriverGetVersion(version).ok()
    }

    /// The version of this interface.
    fn cudaRuntimeGetVersion(version: *mut c_int) {
        put(version, crate::VERSION)
    }

    /// Begins what a profiler looks at.
    fn cudaProfilerStart() {
        context::current()?;
        sys::cuProfilerStart().ok()
    }

    /// Ends what a profiler looks at.
    fn cudaProfilerStop() {
        context::current()?;
        sys::cuProfilerStop().ok()
    }
}
