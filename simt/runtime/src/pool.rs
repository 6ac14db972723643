//! Memory in the order of a stream, and the pools it comes from. Attributes and properties of pools have the
//! driver's numbers and layout.

use crate::context;
use crate::device::{by_name, said};
use crate::error::{Said, put};
use crate::stream::cudaStream_t;
use cudarc::driver::sys::{self, CUdeviceptr, CUmemPoolProps, CUmemoryPool};
use std::ffi::{c_int, c_uint, c_void};

type Attribute = unsafe extern "C" fn(CUmemoryPool, c_uint, *mut c_void) -> c_uint;

entry_points! {
    /// Memory from the pool of the thread's device.
    fn cudaMallocAsync(to: *mut *mut c_void, size: usize, stream: cudaStream_t) {
        context::current()?;
        let mut address = 0;
        sys::cuMemAllocAsync(&mut address, size, stream).ok()?;
        put(to, address as *mut c_void)
    }

    /// Memory from a pool.
    fn cudaMallocFromPoolAsync(to: *mut *mut c_void, size: usize, pool: CUmemoryPool, stream: cudaStream_t) {
        context::current()?;
        let mut address = 0;
        sys::cuMemAllocFromPoolAsync(&mut address, size, pool, stream).ok()?;
        put(to, address as *mut c_void)
    }

    /// Gives memory back to its pool.
    fn cudaFreeAsync(pointer: *mut c_void, stream: cudaStream_t) {
        context::current()?;
        sys::cuMemFreeAsync(pointer as CUdeviceptr, stream).ok()
    }

    /// A pool.
    fn cudaMemPoolCreate(pool: *mut CUmemoryPool, properties: *const CUmemPoolProps) {
        context::driver()?;
        sys::cuMemPoolCreate(pool, properties).ok()
    }

    /// Ends a pool.
    fn cudaMemPoolDestroy(pool: CUmemoryPool) {
        context::driver()?;
        sys::cuMemPoolDestroy(pool).ok()
    }

    /// Lets a pool keep so many bytes at most.
    fn cudaMemPoolTrimTo(pool: CUmemoryPool, keep: usize) {
        context::driver()?;
        sys::cuMemPoolTrimTo(pool, keep).ok()
    }

    /// Sets how a pool behaves.
    fn cudaMemPoolSetAttribute(pool: CUmemoryPool, attribute: c_uint, value: *mut c_void) {
        said(by_name::<Attribute>(b"cuMemPoolSetAttribute\0")?(pool, attribute, value))
    }

    /// How a pool behaves and what it holds.
    fn cudaMemPoolGetAttribute(pool: CUmemoryPool, attribute: c_uint, value: *mut c_void) {
        said(by_name::<Attribute>(b"cuMemPoolGetAttribute\0")?(pool, attribute, value))
    }

    /// The pool that a device has from the start.
    fn cudaDeviceGetDefaultMemPool(pool: *mut CUmemoryPool, device: c_int) {
        sys::cuDeviceGetDefaultMemPool(pool, context::checked(device)?).ok()
    }

    /// The pool of a device.
    fn cudaDeviceGetMemPool(pool: *mut CUmemoryPool, device: c_int) {
        sys::cuDeviceGetMemPool(pool, context::checked(device)?).ok()
    }

    /// Gives a device another pool.
    fn cudaDeviceSetMemPool(device: c_int, pool: CUmemoryPool) {
        sys::cuDeviceSetMemPool(context::checked(device)?, pool).ok()
    }
}
