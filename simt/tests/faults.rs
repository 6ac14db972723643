//! What a broken kernel does to its context, as on the chip. One test: faults are of the whole process.

mod support;

use cudarc::driver::sys::{self, CUresult};
use cudarc::driver::{LaunchConfig, PushKernelArg};
use support::{kernel, stream};

#[test]
fn faults_stay_until_the_context_goes() {
    // SAFETY: no other thread of this program is running.
    unsafe { std::env::set_var("SIMT_TIMEOUT", "0.3") };
    let config = LaunchConfig {
        grid_dim: (2, 1, 1),
        block_dim: (64, 1, 1),
        shared_mem_bytes: 0,
    };
    let text = include_str!("ptx/kernels.ptx");
    let misaligned = ".version 8.0\n.target sm_80\n.address_size 64\n\
        .visible .entry odd(.param .u64 p) { .reg .b64 %d<2>; .reg .b32 %r<2>;\n\
        ld.param.u64 %d0, [p];\nld.global.u32 %r0, [%d0+2];\nst.global.u32 [%d0], %r0;\nret; }\n\
        .visible .entry stop() { trap; }\n";
    for (ptx, name, expected) in [
        (text, "wild", CUresult::CUDA_ERROR_ILLEGAL_ADDRESS),
        (misaligned, "odd", CUresult::CUDA_ERROR_MISALIGNED_ADDRESS),
        (misaligned, "stop", CUresult::CUDA_ERROR_LAUNCH_FAILED),
        (text, "endless", CUresult::CUDA_ERROR_LAUNCH_TIMEOUT),
    ] {
        let stream = stream();
        let function = kernel(&stream, ptx, name);
        let mut buffer = stream.clone_htod(&[0i32; 64]).unwrap();
        let offset = 1i64 << 40;
        let mut launch = stream.launch_builder(&function);
        if name != "stop" {
            launch.arg(&mut buffer);
        }
        if name == "wild" {
            launch.arg(&offset);
        }
        // SAFETY: the arguments are those of the kernel; the driver has to survive what it does.
        unsafe { launch.launch(config) }.unwrap();
        let error = stream.synchronize().expect_err(name);
        assert_eq!(error.0, expected, "{name}");
        // The error stays.
        assert_eq!(stream.synchronize().expect_err(name).0, expected, "{name}");
        // SAFETY: the context's own objects are not used after this.
        let reset = unsafe { sys::cuDevicePrimaryCtxReset_v2(0) };
        assert_eq!(reset, CUresult::CUDA_SUCCESS);
        // Handles of what is gone are not given back a second time.
        std::mem::forget((buffer, function, stream));
    }
    // Afterwards all is well again.
    let stream = stream();
    let function = kernel(&stream, text, "wild");
    let mut buffer = stream.clone_htod(&[7i32, 8, 9]).unwrap();
    let offset = 2i64;
    let one = LaunchConfig {
        grid_dim: (1, 1, 1),
        block_dim: (1, 1, 1),
        shared_mem_bytes: 0,
    };
    // SAFETY: the arguments are those of the kernel.
    unsafe {
        stream
            .launch_builder(&function)
            .arg(&mut buffer)
            .arg(&offset)
            .launch(one)
    }
    .unwrap();
    assert_eq!(stream.clone_dtoh(&buffer).unwrap(), [9, 8, 9]);
}
