//! `cuEvent…`

use super::state::{Registry, current, lock};
use super::work::{Work, submit};
use super::{Error, Result, capture, put, stream};
use std::ffi::c_uint;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// When an event was recorded.
pub struct Event {
    at: Mutex<Option<Instant>>,
    is_timed: bool,
}

static EVENTS: Registry<Event> = Registry::new();
/// `CU_EVENT_DISABLE_TIMING`
const DISABLE_TIMING: c_uint = 2;
/// `CU_EVENT_INTERPROCESS`
const INTERPROCESS: c_uint = 4;
/// `CU_EVENT_RECORD_EXTERNAL`
const RECORD_EXTERNAL: c_uint = 1;

/// The event of a handle.
pub fn get(event: usize) -> Result<Arc<Event>> {
    EVENTS.get(event)
}

/// It happens now.
pub fn happened(event: usize) -> Result<()> {
    *lock(&EVENTS.get(event)?.at) = Some(Instant::now());
    Ok(())
}

/// Now, or where the captured stream stands.
pub fn record(event: usize, stream: usize, flags: c_uint) -> Result<()> {
    stream::check(stream)?;
    EVENTS.get(event)?;
    if flags & RECORD_EXTERNAL != 0 {
        return submit(stream, Work::Record(event));
    }
    match capture::record(event, stream)? {
        true => Ok(()),
        false => happened(event),
    }
}

fn elapsed(milliseconds: *mut f32, start: usize, end: usize) -> Result<()> {
    let (start, end) = (EVENTS.get(start)?, EVENTS.get(end)?);
    if !start.is_timed || !end.is_timed {
        return Err(Error::InvalidHandle);
    }
    let (Some(from), Some(to)) = (*lock(&start.at), *lock(&end.at)) else {
        return Err(Error::InvalidHandle);
    };
    let later = to.saturating_duration_since(from).as_secs_f64();
    let earlier = from.saturating_duration_since(to).as_secs_f64();
    // SAFETY: the entry points give pointers that are null or valid.
    unsafe { put(milliseconds, ((later - earlier) * 1e3) as f32) }
}

/// It has happened, if it does not wait in a graph; errors of the context show here too.
fn done(event: usize) -> Result<()> {
    EVENTS.get(event)?;
    capture::forbid_event(event)?;
    match current() {
        Ok(_) | Err(Error::InvalidContext) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether it was ever recorded outside a capture.
pub fn is_recorded(event: usize) -> bool {
    EVENTS
        .get(event)
        .is_ok_and(|event| lock(&event.at).is_some())
}

super::api! {
    /// A new event, not recorded.
    fn cuEventCreate(to: *mut usize, flags: c_uint) {
        current()?;
        if flags > 7 || flags & INTERPROCESS != 0 && flags & DISABLE_TIMING == 0 {
            return Err(Error::InvalidValue);
        }
        let event = Event { at: Mutex::new(None), is_timed: flags & DISABLE_TIMING == 0 };
        put(to, EVENTS.insert(event))
    }
    /// Ends an event.
    fn cuEventDestroy_v2(event: usize) { EVENTS.remove(event).map(drop) }
    /// Now, or where the captured stream stands.
    fn cuEventRecord(event: usize, stream: usize) { record(event, stream, 0) }
    /// As before; an external record becomes a node.
    fn cuEventRecordWithFlags(event: usize, stream: usize, flags: c_uint) { record(event, stream, flags) }
    /// It has happened.
    fn cuEventQuery(event: usize) { done(event) }
    /// It has happened.
    fn cuEventSynchronize(event: usize) { done(event) }
    /// Milliseconds between two events.
    fn cuEventElapsedTime(milliseconds: *mut f32, start: usize, end: usize) { elapsed(milliseconds, start, end) }
    /// As `cuEventElapsedTime`.
    fn cuEventElapsedTime_v2(milliseconds: *mut f32, start: usize, end: usize) { elapsed(milliseconds, start, end) }
}
