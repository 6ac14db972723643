//! Which device a thread uses, and its context.
//!
//! The runtime has no contexts of its own: a call happens in the driver's current context, and where there
//! is none the primary context of the thread's device becomes it (CUDA Runtime API, "Interactions with the
//! CUDA Driver API").

use crate::error::{Error, Result, Said};
use cudarc::driver::sys;
use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::{LazyLock, Mutex, PoisonError};

thread_local! {
    static DEVICE: Cell<c_int> = const { Cell::new(0) };
}

/// Primary contexts that the runtime holds, by device; addresses, since pointers are not `Send`.
static HELD: LazyLock<Mutex<HashMap<c_int, usize>>> = LazyLock::new(Mutex::default);

/// Whether the driver is there and what its initialisation said.
static DRIVER: LazyLock<Result> = LazyLock::new(|| {
    // SAFETY: asks the loader for a library, whose initialisers only set it up; then the driver's first call.
    unsafe {
        if !sys::is_culib_present() {
            return Err(Error::INSUFFICIENT_DRIVER);
        }
        sys::cuInit(0).ok()
    }
});

/// Sets up the driver.
///
/// # Errors
/// Where there is none, or no device.
pub fn driver() -> Result {
    *DRIVER
}

/// Sees to it that the calling thread has a current context.
///
/// # Errors
/// Where the device or its context cannot be had.
pub fn current() -> Result {
    match driver_context()? {
        Some(_) => Ok(()),
        None => bind(DEVICE.get()),
    }
}

fn driver_context() -> Result<Option<sys::CUcontext>> {
    driver()?;
    let mut context = std::ptr::null_mut();
    // SAFETY: valid for writing.
    unsafe { sys::cuCtxGetCurrent(&mut context).ok()? };
    Ok((!context.is_null()).then_some(context))
}

/// The device of the calling thread.
///
/// # Errors
/// Where there is no driver.
pub fn device() -> Result<c_int> {
    if driver_context()?.is_none() {
        return Ok(DEVICE.get());
    }
    let mut device = 0;
    // SAFETY: valid for writing.
    unsafe { sys::cuCtxGetDevice(&mut device).ok()? };
    Ok(device)
}

/// Number of devices.
///
/// # Errors
/// Where there is no driver.
pub fn count() -> Result<c_int> {
    driver()?;
    let mut count = 0;
    // SAFETY: valid for writing.
    unsafe { sys::cuDeviceGetCount(&mut count).ok()? };
    Ok(count)
}

/// Checks the number of a device.
///
/// # Errors
/// Where there is no such device.
pub fn checked(device: c_int) -> Result<c_int> {
    match (0..count()?).contains(&device) {
        true => Ok(device),
        false => Err(Error::INVALID_DEVICE),
    }
}

/// Makes a device the calling thread's.
///
/// # Errors
/// Where there is no such device, or its context cannot be had.
pub fn set(device: c_int) -> Result {
    bind(checked(device)?)?;
    DEVICE.set(device);
    Ok(())
}

fn bind(device: c_int) -> Result {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let context = match held.get(&device) {
        Some(&context) => context as sys::CUcontext,
        None => {
            let mut context = std::ptr::null_mut();
            // SAFETY: valid for writing.
            unsafe { sys::cuDevicePrimaryCtxRetain(&mut context, device).ok()? };
            held.insert(device, context as usize);
            context
        }
    };
    // SAFETY: a context that is held.
    unsafe { sys::cuCtxSetCurrent(context).ok() }
}

/// Ends the primary context of the thread's device, with all that is in it. The next call makes a new one.
///
/// # Errors
/// What the driver says.
pub fn reset() -> Result {
    let device = device()?;
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if held.remove(&device).is_some() {
        // SAFETY: no handle of the context is used by this library afterwards.
        unsafe { sys::cuDevicePrimaryCtxReset_v2(device).ok()? };
    }
    // SAFETY: none is a valid current context.
    unsafe { sys::cuCtxSetCurrent(std::ptr::null_mut()).ok() }
}
