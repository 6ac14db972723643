//! `cudaMemcpy…` and `cudaMemset…` of bytes and of rows.

use crate::context;
use crate::error::{Error, Result, Said};
use crate::stream::cudaStream_t;
use cudarc::driver::sys::{self, CUDA_MEMCPY2D, CUdeviceptr, CUmemorytype};
use std::ffi::{c_int, c_uint, c_void};
use std::ptr::null_mut;

/// Which way a copy goes (`cudaMemcpyKind`): the memory types of its source and of its target.
///
/// # Errors
/// Where there is no such way.
pub fn ways(kind: c_uint) -> Result<(CUmemorytype, CUmemorytype)> {
    use CUmemorytype::{CU_MEMORYTYPE_DEVICE as DEVICE, CU_MEMORYTYPE_HOST as HOST};
    Ok(match kind {
        0 => (HOST, HOST),
        1 => (HOST, DEVICE),
        2 => (DEVICE, HOST),
        3 => (DEVICE, DEVICE),
        // As the addresses say.
        4 => (
            CUmemorytype::CU_MEMORYTYPE_UNIFIED,
            CUmemorytype::CU_MEMORYTYPE_UNIFIED,
        ),
        _ => return Err(Error::INVALID_COPY_DIRECTION),
    })
}

/// `count` bytes. Where the stream is none the call returns when they are there.
///
/// # Safety
/// Both addresses are valid for `count` bytes of the kind's memory.
pub unsafe fn bytes(
    to: *mut c_void,
    from: *const c_void,
    count: usize,
    kind: c_uint,
    stream: Option<cudaStream_t>,
) -> Result {
    context::current()?;
    ways(kind)?;
    let (to, from) = (to as CUdeviceptr, from as CUdeviceptr);
    // SAFETY: the caller's promise. Addresses are unified, so that every way is one call but for those of
    // which the driver may not know the host's side.
    unsafe {
        match (kind, stream) {
            _ if count == 0 => Ok(()),
            (1, None) => sys::cuMemcpyHtoD_v2(to, from as *const c_void, count).ok(),
            (1, Some(stream)) => {
                sys::cuMemcpyHtoDAsync_v2(to, from as *const c_void, count, stream).ok()
            }
            (2, None) => sys::cuMemcpyDtoH_v2(to as *mut c_void, from, count).ok(),
            (2, Some(stream)) => {
                sys::cuMemcpyDtoHAsync_v2(to as *mut c_void, from, count, stream).ok()
            }
            (3, None) => sys::cuMemcpyDtoD_v2(to, from, count).ok(),
            (3, Some(stream)) => sys::cuMemcpyDtoDAsync_v2(to, from, count, stream).ok(),
            (_, None) => sys::cuMemcpy(to, from, count).ok(),
            (_, Some(stream)) => sys::cuMemcpyAsync(to, from, count, stream).ok(),
        }
    }
}

/// Rows of `width` bytes.
struct Rows {
    to: *mut c_void,
    to_pitch: usize,
    from: *const c_void,
    from_pitch: usize,
    width: usize,
    height: usize,
    kind: c_uint,
}

impl Rows {
    /// # Safety
    /// The rows are valid in the kind's memory.
    unsafe fn copy(&self, stream: Option<cudaStream_t>) -> Result {
        context::current()?;
        let (from, to) = ways(self.kind)?;
        if self.width == 0 || self.height == 0 {
            return Ok(());
        }
        let copy = CUDA_MEMCPY2D {
            srcXInBytes: 0,
            srcY: 0,
            srcMemoryType: from,
            srcHost: self.from,
            srcDevice: self.from as CUdeviceptr,
            srcArray: null_mut(),
            srcPitch: self.from_pitch,
            dstXInBytes: 0,
            dstY: 0,
            dstMemoryType: to,
            dstHost: self.to,
            dstDevice: self.to as CUdeviceptr,
            dstArray: null_mut(),
            dstPitch: self.to_pitch,
            WidthInBytes: self.width,
            Height: self.height,
        };
        // SAFETY: the caller's promise.
        unsafe {
            match stream {
                None => sys::cuMemcpy2DUnaligned_v2(&copy).ok(),
                Some(stream) => sys::cuMemcpy2DAsync_v2(&copy, stream).ok(),
            }
        }
    }
}

entry_points! {
    /// Copies bytes.
    fn cudaMemcpy(to: *mut c_void, from: *const c_void, count: usize, kind: c_uint) {
        bytes(to, from, count, kind, None)
    }

    /// Copies bytes in the order of a stream.
    fn cudaMemcpyAsync(to: *mut c_void, from: *const c_void, count: usize, kind: c_uint, stream: cudaStream_t) {
        bytes(to, from, count, kind, Some(stream))
    }

    /// Copies from one device to another.
    fn cudaMemcpyPeer(to: *mut c_void, _to_device: c_int, from: *const c_void, _from_device: c_int, count: usize) {
        bytes(to, from, count, 3, None)
    }

    /// Copies from one device to another in the order of a stream.
    fn cudaMemcpyPeerAsync(to: *mut c_void, _to_device: c_int, from: *const c_void, _from_device: c_int, count: usize, stream: cudaStream_t) {
        bytes(to, from, count, 3, Some(stream))
    }

    /// Copies rows.
    fn cudaMemcpy2D(to: *mut c_void, to_pitch: usize, from: *const c_void, from_pitch: usize, width: usize, height: usize, kind: c_uint) {
        Rows { to, to_pitch, from, from_pitch, width, height, kind }.copy(None)
    }

    /// Copies rows in the order of a stream.
    fn cudaMemcpy2DAsync(to: *mut c_void, to_pitch: usize, from: *const c_void, from_pitch: usize, width: usize, height: usize, kind: c_uint, stream: cudaStream_t) {
        Rows { to, to_pitch, from, from_pitch, width, height, kind }.copy(Some(stream))
    }

    /// Sets every byte to the lowest of `value`.
    fn cudaMemset(to: *mut c_void, value: c_int, count: usize) {
        context::current()?;
        sys::cuMemsetD8_v2(to as CUdeviceptr, value as u8, count).ok()
    }

    /// Sets every byte in the order of a stream.
    fn cudaMemsetAsync(to: *mut c_void, value: c_int, count: usize, stream: cudaStream_t) {
        context::current()?;
        sys::cuMemsetD8Async(to as CUdeviceptr, value as u8, count, stream).ok()
    }

    /// Sets every byte of rows.
    fn cudaMemset2D(to: *mut c_void, pitch: usize, value: c_int, width: usize, height: usize) {
        context::current()?;
        sys::cuMemsetD2D8_v2(to as CUdeviceptr, pitch, value as u8, width, height).ok()
    }

    /// Sets every byte of rows in the order of a stream.
    fn cudaMemset2DAsync(to: *mut c_void, pitch: usize, value: c_int, width: usize, height: usize, stream: cudaStream_t) {
        context::current()?;
        sys::cuMemsetD2D8Async(to as CUdeviceptr, pitch, value as u8, width, height, stream).ok()
    }
}
