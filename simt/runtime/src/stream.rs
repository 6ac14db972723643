//! Streams, and what they do beside copies and kernels.
//!
//! The runtime's streams are the driver's, the special ones included: 0 and 1 are the legacy stream, 2 that
//! of the thread.

use crate::context;
use crate::device::{by_name, said};
use crate::error::{Said, put};
use cudarc::driver::sys::{self, CUevent, CUgraph, CUstream};
use std::ffi::{c_int, c_uint, c_void};

/// A stream.
#[allow(non_camel_case_types)]
pub type cudaStream_t = CUstream;

/// What is called when a stream has come so far, with the error that it has had.
pub type Callback = unsafe extern "C" fn(cudaStream_t, c_uint, *mut c_void);

entry_points! {
    /// A stream that waits for the legacy stream and is waited for.
    fn cudaStreamCreate(stream: *mut cudaStream_t) {
        context::current()?;
        sys::cuStreamCreate(stream, 0).ok()
    }

    /// A stream; with flag 1 one that the legacy stream has nothing to do with.
    fn cudaStreamCreateWithFlags(stream: *mut cudaStream_t, flags: c_uint) {
        context::current()?;
        sys::cuStreamCreate(stream, flags).ok()
    }

    /// A stream of some priority.
    fn cudaStreamCreateWithPriority(stream: *mut cudaStream_t, flags: c_uint, priority: c_int) {
        context::current()?;
        sys::cuStreamCreateWithPriority(stream, flags, priority).ok()
    }

    /// Ends a stream when its work is done.
    fn cudaStreamDestroy(stream: cudaStream_t) {
        context::current()?;
        sys::cuStreamDestroy_v2(stream).ok()
    }

    /// Waits for a stream.
    fn cudaStreamSynchronize(stream: cudaStream_t) {
        context::current()?;
        sys::cuStreamSynchronize(stream).ok()
    }

    /// Whether a stream is done.
    fn cudaStreamQuery(stream: cudaStream_t) {
        context::current()?;
        sys::cuStreamQuery(stream).ok()
    }

    /// Lets a stream wait for an event.
    fn cudaStreamWaitEvent(stream: cudaStream_t, event: CUevent, flags: c_uint) {
        context::current()?;
        sys::cuStreamWaitEvent(stream, event, flags).ok()
    }

    /// The flags of a stream.
    fn cudaStreamGetFlags(stream: cudaStream_t, flags: *mut c_uint) {
        context::current()?;
        sys::cuStreamGetFlags(stream, flags).ok()
    }

    /// The priority of a stream.
    fn cudaStreamGetPriority(stream: cudaStream_t, priority: *mut c_int) {
        context::current()?;
        sys::cuStreamGetPriority(stream, priority).ok()
    }

    /// Calls back when a stream has come so far.
    fn cudaStreamAddCallback(stream: cudaStream_t, callback: Callback, data: *mut c_void, flags: c_uint) {
        type Add = unsafe extern "C" fn(cudaStream_t, Callback, *mut c_void, c_uint) -> c_uint;
        context::current()?;
        said(by_name::<Add>(b"cuStreamAddCallback\0")?(stream, callback, data, flags))
    }

    /// Calls a function of the host when a stream has come so far.
    fn cudaLaunchHostFunc(stream: cudaStream_t, function: Option<unsafe extern "C" fn(*mut c_void)>, data: *mut c_void) {
        context::current()?;
        sys::cuLaunchHostFunc(stream, function, data).ok()
    }

    /// Begins to record what a stream is asked for.
    fn cudaStreamBeginCapture(stream: cudaStream_t, mode: c_uint) {
        type Begin = unsafe extern "C" fn(cudaStream_t, c_uint) -> c_uint;
        context::current()?;
        said(by_name::<Begin>(b"cuStreamBeginCapture_v2\0")?(stream, mode))
    }

    /// Ends that, with the graph.
    fn cudaStreamEndCapture(stream: cudaStream_t, graph: *mut CUgraph) {
        context::current()?;
        sys::cuStreamEndCapture(stream, graph).ok()
    }

    /// Whether a stream is recorded: 0 no, 1 yes, 2 what was recorded is invalid.
    fn cudaStreamIsCapturing(stream: cudaStream_t, status: *mut c_uint) {
        type Is = unsafe extern "C" fn(cudaStream_t, *mut c_uint) -> c_uint;
        context::current()?;
        said(by_name::<Is>(b"cuStreamIsCapturing\0")?(stream, status))
    }

    /// Whether a stream is recorded, and into which graph.
    fn cudaStreamGetCaptureInfo_v2(stream: cudaStream_t, status: *mut c_uint, id: *mut u64, graph: *mut c_void, dependencies: *mut c_void, count: *mut usize) {
        type Get = unsafe extern "C" fn(cudaStream_t, *mut c_uint, *mut u64, *mut c_void, *mut c_void, *mut usize) -> c_uint;
        context::current()?;
        let get = by_name::<Get>(b"cuStreamGetCaptureInfo_v2\0")?;
        said(get(stream, status, id, graph, dependencies, count))
    }

    /// What other threads may do while this one records; gives the mode that was.
    fn cudaThreadExchangeStreamCaptureMode(mode: *mut c_uint) {
        type Exchange = unsafe extern "C" fn(*mut c_uint) -> c_uint;
        context::driver()?;
        said(by_name::<Exchange>(b"cuThreadExchangeStreamCaptureMode\0")?(mode))
    }

    /// Gives managed memory to a stream.
    fn cudaStreamAttachMemAsync(stream: cudaStream_t, pointer: *mut c_void, length: usize, flags: c_uint) {
        context::current()?;
        sys::cuStreamAttachMemAsync(stream, pointer as sys::CUdeviceptr, length, flags).ok()
    }

    /// A number that no other stream has.
    fn cudaStreamGetId(stream: cudaStream_t, id: *mut u64) {
        context::current()?;
        let mut found = 0;
        sys::cuStreamGetId(stream, &mut found).ok()?;
        put(id, found)
    }
}
