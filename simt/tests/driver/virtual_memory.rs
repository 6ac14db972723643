//! Addresses and memory apart.

use super::support::stream;
use super::{WORDS, function, image, module, ok};
use cudarc::driver::sys::{self, CUresult};
use std::ffi::c_void;

const GRANULE: usize = 2 << 20;

fn props() -> sys::CUmemAllocationProp {
    // SAFETY: zeros are a valid value of the structure.
    let mut props: sys::CUmemAllocationProp = unsafe { std::mem::zeroed() };
    props.type_ = sys::CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED;
    props.location.type_ = sys::CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    props
}

fn access() -> sys::CUmemAccessDesc {
    sys::CUmemAccessDesc {
        location: props().location,
        flags: sys::CUmemAccess_flags::CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
    }
}

#[test]
fn one_memory_at_two_addresses() {
    let _stream = stream();
    let module = module(&image(WORDS)).unwrap();
    // SAFETY: structures are whole, handles live.
    unsafe {
        let mut granule = 0;
        let minimum = sys::CUmemAllocationGranularity_flags::CU_MEM_ALLOC_GRANULARITY_MINIMUM;
        ok(sys::cuMemGetAllocationGranularity(
            &mut granule,
            &props(),
            minimum,
        ));
        assert_eq!(granule, GRANULE);
        let mut at = 0;
        ok(sys::cuMemAddressReserve(&mut at, 4 * GRANULE, 0, 0, 0));
        let (mut one, mut two) = (0, 0);
        ok(sys::cuMemCreate(&mut one, GRANULE, &props(), 0));
        ok(sys::cuMemCreate(&mut two, 2 * GRANULE, &props(), 0));
        let g = GRANULE as u64;
        ok(sys::cuMemMap(at, GRANULE, 0, one, 0));
        ok(sys::cuMemMap(at + g, GRANULE, GRANULE, two, 0));
        ok(sys::cuMemMap(at + 3 * g, GRANULE, 0, one, 0));
        let taken = sys::cuMemMap(at + g, GRANULE, 0, two, 0);
        assert_eq!(taken, CUresult::CUDA_ERROR_INVALID_VALUE);
        let beyond = sys::cuMemMap(at + 2 * g, GRANULE, 2 * GRANULE, two, 0);
        assert_eq!(beyond, CUresult::CUDA_ERROR_INVALID_VALUE);
        // Without access nobody may touch it.
        assert_eq!(
            sys::cuMemsetD8_v2(at, 1, 4),
            CUresult::CUDA_ERROR_INVALID_VALUE
        );
        ok(sys::cuMemSetAccess(at, 2 * GRANULE, &access(), 1));
        ok(sys::cuMemSetAccess(at + 3 * g, GRANULE, &access(), 1));
        ok(sys::cuMemsetD32_v2(at, 5, 100));
        let mut word = 0u32;
        ok(sys::cuMemcpyDtoH_v2(
            (&raw mut word).cast(),
            at + 3 * g + 8,
            4,
        ));
        assert_eq!(word, 5);
        // A kernel writes at one address, and reads at the other.
        let (mut there, mut count, mut by) = (at + 3 * g, 100u32, 3u32);
        let mut arguments: [*mut c_void; 3] = [
            (&raw mut there).cast(),
            (&raw mut count).cast(),
            (&raw mut by).cast(),
        ];
        ok(sys::cuLaunchKernel(
            function(module, "add"),
            4,
            1,
            1,
            32,
            1,
            1,
            0,
            std::ptr::null_mut(),
            arguments.as_mut_ptr(),
            std::ptr::null_mut(),
        ));
        ok(sys::cuCtxSynchronize());
        ok(sys::cuMemcpyDtoH_v2((&raw mut word).cast(), at + 4 * 99, 4));
        assert_eq!(word, 8);
        // Released memory lives as long as it is mapped.
        ok(sys::cuMemRelease(one));
        ok(sys::cuMemUnmap(at, GRANULE));
        ok(sys::cuMemcpyDtoH_v2((&raw mut word).cast(), at + 3 * g, 4));
        assert_eq!(word, 8);
        assert_eq!(
            sys::cuMemsetD8_v2(at, 1, 4),
            CUresult::CUDA_ERROR_INVALID_VALUE
        );
        assert_eq!(
            sys::cuMemAddressFree(at, 4 * GRANULE),
            CUresult::CUDA_ERROR_INVALID_VALUE
        );
        ok(sys::cuMemUnmap(at + g, GRANULE));
        ok(sys::cuMemUnmap(at + 3 * g, GRANULE));
        ok(sys::cuMemRelease(two));
        assert_eq!(sys::cuMemRelease(two), CUresult::CUDA_ERROR_INVALID_VALUE);
        ok(sys::cuMemAddressFree(at, 4 * GRANULE));
        assert_eq!(
            sys::cuMemCreate(&mut one, 1000, &props(), 0),
            CUresult::CUDA_ERROR_INVALID_VALUE
        );
    }
}
