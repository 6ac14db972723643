//! Cases in which graphs, captured streams, boxes, and memory of several kinds bring bytes to a kernel.

use crate::support::stream;
use cudarc::driver::sys::{self, CUmemorytype, CUresult, CUstreamCaptureMode};
use std::ffi::c_void;
use std::ptr::null_mut;

/// Words that the kernel reads, and as many that it writes.
const WORDS: usize = 64;
const BYTES: usize = WORDS * 4;
/// What virtual memory is a multiple of, in bytes.
const GRANULE: usize = 2 << 20;

#[track_caller]
fn ok(result: CUresult) {
    assert_eq!(result, CUresult::CUDA_SUCCESS);
}

/// Launches `reads` of `check.cu`.
fn launch(mut from: u64, mut to: u64, stream: sys::CUstream) {
    let image = [include_str!("../ptx/check.ptx").as_bytes(), &[0]].concat();
    let (mut module, mut function) = (null_mut(), null_mut());
    let mut arguments: [*mut c_void; 2] = [(&raw mut from).cast(), (&raw mut to).cast()];
    // SAFETY: the image ends with a zero, and the arguments are those of the kernel.
    unsafe {
        ok(sys::cuModuleLoadData(&mut module, image.as_ptr().cast()));
        let name = c"reads".as_ptr();
        ok(sys::cuModuleGetFunction(&mut function, module, name));
        let (arguments, extra) = (arguments.as_mut_ptr(), null_mut());
        let words = WORDS as u32;
        let result =
            sys::cuLaunchKernel(function, 1, 1, 1, words, 1, 1, 0, stream, arguments, extra);
        ok(result);
    }
}

/// Does something in a captured stream, and launches the graph.
fn captured(body: impl FnOnce(sys::CUstream)) {
    let (mut stream, mut graph, mut exec) = (null_mut(), null_mut(), null_mut());
    let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL;
    // SAFETY: the handles are live.
    unsafe {
        ok(sys::cuStreamCreate(&mut stream, 1));
        ok(sys::cuStreamBeginCapture_v2(stream, mode));
        body(stream);
        ok(sys::cuStreamEndCapture(stream, &mut graph));
        ok(sys::cuGraphInstantiateWithFlags(&mut exec, graph, 0));
        ok(sys::cuGraphLaunch(exec, stream));
        ok(sys::cuGraphExecDestroy(exec));
        ok(sys::cuGraphDestroy(graph));
        ok(sys::cuStreamDestroy_v2(stream));
    }
}

/// A rectangle of 8 rows of `width` words from the host.
fn rectangle(to: u64, from: &[u32; WORDS], width: usize) -> sys::CUDA_MEMCPY2D {
    let mut copy = std::mem::MaybeUninit::<sys::CUDA_MEMCPY2D>::zeroed();
    let at = copy.as_mut_ptr();
    // SAFETY: zeros are valid for all fields but the kinds of memory.
    unsafe {
        (&raw mut (*at).srcMemoryType).write(CUmemorytype::CU_MEMORYTYPE_HOST);
        (&raw mut (*at).dstMemoryType).write(CUmemorytype::CU_MEMORYTYPE_DEVICE);
        let mut copy = copy.assume_init();
        copy.srcHost = from.as_ptr().cast();
        copy.dstDevice = to;
        (copy.srcPitch, copy.dstPitch) = (32, 32);
        (copy.WidthInBytes, copy.Height) = (width * 4, 8);
        copy
    }
}

/// Runs the case of that name.
pub fn run(name: &str) {
    let _context = stream();
    let is_good = name.ends_with("good");
    let host = [5u32; WORDS];
    let (mut from, mut to) = (0, 0);
    // SAFETY: pointers are to what the calls write, and sizes are those of the memory.
    unsafe {
        ok(sys::cuMemAlloc_v2(&mut to, BYTES));
        ok(sys::cuMemAllocAsync(&mut from, BYTES, null_mut()));
        match name {
            "captured_bad" | "captured_good" => captured(|stream| {
                if is_good {
                    ok(sys::cuMemsetD32Async(from, 1, WORDS, stream));
                }
                launch(from, to, stream);
            }),
            "captured_copy_good" => captured(|stream| {
                let bytes = host.as_ptr().cast();
                ok(sys::cuMemcpyHtoDAsync_v2(from, bytes, BYTES, stream));
                launch(from, to, stream);
            }),
            "rectangle_bad" | "rectangle_good" => {
                let copy = rectangle(from, &host, if is_good { 8 } else { 7 });
                ok(sys::cuMemcpy2D_v2(&copy));
                launch(from, to, null_mut());
            }
            "word_good" => {
                ok(sys::cuMemsetD32_v2(from, 1, WORDS - 1));
                let last = from + 4 * (WORDS as u64 - 1);
                ok(sys::cuStreamWriteValue32_v2(null_mut(), last, 1, 0));
                launch(from, to, null_mut());
            }
            "managed_good" => {
                let mut managed = 0;
                ok(sys::cuMemAllocManaged(&mut managed, BYTES, 1));
                launch(managed, to, null_mut());
                ok(sys::cuMemFree_v2(managed));
            }
            "mapped_good" => mapped(to),
            "pool_free_bad" => {
                let mut other = 0;
                ok(sys::cuMemAllocAsync(&mut other, BYTES, null_mut()));
                ok(sys::cuMemFreeAsync(other, null_mut()));
                let again = sys::cuMemFreeAsync(other, null_mut());
                assert_eq!(again, CUresult::CUDA_ERROR_INVALID_VALUE);
            }
            "pinned_free_bad" => {
                let mut pinned = null_mut();
                ok(sys::cuMemHostAlloc(&mut pinned, BYTES, 0));
                ok(sys::cuMemFreeHost(pinned));
                let again = sys::cuMemFreeHost(pinned);
                assert_eq!(again, CUresult::CUDA_ERROR_INVALID_VALUE);
            }
            "long_rectangle_bad" => {
                let copy = rectangle(from + 4, &host, 8);
                let copied = sys::cuMemcpy2D_v2(&copy);
                assert_eq!(copied, CUresult::CUDA_ERROR_INVALID_VALUE);
            }
            _ => panic!("no case is called {name}"),
        }
        ok(sys::cuMemFreeAsync(from, null_mut()));
        ok(sys::cuMemFree_v2(to));
    }
}

/// Virtual memory, read and given back.
fn mapped(to: u64) {
    let (mut at, mut handle) = (0, 0);
    // SAFETY: zeros are valid for all fields but the enumerations, which are written.
    unsafe {
        let place = sys::CUmemLocation_st {
            type_: sys::CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE,
            id: 0,
        };
        let mut props = std::mem::MaybeUninit::<sys::CUmemAllocationProp>::zeroed();
        let fields = props.as_mut_ptr();
        (&raw mut (*fields).type_).write(sys::CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED);
        (&raw mut (*fields).location).write(place);
        let access = sys::CUmemAccessDesc {
            location: place,
            flags: sys::CUmemAccess_flags::CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
        };
        ok(sys::cuMemAddressReserve(&mut at, GRANULE, 0, 0, 0));
        ok(sys::cuMemCreate(&mut handle, GRANULE, props.as_ptr(), 0));
        ok(sys::cuMemMap(at, GRANULE, 0, handle, 0));
        ok(sys::cuMemSetAccess(at, GRANULE, &access, 1));
        launch(at, to, null_mut());
        ok(sys::cuMemUnmap(at, GRANULE));
        ok(sys::cuMemRelease(handle));
        ok(sys::cuMemAddressFree(at, GRANULE));
    }
}
