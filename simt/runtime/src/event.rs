//! Events: marks in a stream, with times.

use crate::context;
use crate::error::Said;
use crate::stream::cudaStream_t;
use cudarc::driver::sys::{self, CUevent};
use std::ffi::c_uint;

entry_points! {
    /// An event with a time.
    fn cudaEventCreate(event: *mut CUevent) {
        context::current()?;
        sys::cuEventCreate(event, 0).ok()
    }

    /// An event; with flag 2 without a time.
    fn cudaEventCreateWithFlags(event: *mut CUevent, flags: c_uint) {
        context::current()?;
        sys::cuEventCreate(event, flags).ok()
    }

    /// Ends an event.
    fn cudaEventDestroy(event: CUevent) {
        context::current()?;
        sys::cuEventDestroy_v2(event).ok()
    }

    /// Marks what a stream has been asked for so far.
    fn cudaEventRecord(event: CUevent, stream: cudaStream_t) {
        context::current()?;
        sys::cuEventRecord(event, stream).ok()
    }

    /// The same, with flags.
    fn cudaEventRecordWithFlags(event: CUevent, stream: cudaStream_t, flags: c_uint) {
        context::current()?;
        sys::cuEventRecordWithFlags(event, stream, flags).ok()
    }

    /// Waits for an event.
    fn cudaEventSynchronize(event: CUevent) {
        context::current()?;
        sys::cuEventSynchronize(event).ok()
    }

    /// Whether an event has come.
    fn cudaEventQuery(event: CUevent) {
        context::current()?;
        sys::cuEventQuery(event).ok()
    }

    /// Milliseconds between two events.
    fn cudaEventElapsedTime(milliseconds: *mut f32, start: CUevent, end: CUevent) {
        context::current()?;
        sys::cuEventElapsedTime(milliseconds, start, end).ok()
    }
}
