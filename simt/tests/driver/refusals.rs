//! Null and wrong handles are errors, never crashes.

use super::support::stream;
use std::ffi::c_void;

type Any = unsafe extern "C" fn(
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
) -> u32;

/// Names of entry points that are documented to succeed without arguments, or end what this test needs.
const SKIPPED: [&str; 1] = ["cuDevicePrimaryCtxReset"];

fn call(name: &str, arguments: [usize; 11]) -> Option<u32> {
    // SAFETY: the library is loaded; arguments are null or handles, and a null pointer is answered.
    unsafe {
        let library =
            libloading::os::unix::Library::open(Some("libcuda.so"), libloading::os::unix::RTLD_NOW);
        let library = library.unwrap();
        let symbol: *mut c_void = library.get::<*mut c_void>(name.as_bytes()).ok()?.into_raw();
        std::mem::forget(library);
        let function: Any = std::mem::transmute(symbol);
        let [a, b, c, d, e, f, g, h, i, j, k] = arguments;
        Some(function(a, b, c, d, e, f, g, h, i, j, k))
    }
}

#[test]
fn nothing_but_zeros() {
    let stream = stream();
    for name in include_str!("names.txt").split_whitespace() {
        if SKIPPED.iter().any(|skipped| name.starts_with(skipped))
            || name.contains("PrimaryCtxRelease")
        {
            continue;
        }
        // Some of them take the context away.
        stream.context().bind_to_thread().unwrap();
        let code = call(name, [0; 11]).expect(name);
        assert_ne!(code, 999, "{name} panicked");
    }
    stream.context().bind_to_thread().unwrap();
    stream.synchronize().unwrap();
}

#[test]
fn handles_of_nothing() {
    let _stream = stream();
    // A handle is no address: a wrong one is looked up in vain.
    for name in [
        "cuStreamDestroy_v2",
        "cuStreamSynchronize",
        "cuStreamQuery",
        "cuStreamEndCapture",
        "cuEventDestroy_v2",
        "cuEventQuery",
        "cuEventSynchronize",
        "cuEventRecord",
        "cuModuleUnload",
        "cuLibraryUnload",
        "cuGraphDestroy",
        "cuGraphExecDestroy",
        "cuGraphLaunch",
        "cuGraphDestroyNode",
        "cuLinkDestroy",
        "cuMemPoolDestroy",
        "cuMemRelease",
        "cuCtxDestroy_v2",
        "cuCtxSetCurrent",
        "cuCtxPushCurrent_v2",
        "cuFuncLoad",
        "cuUserObjectRelease",
        "cuMemFree_v2",
        "cuMemFreeHost",
        "cuMemHostUnregister",
        "cuMemAddressFree",
        "cuMemUnmap",
        "cuModuleLoadData",
        "cuLaunchKernel",
    ] {
        for handle in [1, 3, 0x10_0001, usize::MAX, 1 << 40] {
            let is_stream = name.starts_with("cuStream") && handle <= 2;
            // An image is a pointer, and so is a stream of kernels: only small numbers are no addresses.
            let arguments = match name {
                "cuModuleLoadData" if handle > 4095 => continue,
                "cuModuleLoadData" => [4096, handle, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                _ => [handle, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            };
            let code = call(name, arguments).expect(name);
            assert!(is_stream || code != 0, "{name}({handle:#x}) succeeded");
            assert_ne!(code, 999, "{name} panicked");
        }
    }
}

#[test]
fn what_there_is_not_says_so() {
    const NOT_SUPPORTED: u32 = 801;
    let _stream = stream();
    let mut graph = 0usize;
    assert_eq!(
        call(
            "cuGraphCreate",
            [(&raw mut graph) as usize, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        ),
        Some(0)
    );
    for (name, first, second) in [
        ("cuTexObjectCreate", 0, 0),
        ("cuSurfObjectCreate", 0, 0),
        ("cuArrayCreate_v2", 0, 0),
        ("cuMipmappedArrayCreate", 0, 0),
        ("cuIpcGetMemHandle", 0, 0),
        ("cuImportExternalMemory", 0, 0),
        ("cuGreenCtxCreate", 0, 0),
        ("cuMulticastCreate", 0, 0),
        ("cuLaunchCooperativeKernelMultiDevice", 0, 0),
        ("cuGraphConditionalHandleCreate", 0, graph),
    ] {
        let code = call(name, [first, second, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(code, Some(NOT_SUPPORTED), "{name}");
    }
}
