//! Arguments in a buffer, libraries, attributes, events with times.

use super::support::stream;
use super::{AddArguments, WORDS, Words, function, image, module, ok};
use cudarc::driver::sys::{self, CUresult};
use std::ffi::{CStr, c_void};
use std::ptr::null_mut;

#[test]
fn arguments_in_one_buffer() {
    let _stream = stream();
    let module = module(&image(WORDS)).unwrap();
    let words = Words::new(&[10; 100]);
    let mut buffer = [words.0, u64::from(words.1 as u32) | 6 << 32];
    let mut bytes = 16usize;
    let mut extra: [*mut c_void; 5] = [
        std::ptr::without_provenance_mut(1),
        buffer.as_mut_ptr().cast(),
        std::ptr::without_provenance_mut(2),
        (&raw mut bytes).cast(),
        null_mut(),
    ];
    let launch = |extra: &mut [*mut c_void; 5]| {
        // SAFETY: the buffer holds the kernel's arguments.
        unsafe {
            sys::cuLaunchKernel(
                function(module, "add"),
                4,
                1,
                1,
                32,
                1,
                1,
                0,
                null_mut(),
                null_mut(),
                extra.as_mut_ptr(),
            )
        }
    };
    ok(launch(&mut extra));
    assert_eq!(words.read(), [16; 100]);
    // SAFETY: the number of bytes, which nobody reads meanwhile.
    unsafe { extra[3].cast::<usize>().write(12) };
    assert_eq!(launch(&mut extra), CUresult::CUDA_ERROR_INVALID_VALUE);
}

#[test]
fn libraries_and_their_kernels() {
    let _stream = stream();
    let text = image(WORDS);
    // SAFETY: handles are live, texts end with a zero.
    unsafe {
        let mut library = null_mut();
        let none = null_mut;
        ok(sys::cuLibraryLoadData(
            &mut library,
            text.as_ptr().cast(),
            none(),
            none().cast(),
            0,
            none().cast(),
            none().cast(),
            0,
        ));
        let mut count = 0;
        ok(sys::cuLibraryGetKernelCount(&mut count, library));
        assert_eq!(count, 2);
        let mut kernel = null_mut();
        ok(sys::cuLibraryGetKernel(
            &mut kernel,
            library,
            c"add".as_ptr(),
        ));
        let missing = sys::cuLibraryGetKernel(&mut null_mut(), library, c"sub".as_ptr());
        assert_eq!(missing, CUresult::CUDA_ERROR_NOT_FOUND);
        let mut name = std::ptr::null();
        ok(sys::cuKernelGetName(&mut name, kernel));
        assert_eq!(CStr::from_ptr(name), c"add");
        let (mut at, mut size) = (0, 0);
        ok(sys::cuKernelGetParamInfo(kernel, 2, &mut at, &mut size));
        assert_eq!((at, size), (12, 4));
        let words = Words::new(&[1; 64]);
        let mut arguments = AddArguments::new(&words, 2);
        // The kernel itself, and the function it is here.
        let mut by_kernel = null_mut();
        ok(sys::cuKernelGetFunction(&mut by_kernel, kernel));
        for function in [kernel.cast(), by_kernel] {
            let mut config: sys::CUlaunchConfig = std::mem::zeroed();
            (config.gridDimX, config.gridDimY, config.gridDimZ) = (2, 1, 1);
            (config.blockDimX, config.blockDimY, config.blockDimZ) = (32, 1, 1);
            ok(sys::cuLaunchKernelEx(
                &config,
                function,
                arguments.pointers().as_mut_ptr(),
                null_mut(),
            ));
        }
        assert_eq!(words.read(), [5; 64]);
        ok(sys::cuLibraryUnload(library));
        let gone = sys::cuKernelGetFunction(&mut by_kernel, kernel);
        assert_eq!(gone, CUresult::CUDA_ERROR_INVALID_HANDLE);
    }
}

#[test]
fn events_measure_what_lies_between_them() {
    let _stream = stream();
    // SAFETY: handles are live.
    unsafe {
        let (mut start, mut end, mut untimed) = (null_mut(), null_mut(), null_mut());
        ok(sys::cuEventCreate(&mut start, 0));
        ok(sys::cuEventCreate(&mut end, 0));
        ok(sys::cuEventCreate(&mut untimed, 2));
        let mut time = 0.0;
        let early = sys::cuEventElapsedTime_v2(&mut time, start, end);
        assert_eq!(early, CUresult::CUDA_ERROR_INVALID_HANDLE);
        ok(sys::cuEventRecord(start, null_mut()));
        std::thread::sleep(std::time::Duration::from_millis(20));
        ok(sys::cuEventRecord(end, null_mut()));
        ok(sys::cuEventSynchronize(end));
        ok(sys::cuEventElapsedTime_v2(&mut time, start, end));
        assert!((19.0..5_000.0).contains(&time), "{time} ms");
        ok(sys::cuEventRecord(untimed, null_mut()));
        let without = sys::cuEventElapsedTime_v2(&mut time, start, untimed);
        assert_eq!(without, CUresult::CUDA_ERROR_INVALID_HANDLE);
        let wrong = sys::cuEventCreate(&mut untimed, 4);
        assert_eq!(wrong, CUresult::CUDA_ERROR_INVALID_VALUE);
    }
}

#[test]
fn attributes_of_device_and_function() {
    use sys::CUdevice_attribute as D;
    let _stream = stream();
    // An H100 by NVIDIA's data sheet and the tables of the programming guide.
    for (which, expected) in [
        (D::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 132),
        (
            D::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
            232_448,
        ),
        (
            D::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR,
            233_472,
        ),
        (D::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 52_428_800),
        (D::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 2048),
        (D::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 5120),
        (D::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 1),
        (
            D::CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
            1,
        ),
        (D::CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32),
        (D::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 65_535),
    ] {
        let mut value = -7;
        // SAFETY: the pointer is valid.
        ok(unsafe { sys::cuDeviceGetAttribute(&mut value, which, 0) });
        assert_eq!(value, expected, "{which:?}");
    }
    let function = function(module(&image(WORDS)).unwrap(), "add");
    let which = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    let mut value = 0;
    // SAFETY: the function is loaded.
    unsafe {
        ok(sys::cuFuncGetAttribute(&mut value, which, function));
        assert_eq!(value, 49_152);
        ok(sys::cuFuncSetAttribute(function, which, 200_000));
        ok(sys::cuFuncGetAttribute(&mut value, which, function));
        assert_eq!(value, 200_000);
        let too_much = sys::cuFuncSetAttribute(function, which, 232_449);
        assert_eq!(too_much, CUresult::CUDA_ERROR_INVALID_VALUE);
        // 2048 threads, and shared memory of 228 KiB less 1 KiB a block.
        let mut blocks = 0;
        ok(sys::cuOccupancyMaxActiveBlocksPerMultiprocessor(
            &mut blocks,
            function,
            256,
            0,
        ));
        assert_eq!(blocks, 8);
        ok(sys::cuOccupancyMaxActiveBlocksPerMultiprocessor(
            &mut blocks,
            function,
            256,
            60_000,
        ));
        assert_eq!(blocks, 3);
    }
}
