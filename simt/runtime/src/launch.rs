//! Launches of kernels by their stubs.

use crate::error::{Error, Said, put};
use crate::registry::function;
use crate::stream::cudaStream_t;
use cudarc::driver::sys::{self, CUlaunchAttribute, CUlaunchConfig};
use std::cell::RefCell;
use std::ffi::{c_uint, c_void};
use std::ptr::null_mut;

/// Numbers of blocks or threads.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, non_camel_case_types)]
pub struct dim3 {
    pub x: c_uint,
    pub y: c_uint,
    pub z: c_uint,
}

/// What stands between `<<<` and `>>>`.
#[derive(Clone, Copy)]
struct Configuration {
    grid: dim3,
    block: dim3,
    shared: usize,
    stream: cudaStream_t,
}

thread_local! {
    static CONFIGURATIONS: RefCell<Vec<Configuration>> = const { RefCell::new(Vec::new()) };
}

/// How a kernel is launched (driver_types.h, `cudaLaunchConfig_t`); attributes have the driver's layout.
#[repr(C)]
#[allow(missing_docs)]
pub struct cudaLaunchConfig_t {
    pub gridDim: dim3,
    pub blockDim: dim3,
    pub dynamicSmemBytes: usize,
    pub stream: cudaStream_t,
    pub attrs: *mut CUlaunchAttribute,
    pub numAttrs: c_uint,
}

/// Keeps what stands between `<<<` and `>>>` for the stub that is called next; 0 if it could.
#[unsafe(no_mangle)]
pub extern "C" fn __cudaPushCallConfiguration(
    grid: dim3,
    block: dim3,
    shared: usize,
    stream: cudaStream_t,
) -> c_uint {
    CONFIGURATIONS.with_borrow_mut(|kept| {
        kept.push(Configuration {
            grid,
            block,
            shared,
            stream,
        });
    });
    0
}

entry_points! {
    /// Gives it to the stub.
    fn __cudaPopCallConfiguration(grid: *mut dim3, block: *mut dim3, shared: *mut usize, stream: *mut cudaStream_t) {
        let kept = CONFIGURATIONS.with_borrow_mut(Vec::pop);
        let kept = kept.ok_or(Error::MISSING_CONFIGURATION)?;
        put(grid, kept.grid)?;
        put(block, kept.block)?;
        put(shared, kept.shared)?;
        put(stream, kept.stream)
    }

    /// Launches a kernel.
    fn cudaLaunchKernel(stub: *const c_void, grid: dim3, block: dim3, arguments: *mut *mut c_void, shared: usize, stream: cudaStream_t) {
        let function = function(stub)?;
        let shared = c_uint::try_from(shared).map_err(|_| Error::INVALID_VALUE)?;
        sys::cuLaunchKernel(
            function, grid.x, grid.y, grid.z, block.x, block.y, block.z, shared, stream, arguments, null_mut(),
        ).ok()
    }

    /// Launches a kernel whose blocks may wait for each other.
    fn cudaLaunchCooperativeKernel(stub: *const c_void, grid: dim3, block: dim3, arguments: *mut *mut c_void, shared: usize, stream: cudaStream_t) {
        let function = function(stub)?;
        let shared = c_uint::try_from(shared).map_err(|_| Error::INVALID_VALUE)?;
        sys::cuLaunchCooperativeKernel(
            function, grid.x, grid.y, grid.z, block.x, block.y, block.z, shared, stream, arguments,
        ).ok()
    }

    /// Launches a kernel with attributes, such as the size of its clusters.
    fn cudaLaunchKernelExC(config: *const cudaLaunchConfig_t, stub: *const c_void, arguments: *mut *mut c_void) {
        let config = config.as_ref().ok_or(Error::INVALID_VALUE)?;
        let function = function(stub)?;
        let (grid, block) = (config.gridDim, config.blockDim);
        let config = CUlaunchConfig {
            gridDimX: grid.x,
            gridDimY: grid.y,
            gridDimZ: grid.z,
            blockDimX: block.x,
            blockDimY: block.y,
            blockDimZ: block.z,
            sharedMemBytes: c_uint::try_from(config.dynamicSmemBytes).map_err(|_| Error::INVALID_VALUE)?,
            hStream: config.stream,
            attrs: config.attrs,
            numAttrs: config.numAttrs,
        };
        sys::cuLaunchKernelEx(&config, function, arguments, null_mut()).ok()
    }
}
