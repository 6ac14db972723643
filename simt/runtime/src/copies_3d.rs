//! `cudaMemcpy3D`: boxes of bytes.

use crate::context;
use crate::copies::ways;
use crate::error::{Error, Result, Said};
use crate::stream::cudaStream_t;
use cudarc::driver::sys::{self, CUDA_MEMCPY3D, CUdeviceptr};
use std::ffi::{c_uint, c_void};
use std::ptr::null_mut;

/// Bytes, rows, layers.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct Extent {
    pub width: usize,
    pub height: usize,
    pub depth: usize,
}

/// Where a box lies: rows are `pitch` bytes apart, layers `ysize` rows.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct PitchedPtr {
    pub ptr: *mut c_void,
    pub pitch: usize,
    pub xsize: usize,
    pub ysize: usize,
}

/// The arguments of a copy (driver_types.h, `cudaMemcpy3DParms`).
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct cudaMemcpy3DParms {
    pub srcArray: *mut c_void,
    pub srcPos: Extent,
    pub srcPtr: PitchedPtr,
    pub dstArray: *mut c_void,
    pub dstPos: Extent,
    pub dstPtr: PitchedPtr,
    pub extent: Extent,
    pub kind: c_uint,
}

/// # Safety
/// `arguments` is null or valid, and so are the boxes that it names.
unsafe fn copy(arguments: *const cudaMemcpy3DParms, stream: Option<cudaStream_t>) -> Result {
    context::current()?;
    // SAFETY: the caller's promise.
    let a = unsafe { arguments.as_ref() }.ok_or(Error::INVALID_VALUE)?;
    if !a.srcArray.is_null() || !a.dstArray.is_null() {
        return Err(Error::NOT_SUPPORTED);
    }
    let (from, to) = ways(a.kind)?;
    let copy = CUDA_MEMCPY3D {
        srcXInBytes: a.srcPos.width,
        srcY: a.srcPos.height,
        srcZ: a.srcPos.depth,
        srcLOD: 0,
        srcMemoryType: from,
        srcHost: a.srcPtr.ptr,
        srcDevice: a.srcPtr.ptr as CUdeviceptr,
        srcArray: null_mut(),
        srcPitch: a.srcPtr.pitch,
        srcHeight: a.srcPtr.ysize,
        dstXInBytes: a.dstPos.width,
        dstY: a.dstPos.height,
        dstZ: a.dstPos.depth,
        dstLOD: 0,
        dstMemoryType: to,
        dstHost: a.dstPtr.ptr,
        dstDevice: a.dstPtr.ptr as CUdeviceptr,
        dstArray: null_mut(),
        dstPitch: a.dstPtr.pitch,
        dstHeight: a.dstPtr.ysize,
        WidthInBytes: a.extent.width,
        Height: a.extent.height,
        Depth: a.extent.depth,
        reserved0: null_mut(),
        reserved1: null_mut(),
    };
    // SAFETY: the caller's promise.
    unsafe {
        match stream {
            None => sys::cuMemcpy3D_v2(&copy).ok(),
            Some(stream) => sys::cuMemcpy3DAsync_v2(&copy, stream).ok(),
        }
    }
}

entry_points! {
    /// Copies a box.
    fn cudaMemcpy3D(arguments: *const cudaMemcpy3DParms) {
        copy(arguments, None)
    }

    /// Copies a box in the order of a stream.
    fn cudaMemcpy3DAsync(arguments: *const cudaMemcpy3DParms, stream: cudaStream_t) {
        copy(arguments, Some(stream))
    }

    /// A box of memory whose rows are aligned.
    fn cudaMalloc3D(to: *mut PitchedPtr, extent: Extent) {
        context::current()?;
        let (mut address, mut pitch) = (0, 0);
        let rows = extent.height.checked_mul(extent.depth).ok_or(Error::INVALID_VALUE)?;
        sys::cuMemAllocPitch_v2(&mut address, &mut pitch, extent.width, rows, 16).ok()?;
        crate::error::put(to, PitchedPtr {
            ptr: address as *mut c_void,
            pitch,
            xsize: extent.width,
            ysize: extent.height,
        })
    }
}
