//! Several devices, each with little memory. One test: the settings are of the whole process.

mod support;

use cudarc::driver::sys::{self, CUresult};
use std::ffi::c_void;
use std::ptr::null_mut;

#[track_caller]
fn ok(result: CUresult) {
    assert_eq!(result, CUresult::CUDA_SUCCESS);
}

const COPY: &[u8] = b".version 8.0\n.target sm_80\n.address_size 64\n\
    .visible .global .u32 mark;\n\
    .visible .entry copy(.param .u64 to, .param .u64 from) { .reg .b64 %d<3>; .reg .b32 %r<2>;\n\
    ld.param.u64 %d1, [to];\nld.param.u64 %d2, [from];\nld.global.u32 %r1, [%d2];\n\
    st.global.u32 [%d1], %r1;\nst.global.u32 [mark], %r1;\nret; }\n\0";

/// Runs the kernel in the current context, and says how that ended.
unsafe fn copy(library: sys::CUlibrary, to: u64, from: u64) -> CUresult {
    let (mut to, mut from) = (to, from);
    let mut arguments: [*mut c_void; 2] = [(&raw mut to).cast(), (&raw mut from).cast()];
    // SAFETY: the arguments are those of the kernel.
    unsafe {
        let mut kernel = null_mut();
        ok(sys::cuLibraryGetKernel(
            &mut kernel,
            library,
            c"copy".as_ptr(),
        ));
        let parameters = arguments.as_mut_ptr();
        ok(sys::cuLaunchKernel(
            kernel.cast(),
            1,
            1,
            1,
            1,
            1,
            1,
            0,
            null_mut(),
            parameters,
            null_mut(),
        ));
        sys::cuCtxSynchronize()
    }
}

#[test]
fn three_devices_with_little_memory() {
    // SAFETY: no other thread of this program is running.
    unsafe {
        std::env::set_var("SIMT_DEVICES", "3");
        std::env::set_var("SIMT_MEMORY", "16M");
        std::env::set_var("SIMT_ARCH", "sm_80");
    }
    drop(support::stream());
    // SAFETY: handles are live and pointers valid.
    unsafe {
        let (mut count, mut value) = (0, 0);
        ok(sys::cuDeviceGetCount(&mut count));
        assert_eq!(count, 3);
        let minor = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        ok(sys::cuDeviceGetAttribute(&mut value, minor, 2));
        assert_eq!(value, 108);
        assert_eq!(
            sys::cuDeviceGet(&mut value, 3),
            CUresult::CUDA_ERROR_INVALID_DEVICE
        );
        let ids: Vec<[i8; 16]> = (0..3)
            .map(|device| {
                let mut id: sys::CUuuid = std::mem::zeroed();
                ok(sys::cuDeviceGetUuid_v2(&mut id, device));
                id.bytes
            })
            .collect();
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);

        let mut contexts = [null_mut(); 3];
        let mut memory = [0u64; 3];
        for device in 0..3 {
            ok(sys::cuDevicePrimaryCtxRetain(
                &mut contexts[device],
                device as i32,
            ));
            ok(sys::cuCtxSetCurrent(contexts[device]));
            ok(sys::cuMemAlloc_v2(&mut memory[device], 4096));
            ok(sys::cuMemsetD32_v2(
                memory[device],
                100 + device as u32,
                1024,
            ));
        }
        // One library, a module on every device with its own variables.
        let mut library = null_mut();
        let none = null_mut;
        ok(sys::cuLibraryLoadData(
            &mut library,
            COPY.as_ptr().cast(),
            none(),
            none().cast(),
            0,
            none().cast(),
            none().cast(),
            0,
        ));
        for device in 0..3 {
            ok(sys::cuCtxSetCurrent(contexts[device]));
            ok(copy(library, memory[device] + 4, memory[device]));
        }
        for (device, context) in contexts.into_iter().enumerate() {
            ok(sys::cuCtxSetCurrent(context));
            let (mut at, mut mark) = (0, 0u32);
            ok(sys::cuLibraryGetGlobal(
                &mut at,
                null_mut(),
                library,
                c"mark".as_ptr(),
            ));
            ok(sys::cuMemcpyDtoH_v2((&raw mut mark).cast(), at, 4));
            assert_eq!(mark, 100 + device as u32);
        }

        // Copies between devices need no leave; kernels do.
        ok(sys::cuMemcpyPeer(
            memory[0],
            contexts[0],
            memory[2],
            contexts[2],
            8,
        ));
        let mut word = 0u32;
        ok(sys::cuMemcpyDtoH_v2((&raw mut word).cast(), memory[0], 4));
        assert_eq!(word, 102);
        ok(sys::cuCtxSetCurrent(contexts[0]));
        ok(sys::cuDeviceCanAccessPeer(&mut value, 0, 1));
        assert_eq!(value, 1);
        ok(sys::cuCtxEnablePeerAccess(contexts[1], 0));
        let again = sys::cuCtxEnablePeerAccess(contexts[1], 0);
        assert_eq!(again, CUresult::CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
        ok(copy(library, memory[0], memory[1]));
        ok(sys::cuMemcpyDtoH_v2((&raw mut word).cast(), memory[0], 4));
        assert_eq!(word, 101);
        // Pinned memory is everybody's.
        let mut pinned = null_mut();
        ok(sys::cuMemHostAlloc(&mut pinned, 4, 0));
        pinned.cast::<u32>().write(77);
        ok(sys::cuCtxSetCurrent(contexts[2]));
        ok(copy(library, memory[2], pinned as u64));
        ok(sys::cuMemFreeHost(pinned));

        // Memory ends.
        let mut much = 0;
        assert_eq!(
            sys::cuMemAlloc_v2(&mut much, 17 << 20),
            CUresult::CUDA_ERROR_OUT_OF_MEMORY
        );
        ok(sys::cuMemAlloc_v2(&mut much, 13 << 20));
        let more = sys::cuMemAlloc_v2(&mut 0, 2 << 20);
        assert_eq!(more, CUresult::CUDA_ERROR_OUT_OF_MEMORY);

        // Without leave it is a fault, which ends this context for good and no other.
        let fault = CUresult::CUDA_ERROR_ILLEGAL_ADDRESS;
        assert_eq!(copy(library, memory[2], memory[1]), fault);
        assert_eq!(sys::cuMemAlloc_v2(&mut much, 4), fault);
        assert_eq!(sys::cuStreamSynchronize(null_mut()), fault);
        assert_eq!(sys::cuMemsetD8_v2(memory[2], 0, 1), fault);
        ok(sys::cuCtxSetCurrent(contexts[0]));
        ok(copy(library, memory[0], memory[0] + 4));
        ok(sys::cuDevicePrimaryCtxReset_v2(2));
        ok(sys::cuDevicePrimaryCtxRetain(&mut contexts[2], 2));
        ok(sys::cuCtxSetCurrent(contexts[2]));
        ok(sys::cuMemAlloc_v2(&mut memory[2], 8));
        ok(sys::cuMemsetD8_v2(memory[2], 0, 8));
        ok(copy(library, memory[2] + 4, memory[2]));
    }
}
