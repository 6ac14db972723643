//! `cuStream…`. Work is done when it is asked for, so that a stream is always empty.

use super::state::{Registry, current, current_any, current_handle, lock};
use super::work::{HostCall, HostFn, Work, submit};
use super::{Error, Result, capture, event, put};
use std::collections::HashMap;
use std::ffi::{c_int, c_uint, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// `CUlaunchAttributeValue`: 64 bytes of which each attribute uses some.
pub type AttributeValue = [u64; 8];

/// A stream: only that it exists.
pub struct Stream {
    pub flags: c_uint,
    priority: c_int,
    context: usize,
    id: u64,
    attributes: Mutex<HashMap<c_uint, AttributeValue>>,
}

static STREAMS: Registry<Stream> = Registry::new();
/// Numbers of streams; the default streams have 1 and 2.
static IDS: AtomicU64 = AtomicU64::new(16);

/// `CU_STREAM_NON_BLOCKING`
pub const NON_BLOCKING: c_uint = 1;
/// `CU_EVENT_WAIT_EXTERNAL`
const WAIT_EXTERNAL: c_uint = 1;

/// Checks a stream's handle; null, 1 and 2 are the default streams.
pub fn check(stream: usize) -> Result<()> {
    current()?;
    if stream <= 2 {
        Ok(())
    } else {
        STREAMS.get(stream).map(drop)
    }
}

/// The flags that a stream was made with.
pub fn flags(stream: usize) -> c_uint {
    STREAMS.get(stream).map_or(0, |s| s.flags)
}

fn create(to: *mut usize, flags: c_uint, priority: c_int) -> Result<()> {
    current()?;
    if flags > NON_BLOCKING {
        return Err(Error::InvalidValue);
    }
    let stream = Stream {
        flags,
        priority: priority.clamp(-5, 0),
        context: current_handle(),
        id: IDS.fetch_add(1, Ordering::Relaxed),
        attributes: Mutex::default(),
    };
    // SAFETY: the entry points give pointers that are null or valid.
    unsafe { put(to, STREAMS.insert(stream)) }
}

/// The stream of a handle, none for a default stream.
fn find(stream: usize) -> Result<Option<Arc<Stream>>> {
    check(stream)?;
    match stream {
        0..=2 => Ok(None),
        _ => STREAMS.get(stream).map(Some),
    }
}

/// Nothing is under way; but what is captured has not begun.
fn done(stream: usize) -> Result<()> {
    check(stream)?;
    capture::forbid(stream)
}

super::api! {
    /// A new stream.
    fn cuStreamCreate(to: *mut usize, flags: c_uint) { create(to, flags, 0) }
    /// A new stream; priorities are kept and change nothing.
    fn cuStreamCreateWithPriority(to: *mut usize, flags: c_uint, priority: c_int) {
        create(to, flags, priority)
    }
    /// Ends a stream.
    fn cuStreamDestroy_v2(stream: usize) {
        STREAMS.remove(stream)?;
        capture::forget(stream);
        Ok(())
    }
    /// Nothing is under way.
    fn cuStreamSynchronize(stream: usize) { done(stream) }
    /// It is done.
    fn cuStreamQuery(stream: usize) { done(stream) }
    /// What the event stands for has happened, or will in the graph that is captured.
    fn cuStreamWaitEvent(stream: usize, event: usize, flags: c_uint) {
        check(stream)?;
        event::get(event)?;
        if flags & WAIT_EXTERNAL != 0 {
            return submit(stream, Work::Wait(event));
        }
        capture::wait(stream, event)
    }
    /// The flags it was made with.
    fn cuStreamGetFlags(stream: usize, flags: *mut c_uint) {
        put(flags, find(stream)?.map_or(0, |s| s.flags))
    }
    /// The priority it was made with.
    fn cuStreamGetPriority(stream: usize, priority: *mut c_int) {
        put(priority, find(stream)?.map_or(0, |s| s.priority))
    }
    /// A number that no other stream of the process has.
    fn cuStreamGetId(stream: usize, id: *mut u64) {
        put(id, find(stream)?.map_or(stream.max(1) as u64, |s| s.id))
    }
    /// The context it was made in.
    fn cuStreamGetCtx(stream: usize, to: *mut usize) {
        put(to, find(stream)?.map_or_else(current_handle, |s| s.context))
    }
    /// The context it was made in; none is green.
    fn cuStreamGetCtx_v2(stream: usize, to: *mut usize, green: *mut usize) {
        put(to, find(stream)?.map_or_else(current_handle, |s| s.context))?;
        if green.is_null() { Ok(()) } else { put(green, 0) }
    }
    /// The device of its context.
    fn cuStreamGetDevice(stream: usize, to: *mut c_int) {
        let device = match find(stream)? {
            Some(stream) => super::state::CONTEXTS.get(stream.context)?.device,
            None => current_any()?.device,
        };
        put(to, device as c_int)
    }
    /// An attribute as set, or zeros.
    fn cuStreamGetAttribute(stream: usize, attribute: c_uint, value: *mut AttributeValue) {
        let found = find(stream)?.and_then(|s| lock(&s.attributes).get(&attribute).copied());
        put(value, found.unwrap_or_default())
    }
    /// Attributes are kept; none changes how a stream runs.
    fn cuStreamSetAttribute(stream: usize, attribute: c_uint, value: *const AttributeValue) {
        let value = *value.as_ref().ok_or(Error::InvalidValue)?;
        if let Some(stream) = find(stream)? {
            lock(&stream.attributes).insert(attribute, value);
        }
        Ok(())
    }
    /// Gives a stream another's attributes.
    fn cuStreamCopyAttributes(to: usize, from: usize) {
        if let (Some(to), Some(from)) = (find(to)?, find(from)?) {
            let copied = lock(&from.attributes).clone();
            *lock(&to.attributes) = copied;
        }
        Ok(())
    }
    /// Managed memory is the host's.
    fn cuStreamAttachMemAsync(stream: usize, _at: u64, _length: usize, _flags: c_uint) { check(stream) }
    /// Calls the host function: all work before it is done.
    fn cuLaunchHostFunc(stream: usize, function: Option<HostFn>, data: *mut c_void) {
        let function = function.ok_or(Error::InvalidValue)?;
        submit(stream, Work::Host(HostCall { function, data: data as usize }))
    }
    /// Calls back at once, with success.
    fn cuStreamAddCallback(
        stream: usize,
        function: Option<unsafe extern "C" fn(usize, c_uint, *mut c_void)>,
        data: *mut c_void,
        _flags: c_uint,
    ) {
        let function = function.ok_or(Error::InvalidValue)?;
        done(stream)?;
        function(stream, 0, data);
        Ok(())
    }
}
