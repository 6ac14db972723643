//! Kernels and variables by the addresses that the host has of them.

use crate::copies::bytes;
use crate::error::{Error, Result, put};
use crate::registry::{function, kernel, variable};
use crate::stream::cudaStream_t;
use cudarc::driver::sys::{CUfunction, CUkernel};
use std::ffi::{c_uint, c_void};

/// The address of a part of a variable.
fn part(shadow: *const c_void, offset: usize, count: usize) -> Result<*mut c_void> {
    let (address, size) = variable(shadow)?;
    match offset.checked_add(count) {
        Some(end) if end <= size => Ok((address + offset as u64) as *mut c_void),
        _ => Err(Error::INVALID_VALUE),
    }
}

entry_points! {
    /// The driver's function of a stub.
    fn cudaGetFuncBySymbol(found: *mut CUfunction, stub: *const c_void) {
        put(found, function(stub)?)
    }

    /// The driver's kernel of a stub.
    fn cudaGetKernel(found: *mut CUkernel, stub: *const c_void) {
        put(found, kernel(stub)?)
    }

    /// The same, as the stubs of later compilers call it.
    fn __cudaGetKernel(found: *mut CUkernel, stub: *const c_void) {
        put(found, kernel(stub)?)
    }

    /// Where a variable lies.
    fn cudaGetSymbolAddress(to: *mut *mut c_void, shadow: *const c_void) {
        put(to, variable(shadow)?.0 as *mut c_void)
    }

    /// How many bytes a variable has.
    fn cudaGetSymbolSize(size: *mut usize, shadow: *const c_void) {
        put(size, variable(shadow)?.1)
    }

    /// Copies into a variable.
    fn cudaMemcpyToSymbol(shadow: *const c_void, from: *const c_void, count: usize, offset: usize, kind: c_uint) {
        bytes(part(shadow, offset, count)?, from, count, kind, None)
    }

    /// Copies into a variable in the order of a stream.
    fn cudaMemcpyToSymbolAsync(shadow: *const c_void, from: *const c_void, count: usize, offset: usize, kind: c_uint, stream: cudaStream_t) {
        bytes(part(shadow, offset, count)?, from, count, kind, Some(stream))
    }

    /// Copies out of a variable.
    fn cudaMemcpyFromSymbol(to: *mut c_void, shadow: *const c_void, count: usize, offset: usize, kind: c_uint) {
        bytes(to, part(shadow, offset, count)?, count, kind, None)
    }

    /// Copies out of a variable in the order of a stream.
    fn cudaMemcpyFromSymbolAsync(to: *mut c_void, shadow: *const c_void, count: usize, offset: usize, kind: c_uint, stream: cudaStream_t) {
        bytes(to, part(shadow, offset, count)?, count, kind, Some(stream))
    }
}
