//! `cudaDeviceProp`: what a device is, in one structure.

use crate::context;
use crate::device::attribute;
use crate::error::{Error, Result, Said};
use cudarc::driver::sys::{self, CUdevice_attribute as A};
use std::ffi::{c_char, c_int, c_uint};

macro_rules! properties {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($field:ident: $kind:ty $(= $($attribute:ident)|+)?,)*
    }) => {
        $(#[$meta])*
        #[repr(C)]
        $vis struct $name {
            $(pub $field: $kind,)*
        }

        impl $name {
            /// Fills the fields that are attributes of the device.
            fn read(&mut self, device: c_int) -> Result {
                $($(read(&mut self.$field, &[$(A::$attribute),+], device)?;)?)*
                Ok(())
            }
        }
    };
}

/// A field that an attribute, or one for each element, is written to.
trait Field {
    fn write(&mut self, values: &[c_int]);
}

impl Field for c_int {
    fn write(&mut self, values: &[c_int]) {
        *self = values[0];
    }
}

impl Field for c_uint {
    fn write(&mut self, values: &[c_int]) {
        *self = values[0].cast_unsigned();
    }
}

impl Field for usize {
    fn write(&mut self, values: &[c_int]) {
        // No size is negative; the driver's attributes are just not wider.
        *self = values[0].cast_unsigned() as usize;
    }
}

impl Field for [c_int; 3] {
    fn write(&mut self, values: &[c_int]) {
        self.copy_from_slice(values);
    }
}

fn read(field: &mut impl Field, attributes: &[A], device: c_int) -> Result {
    let values: Result<Vec<c_int>> = attributes.iter().map(|&a| attribute(a, device)).collect();
    field.write(&values?);
    Ok(())
}

properties! {
    /// What a device is (driver_types.h, CUDA 12). What concerns textures and surfaces is 0: there are none.
    #[allow(missing_docs)]
    pub struct cudaDeviceProp {
        name: [c_char; 256],
        uuid: [u8; 16],
        luid: [c_char; 8],
        luidDeviceNodeMask: c_uint,
        totalGlobalMem: usize,
        sharedMemPerBlock: usize = CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK,
        regsPerBlock: c_int = CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK,
        warpSize: c_int = CU_DEVICE_ATTRIBUTE_WARP_SIZE,
        memPitch: usize = CU_DEVICE_ATTRIBUTE_MAX_PITCH,
        maxThreadsPerBlock: c_int = CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK,
        maxThreadsDim: [c_int; 3] = CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X | CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y | CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z,
        maxGridSize: [c_int; 3] = CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X | CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y | CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z,
        clockRate: c_int = CU_DEVICE_ATTRIBUTE_CLOCK_RATE,
        totalConstMem: usize = CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY,
        major: c_int = CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
        minor: c_int = CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        textureAlignment: usize = CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT,
        texturePitchAlignment: usize = CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT,
        deviceOverlap: c_int = CU_DEVICE_ATTRIBUTE_GPU_OVERLAP,
        multiProcessorCount: c_int = CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
        kernelExecTimeoutEnabled: c_int = CU_DEVICE_ATTRIBUTE_KERNEL_EXEC_TIMEOUT,
        integrated: c_int = CU_DEVICE_ATTRIBUTE_INTEGRATED,
        canMapHostMemory: c_int = CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY,
        computeMode: c_int = CU_DEVICE_ATTRIBUTE_COMPUTE_MODE,
        textures: [c_int; 26],
        surfaces: [c_int; 14],
        surfaceAlignment: usize,
        concurrentKernels: c_int = CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS,
        ECCEnabled: c_int = CU_DEVICE_ATTRIBUTE_ECC_ENABLED,
        pciBusID: c_int = CU_DEVICE_ATTRIBUTE_PCI_BUS_ID,
        pciDeviceID: c_int = CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID,
        pciDomainID: c_int = CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID,
        tccDriver: c_int,
        asyncEngineCount: c_int = CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT,
        unifiedAddressing: c_int = CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING,
        memoryClockRate: c_int = CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE,
        memoryBusWidth: c_int = CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH,
        l2CacheSize: c_int = CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE,
        persistingL2CacheMaxSize: c_int = CU_DEVICE_ATTRIBUTE_MAX_PERSISTING_L2_CACHE_SIZE,
        maxThreadsPerMultiProcessor: c_int = CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR,
        streamPrioritiesSupported: c_int = CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED,
        globalL1CacheSupported: c_int = CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED,
        localL1CacheSupported: c_int = CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED,
        sharedMemPerMultiprocessor: usize = CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR,
        regsPerMultiprocessor: c_int = CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR,
        managedMemory: c_int = CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY,
        isMultiGpuBoard: c_int,
        multiGpuBoardGroupID: c_int,
        hostNativeAtomicSupported: c_int = CU_DEVICE_ATTRIBUTE_HOST_NATIVE_ATOMIC_SUPPORTED,
        singleToDoublePrecisionPerfRatio: c_int = CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO,
        pageableMemoryAccess: c_int = CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS,
        concurrentManagedAccess: c_int = CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS,
        computePreemptionSupported: c_int = CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED,
        canUseHostPointerForRegisteredMem: c_int = CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM,
        cooperativeLaunch: c_int = CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH,
        cooperativeMultiDeviceLaunch: c_int,
        sharedMemPerBlockOptin: usize = CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
        pageableMemoryAccessUsesHostPageTables: c_int = CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES,
        directManagedMemAccessFromHost: c_int = CU_DEVICE_ATTRIBUTE_DIRECT_MANAGED_MEM_ACCESS_FROM_HOST,
        maxBlocksPerMultiProcessor: c_int = CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR,
        accessPolicyMaxWindowSize: c_int = CU_DEVICE_ATTRIBUTE_MAX_ACCESS_POLICY_WINDOW_SIZE,
        reservedSharedMemPerBlock: usize = CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK,
        hostRegisterSupported: c_int = CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED,
        sparseCudaArraySupported: c_int,
        hostRegisterReadOnlySupported: c_int,
        timelineSemaphoreInteropSupported: c_int,
        memoryPoolsSupported: c_int = CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED,
        gpuDirectRDMASupported: c_int,
        gpuDirectRDMAFlushWritesOptions: c_uint,
        gpuDirectRDMAWritesOrdering: c_int,
        memoryPoolSupportedHandleTypes: c_uint,
        deferredMappingCudaArraySupported: c_int,
        ipcEventSupported: c_int,
        clusterLaunch: c_int = CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH,
        unifiedFunctionPointers: c_int,
        reserved: [c_int; 63],
    }
}

/// # Safety
/// `to` is null or valid for writes.
unsafe fn properties(to: *mut cudaDeviceProp, device: c_int) -> Result {
    context::checked(device)?;
    if to.is_null() {
        return Err(Error::INVALID_VALUE);
    }
    // SAFETY: valid for writes by the caller's promise; a structure of numbers may be all zeros.
    let found = unsafe {
        to.write_bytes(0, 1);
        &mut *to
    };
    found.read(device)?;
    let mut uuid = sys::CUuuid { bytes: [0; 16] };
    // SAFETY: all are valid for writes of what the calls write.
    unsafe {
        sys::cuDeviceGetName(found.name.as_mut_ptr(), 256, device).ok()?;
        sys::cuDeviceTotalMem_v2(&mut found.totalGlobalMem, device).ok()?;
        sys::cuDeviceGetUuid_v2(&mut uuid, device).ok()?;
    }
    found.uuid = uuid.bytes.map(|byte| byte as u8);
    Ok(())
}

entry_points! {
    /// What a device is.
    fn cudaGetDeviceProperties_v2(to: *mut cudaDeviceProp, device: c_int) {
        properties(to, device)
    }
}

#[cfg(test)]
mod tests {
    use super::cudaDeviceProp;
    use std::mem::offset_of;

    /// Sizes and places as `g++` has them of driver_types.h, CUDA 12.9.
    #[test]
    fn the_layout_is_nvidias() {
        assert_eq!(size_of::<cudaDeviceProp>(), 1032);
        assert_eq!(offset_of!(cudaDeviceProp, multiProcessorCount), 388);
        assert_eq!(offset_of!(cudaDeviceProp, surfaceAlignment), 568);
        assert_eq!(offset_of!(cudaDeviceProp, clusterLaunch), 772);
    }
}
