//! Memory: device, host, managed, and what a pointer is.

use crate::context;
use crate::error::{Result, Said, put};
use crate::stream::cudaStream_t;
use cudarc::driver::sys::{self, CUdeviceptr, CUpointer_attribute as P};
use std::ffi::{c_int, c_uint, c_void};
use std::ptr::null_mut;

/// What a pointer is (driver_types.h).
#[repr(C)]
#[allow(missing_docs)]
pub struct cudaPointerAttributes {
    pub kind: c_uint,
    pub device: c_int,
    pub devicePointer: *mut c_void,
    pub hostPointer: *mut c_void,
}

/// A pointer that CUDA does not know.
const UNREGISTERED: c_uint = 0;
const DEVICE: c_uint = 2;
const MANAGED: c_uint = 3;
/// The device of a pointer that has none.
const NO_DEVICE: c_int = -2;

/// One fact of a pointer; none where the driver does not know the pointer.
///
/// # Safety
/// `T` is what the attribute writes.
unsafe fn fact<T>(attribute: P, pointer: CUdeviceptr, mut value: T) -> Option<T> {
    // SAFETY: the caller's promise.
    let code = unsafe { sys::cuPointerGetAttribute((&raw mut value).cast(), attribute, pointer) };
    code.ok().ok().map(|()| value)
}

fn attributes(pointer: *const c_void) -> cudaPointerAttributes {
    let at = pointer as CUdeviceptr;
    // SAFETY: the memory type and the ordinal are 32-bit numbers, managed a byte or a number that is zeroed
    // first, the two addresses pointers.
    unsafe {
        let kind = fact(P::CU_POINTER_ATTRIBUTE_MEMORY_TYPE, at, 0u32);
        let managed = fact(P::CU_POINTER_ATTRIBUTE_IS_MANAGED, at, 0u32);
        let device = fact(P::CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, at, 0);
        let on_device = fact(P::CU_POINTER_ATTRIBUTE_DEVICE_POINTER, at, null_mut());
        let on_host = fact(P::CU_POINTER_ATTRIBUTE_HOST_POINTER, at, null_mut());
        cudaPointerAttributes {
            kind: match (kind, managed) {
                (Some(_), Some(managed)) if managed != 0 => MANAGED,
                // The driver's numbers of host and device memory are the runtime's.
                (Some(kind), _) => kind,
                (None, _) => UNREGISTERED,
            },
            device: kind.and(device).unwrap_or(NO_DEVICE),
            devicePointer: kind.and(on_device).unwrap_or(null_mut()),
            hostPointer: match kind {
                Some(DEVICE) if managed.unwrap_or(0) == 0 => null_mut(),
                Some(_) => on_host.unwrap_or(null_mut()),
                None => pointer.cast_mut(),
            },
        }
    }
}

/// # Safety
/// `to` is null or valid for writes.
unsafe fn host_allocation(to: *mut *mut c_void, size: usize, flags: c_uint) -> Result {
    context::current()?;
    if size == 0 {
        // SAFETY: the caller's promise.
        return unsafe { put(to, null_mut()) };
    }
    // SAFETY: the caller's promise.
    unsafe { sys::cuMemHostAlloc(to, size, flags).ok() }
}

entry_points! {
    /// Memory on the thread's device.
    fn cudaMalloc(to: *mut *mut c_void, size: usize) {
        context::current()?;
        if size == 0 {
            return put(to, null_mut());
        }
        let mut address = 0;
        sys::cuMemAlloc_v2(&mut address, size).ok()?;
        put(to, address as *mut c_void)
    }

    /// Rows of `width` bytes, `height` of them, `pitch` bytes apart.
    fn cudaMallocPitch(to: *mut *mut c_void, pitch: *mut usize, width: usize, height: usize) {
        context::current()?;
        let mut address = 0;
        sys::cuMemAllocPitch_v2(&mut address, pitch, width, height, 16).ok()?;
        put(to, address as *mut c_void)
    }

    /// Memory that host and device share.
    fn cudaMallocManaged(to: *mut *mut c_void, size: usize, flags: c_uint) {
        context::current()?;
        let mut address = 0;
        sys::cuMemAllocManaged(&mut address, size, flags).ok()?;
        put(to, address as *mut c_void)
    }

    /// Frees device or managed memory.
    fn cudaFree(pointer: *mut c_void) {
        context::current()?;
        if pointer.is_null() {
            return Ok(());
        }
        sys::cuMemFree_v2(pointer as CUdeviceptr).ok()
    }

    /// Pinned memory of the host.
    fn cudaMallocHost(to: *mut *mut c_void, size: usize) {
        host_allocation(to, size, 0)
    }

    /// Pinned memory of the host.
    fn cudaHostAlloc(to: *mut *mut c_void, size: usize, flags: c_uint) {
        host_allocation(to, size, flags)
    }

    /// Frees it.
    fn cudaFreeHost(pointer: *mut c_void) {
        context::current()?;
        if pointer.is_null() {
            return Ok(());
        }
        sys::cuMemFreeHost(pointer).ok()
    }

    /// Pins memory that the program has.
    fn cudaHostRegister(pointer: *mut c_void, size: usize, flags: c_uint) {
        context::current()?;
        sys::cuMemHostRegister_v2(pointer, size, flags).ok()
    }

    /// Unpins it.
    fn cudaHostUnregister(pointer: *mut c_void) {
        context::current()?;
        sys::cuMemHostUnregister(pointer).ok()
    }

    /// Where the device sees pinned memory.
    fn cudaHostGetDevicePointer(to: *mut *mut c_void, pointer: *mut c_void, flags: c_uint) {
        context::current()?;
        let mut address = 0;
        sys::cuMemHostGetDevicePointer_v2(&mut address, pointer, flags).ok()?;
        put(to, address as *mut c_void)
    }

    /// With what flags memory was pinned.
    fn cudaHostGetFlags(flags: *mut c_uint, pointer: *mut c_void) {
        context::current()?;
        sys::cuMemHostGetFlags(flags, pointer).ok()
    }

    /// Bytes that are free and that there are on the thread's device.
    fn cudaMemGetInfo(free: *mut usize, total: *mut usize) {
        context::current()?;
        sys::cuMemGetInfo_v2(free, total).ok()
    }

    /// What a pointer is.
    fn cudaPointerGetAttributes(to: *mut cudaPointerAttributes, pointer: *const c_void) {
        context::current()?;
        put(to, attributes(pointer))
    }

    /// Says where managed memory is to be: it is in one place here.
    fn cudaMemPrefetchAsync(pointer: *const c_void, count: usize, device: c_int, stream: cudaStream_t) {
        context::current()?;
        sys::cuMemPrefetchAsync(pointer as CUdeviceptr, count, device, stream).ok()
    }

    /// Says how managed memory will be used. Of the six advices each is a driver's of the same number.
    fn cudaMemAdvise(pointer: *const c_void, count: usize, advice: c_uint, device: c_int) {
        type Advise = unsafe extern "C" fn(CUdeviceptr, usize, c_uint, c_int) -> c_uint;
        context::current()?;
        let advise = crate::device::by_name::<Advise>(b"cuMemAdvise\0")?;
        crate::device::said(advise(pointer as CUdeviceptr, count, advice, device))
    }
}
