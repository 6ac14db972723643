//! Addresses of the driver's entry points.

use crate::context;
use crate::device::{by_name, said};
use std::ffi::{c_char, c_int, c_uint, c_void};

type GetProcAddress =
    unsafe extern "C" fn(*const c_char, *mut *mut c_void, c_int, u64, *mut c_uint) -> c_uint;

entry_points! {
    /// An entry point as this version of CUDA has it.
    fn cudaGetDriverEntryPoint(name: *const c_char, to: *mut *mut c_void, flags: u64, status: *mut c_uint) {
        context::driver()?;
        said(by_name::<GetProcAddress>(b"cuGetProcAddress_v2\0")?(name, to, crate::VERSION, flags, status))
    }

    /// An entry point as a version of CUDA has it.
    fn cudaGetDriverEntryPointByVersion(name: *const c_char, to: *mut *mut c_void, version: c_uint, flags: u64, status: *mut c_uint) {
        context::driver()?;
        let get = by_name::<GetProcAddress>(b"cuGetProcAddress_v2\0")?;
        said(get(name, to, version.cast_signed(), flags, status))
    }
}
