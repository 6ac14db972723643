//! What a kernel needs, how it may run, and how many of its blocks fit.

use crate::context;
use crate::device::{by_name, said};
use crate::error::{Error, Result, Said};
use crate::registry::function;
use cudarc::driver::sys::{self, CUfunction, CUfunction_attribute as F};
use std::ffi::{c_int, c_uint, c_void};

/// What a kernel needs (driver_types.h).
#[repr(C)]
#[allow(missing_docs)]
pub struct cudaFuncAttributes {
    pub sharedSizeBytes: usize,
    pub constSizeBytes: usize,
    pub localSizeBytes: usize,
    pub maxThreadsPerBlock: c_int,
    pub numRegs: c_int,
    pub ptxVersion: c_int,
    pub binaryVersion: c_int,
    pub cacheModeCA: c_int,
    pub maxDynamicSharedSizeBytes: c_int,
    pub preferredShmemCarveout: c_int,
    pub clusterDimMustBeSet: c_int,
    pub requiredClusterWidth: c_int,
    pub requiredClusterHeight: c_int,
    pub requiredClusterDepth: c_int,
    pub clusterSchedulingPolicyPreference: c_int,
    pub nonPortableClusterSizeAllowed: c_int,
    pub reserved: [c_int; 16],
}

fn attributes(function: CUfunction) -> Result<cudaFuncAttributes> {
    let of = |attribute: F| -> Result<c_int> {
        let mut value = 0;
        // SAFETY: valid for writing; the function is one of the driver's.
        unsafe { sys::cuFuncGetAttribute(&mut value, attribute, function).ok()? };
        Ok(value)
    };
    // What an older driver does not know is 0.
    let later = |attribute: F| of(attribute).unwrap_or(0);
    let size = |attribute: F| Ok::<usize, Error>(of(attribute)?.cast_unsigned() as usize);
    Ok(cudaFuncAttributes {
        sharedSizeBytes: size(F::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES)?,
        constSizeBytes: size(F::CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES)?,
        localSizeBytes: size(F::CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES)?,
        maxThreadsPerBlock: of(F::CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK)?,
        numRegs: of(F::CU_FUNC_ATTRIBUTE_NUM_REGS)?,
        ptxVersion: of(F::CU_FUNC_ATTRIBUTE_PTX_VERSION)?,
        binaryVersion: of(F::CU_FUNC_ATTRIBUTE_BINARY_VERSION)?,
        cacheModeCA: of(F::CU_FUNC_ATTRIBUTE_CACHE_MODE_CA)?,
        maxDynamicSharedSizeBytes: of(F::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)?,
        preferredShmemCarveout: of(F::CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT)?,
        clusterDimMustBeSet: later(F::CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET),
        requiredClusterWidth: later(F::CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH),
        requiredClusterHeight: later(F::CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT),
        requiredClusterDepth: later(F::CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH),
        clusterSchedulingPolicyPreference: later(
            F::CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE,
        ),
        nonPortableClusterSizeAllowed: later(
            F::CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED,
        ),
        reserved: [0; 16],
    })
}

entry_points! {
    /// What a kernel needs.
    fn cudaFuncGetAttributes(to: *mut cudaFuncAttributes, stub: *const c_void) {
        crate::error::put(to, attributes(function(stub)?)?)
    }

    /// Lets a kernel have more, such as dynamic shared memory; the numbers are the driver's.
    fn cudaFuncSetAttribute(stub: *const c_void, attribute: c_uint, value: c_int) {
        type Set = unsafe extern "C" fn(CUfunction, c_uint, c_int) -> c_uint;
        let function = function(stub)?;
        said(by_name::<Set>(b"cuFuncSetAttribute\0")?(function, attribute, value))
    }

    /// The division of the L1 cache: a wish, of which nothing depends.
    fn cudaFuncSetCacheConfig(stub: *const c_void, _config: c_uint) {
        function(stub).map(drop)
    }

    /// The width of shared memory's banks: always 4 bytes.
    fn cudaFuncSetSharedMemConfig(stub: *const c_void, _config: c_uint) {
        function(stub).map(drop)
    }

    /// The name of a kernel.
    fn cudaFuncGetName(name: *mut *const std::ffi::c_char, stub: *const c_void) {
        sys::cuFuncGetName(name, function(stub)?).ok()
    }

    /// How many blocks fit on a multiprocessor.
    fn cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks: *mut c_int, stub: *const c_void, threads: c_int, shared: usize) {
        sys::cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function(stub)?, threads, shared).ok()
    }

    /// How many blocks fit on a multiprocessor.
    fn cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks: *mut c_int, stub: *const c_void, threads: c_int, shared: usize, flags: c_uint) {
        sys::cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function(stub)?, threads, shared, flags).ok()
    }

    /// How much dynamic shared memory so many blocks may have.
    fn cudaOccupancyAvailableDynamicSMemPerBlock(bytes: *mut usize, stub: *const c_void, blocks: c_int, threads: c_int) {
        context::current()?;
        sys::cuOccupancyAvailableDynamicSMemPerBlock(bytes, function(stub)?, blocks, threads).ok()
    }
}
