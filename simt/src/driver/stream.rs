//! `cuStream…`. Work is done when it is asked for, so that a stream is always empty.

use super::state::{Registry, current};
use super::{Error, Result, put};
use std::ffi::{c_int, c_uint, c_void};

/// A stream: only that it exists.
pub struct Stream {
    flags: c_uint,
    context: usize,
}

static STREAMS: Registry<Stream> = Registry::new();

/// Checks a stream's handle; null, 1 and 2 are the default streams.
pub fn check(stream: usize) -> Result<()> {
    current()?;
    if stream <= 2 {
        Ok(())
    } else {
        STREAMS.get(stream).map(drop)
    }
}

fn create(to: *mut usize, flags: c_uint) -> Result<()> {
    current()?;
    let context = super::state::current_handle();
    // SAFETY: the entry points give pointers that are null or valid.
    unsafe { put(to, STREAMS.insert(Stream { flags, context })) }
}

super::api! {
    /// A new stream.
    fn cuStreamCreate(to: *mut usize, flags: c_uint) { create(to, flags) }
    /// A new stream; priorities change nothing.
    fn cuStreamCreateWithPriority(to: *mut usize, flags: c_uint, _priority: c_int) { create(to, flags) }
    /// Ends a stream.
    fn cuStreamDestroy_v2(stream: usize) { STREAMS.remove(stream).map(drop) }
    /// Nothing is under way.
    fn cuStreamSynchronize(stream: usize) { check(stream) }
    /// It is done.
    fn cuStreamQuery(stream: usize) { check(stream) }
    /// What the event stands for has happened.
    fn cuStreamWaitEvent(stream: usize, event: usize, _flags: c_uint) {
        check(stream)?;
        super::event::get(event).map(drop)
    }
    /// The flags it was made with.
    fn cuStreamGetFlags(stream: usize, flags: *mut c_uint) {
        check(stream)?;
        put(flags, STREAMS.get(stream).map_or(0, |s| s.flags))
    }
    /// All have the same.
    fn cuStreamGetPriority(stream: usize, priority: *mut c_int) {
        check(stream)?;
        put(priority, 0)
    }
    /// The context it was made in.
    fn cuStreamGetCtx(stream: usize, to: *mut usize) {
        check(stream)?;
        put(to, STREAMS.get(stream).map_or(super::state::current_handle(), |s| s.context))
    }
    /// Nothing is captured.
    fn cuStreamIsCapturing(stream: usize, status: *mut c_uint) {
        check(stream)?;
        put(status, 0)
    }
    /// Managed memory is the host's.
    fn cuStreamAttachMemAsync(stream: usize, _at: u64, _length: usize, _flags: c_uint) { check(stream) }
    /// Calls the host function at once: all work before it is done.
    fn cuLaunchHostFunc(stream: usize, f: Option<unsafe extern "C" fn(*mut c_void)>, data: *mut c_void) {
        check(stream)?;
        f.ok_or(Error::InvalidValue)?(data);
        Ok(())
    }
    /// Calls back at once, with success.
    fn cuStreamAddCallback(
        stream: usize,
        f: Option<unsafe extern "C" fn(usize, c_uint, *mut c_void)>,
        data: *mut c_void,
        _flags: c_uint,
    ) {
        check(stream)?;
        f.ok_or(Error::InvalidValue)?(stream, 0, data);
        Ok(())
    }
}
