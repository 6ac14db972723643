//! Entry points by name.

use super::ok;
use super::support::stream;
use cudarc::driver::sys::{self, CUdriverProcAddress_flags as Flags};
use std::ffi::{CStr, CString, c_void};
use std::ptr::null_mut;

fn status_of(name: &str, version: i32, flags: u64) -> (*mut c_void, u32) {
    let name = CString::new(name).unwrap();
    let (mut at, mut status) = (
        null_mut(),
        sys::CUdriverProcAddressQueryResult::CU_GET_PROC_ADDRESS_SUCCESS,
    );
    // SAFETY: the name is a C string.
    ok(unsafe { sys::cuGetProcAddress_v2(name.as_ptr(), &mut at, version, flags, &mut status) });
    (at, status as u32)
}

/// Opens the symbol as a program does.
fn symbol(name: &str) -> *mut c_void {
    // SAFETY: the library is loaded, and its symbols are functions.
    unsafe {
        let library =
            libloading::os::unix::Library::open(Some("libcuda.so"), libloading::os::unix::RTLD_NOW);
        let library = library.unwrap();
        let found = library.get::<*mut c_void>(name.as_bytes());
        let at = found.map_or(null_mut(), |symbol| symbol.into_raw());
        std::mem::forget(library);
        at
    }
}

#[test]
fn every_name_of_the_headers_is_there() {
    let _stream = stream();
    let names: Vec<&str> = include_str!("names.txt").split_whitespace().collect();
    assert!(names.len() > 500);
    let missing: Vec<&&str> = names.iter().filter(|name| symbol(name).is_null()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let unknown: Vec<&&str> = names
        .iter()
        .filter(|name| status_of(name, 12090, 0).1 != 0)
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn versions_choose_between_forms() {
    let _stream = stream();
    for (name, version, expected) in [
        ("cuMemAlloc", 3020, "cuMemAlloc_v2"),
        ("cuCtxCreate", 4000, "cuCtxCreate_v2"),
        ("cuCtxCreate", 12040, "cuCtxCreate_v3"),
        ("cuCtxCreate", 13000, "cuCtxCreate_v4"),
        ("cuStreamGetCaptureInfo", 11030, "cuStreamGetCaptureInfo_v2"),
        ("cuStreamGetCaptureInfo", 12090, "cuStreamGetCaptureInfo_v3"),
        ("cuGraphAddKernelNode", 11080, "cuGraphAddKernelNode"),
        ("cuGraphAddKernelNode", 12000, "cuGraphAddKernelNode_v2"),
        ("cuGraphInstantiate", 12000, "cuGraphInstantiateWithFlags"),
        ("cuInit", 2000, "cuInit"),
    ] {
        assert_eq!(
            status_of(name, version, 0),
            (symbol(expected), 0),
            "{name} {version}"
        );
    }
    let per_thread = Flags::CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM as u64;
    assert_eq!(
        status_of("cuLaunchKernel", 12000, per_thread),
        (symbol("cuLaunchKernel_ptsz"), 0)
    );
    assert_eq!(
        status_of("cuMemcpyHtoD", 12000, per_thread),
        (symbol("cuMemcpyHtoD_v2_ptds"), 0)
    );
    assert_eq!(status_of("cuGraphAddNode", 12000, 0), (null_mut(), 2));
    assert_eq!(status_of("cuFrobnicate", 12000, 0), (null_mut(), 1));
}

#[test]
fn errors_have_names_and_words() {
    let _stream = stream();
    let mut name = std::ptr::null();
    for (code, expected) in [
        (0, c"CUDA_SUCCESS"),
        (2, c"CUDA_ERROR_OUT_OF_MEMORY"),
        (700, c"CUDA_ERROR_ILLEGAL_ADDRESS"),
        (801, c"CUDA_ERROR_NOT_SUPPORTED"),
        (906, c"CUDA_ERROR_STREAM_CAPTURE_IMPLICIT"),
        (916, c"CUDA_ERROR_KEY_ROTATION"),
    ] {
        // SAFETY: the codes are those of the enumeration.
        unsafe {
            let error: sys::CUresult = std::mem::transmute(code);
            ok(sys::cuGetErrorName(error, &mut name));
            assert_eq!(CStr::from_ptr(name), expected);
            ok(sys::cuGetErrorString(error, &mut name));
            assert!(!CStr::from_ptr(name).is_empty());
        }
    }
}
