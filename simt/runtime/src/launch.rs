//! Launches of kernels by their stubs.

use crate::context;
use crate::device::attribute;
use crate::error::{Error, Result, Said, put};
use crate::registry::function;
use crate::stream::cudaStream_t;
use cudarc::driver::sys::{self, CUdevice_attribute, CUlaunchAttribute, CUlaunchConfig};
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

/// # Safety
/// The arguments are those of the kernel.
unsafe fn launch(
    kernel: *const c_void,
    grid: dim3,
    block: dim3,
    arguments: *mut *mut c_void,
    shared: usize,
    stream: cudaStream_t,
) -> Result {
    let function = function(kernel)?;
    let shared = c_uint::try_from(shared).map_err(|_| Error::INVALID_VALUE)?;
    // SAFETY: the caller's promise.
    let launched = unsafe {
        sys::cuLaunchKernel(
            function,
            grid.x,
            grid.y,
            grid.z,
            block.x,
            block.y,
            block.z,
            shared,
            stream,
            arguments,
            null_mut(),
        )
    };
    told(launched, grid, block)
}

/// What the driver said of a launch. What it calls an invalid value has a number of its own here, where it
/// is the blocks or threads.
fn told(launched: sys::CUresult, grid: dim3, block: dim3) -> Result {
    match launched.ok() {
        Err(Error::INVALID_VALUE) if !fits(grid, block)? => Err(Error::INVALID_CONFIGURATION),
        said => said,
    }
}

/// Whether a device can have so many blocks and threads at all.
fn fits(grid: dim3, block: dim3) -> Result<bool> {
    use CUdevice_attribute as A;
    let device = context::device()?;
    let limit = |of: A| Ok(u64::from(attribute(of, device)?.cast_unsigned()));
    let threads = u64::from(block.x) * u64::from(block.y) * u64::from(block.z);
    let sides = [
        (grid.x, A::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X),
        (grid.y, A::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y),
        (grid.z, A::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z),
        (block.x, A::CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X),
        (block.y, A::CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y),
        (block.z, A::CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z),
    ];
    for (side, most) in sides {
        if side == 0 || u64::from(side) > limit(most)? {
            return Ok(false);
        }
    }
    Ok(threads <= limit(A::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK)?)
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
        launch(stub, grid, block, arguments, shared, stream)
    }

    /// The same, as the stubs of later compilers call it.
    fn __cudaLaunchKernel(kernel: *const c_void, grid: dim3, block: dim3, arguments: *mut *mut c_void, shared: usize, stream: cudaStream_t) {
        launch(kernel, grid, block, arguments, shared, stream)
    }

    /// Launches a kernel whose blocks may wait for each other.
    fn cudaLaunchCooperativeKernel(stub: *const c_void, grid: dim3, block: dim3, arguments: *mut *mut c_void, shared: usize, stream: cudaStream_t) {
        let function = function(stub)?;
        let shared = c_uint::try_from(shared).map_err(|_| Error::INVALID_VALUE)?;
        let launched = sys::cuLaunchCooperativeKernel(
            function, grid.x, grid.y, grid.z, block.x, block.y, block.z, shared, stream, arguments,
        );
        told(launched, grid, block)
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
        told(sys::cuLaunchKernelEx(&config, function, arguments, null_mut()), grid, block)
    }
}
