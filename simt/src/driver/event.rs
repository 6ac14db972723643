//! `cuEvent…`

use super::state::{Registry, current, lock};
use super::{Error, Result, put};
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

/// The event of a handle.
pub fn get(event: usize) -> Result<Arc<Event>> {
    EVENTS.get(event)
}

fn record(event: usize, stream: usize) -> Result<()> {
    super::stream::check(stream)?;
    *lock(&EVENTS.get(event)?.at) = Some(Instant::now());
    Ok(())
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

super::api! {
    /// A new event, not recorded.
    fn cuEventCreate(to: *mut usize, flags: c_uint) {
        current()?;
        let event = Event { at: Mutex::new(None), is_timed: flags & DISABLE_TIMING == 0 };
        put(to, EVENTS.insert(event))
    }
    /// Ends an event.
    fn cuEventDestroy_v2(event: usize) { EVENTS.remove(event).map(drop) }
    /// Now.
    fn cuEventRecord(event: usize, stream: usize) { record(event, stream) }
    /// Now; flags change nothing.
    fn cuEventRecordWithFlags(event: usize, stream: usize, _flags: c_uint) { record(event, stream) }
    /// It has happened.
    fn cuEventQuery(event: usize) { EVENTS.get(event).map(drop) }
    /// It has happened.
    fn cuEventSynchronize(event: usize) { EVENTS.get(event).map(drop) }
    /// Milliseconds between two events.
    fn cuEventElapsedTime(milliseconds: *mut f32, start: usize, end: usize) { elapsed(milliseconds, start, end) }
    /// As `cuEventElapsedTime`.
    fn cuEventElapsedTime_v2(milliseconds: *mut f32, start: usize, end: usize) { elapsed(milliseconds, start, end) }
}
