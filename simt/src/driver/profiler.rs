//! `cuProfiler…`, `cuCoredump…`, `cuLogs…`. The profiler's range is that of whoever looks on; of the others nobody
//! is.

use super::state::current;
use super::{Error, Result, put};
use std::ffi::{c_char, c_int, c_uint, c_void};

fn profiler(is_on: bool) -> Result<()> {
    current()?;
    let watches = crate::watch::registered();
    watches.iter().for_each(|watch| watch.profiler(is_on));
    Ok(())
}

super::api! {
    /// Accepted.
    fn cuProfilerInitialize(_config: *const c_char, _output: *const c_char, _mode: c_int) { Ok(()) }
    /// A range of launches begins, unless there is one.
    fn cuProfilerStart() { profiler(true) }
    /// The range of launches ends, if there is one.
    fn cuProfilerStop() { profiler(false) }
    /// No core is ever written.
    fn cuCoredumpGetAttribute(_attribute: c_uint, value: *mut c_void, bytes: *mut usize) {
        let room = *bytes.as_ref().ok_or(Error::InvalidValue)?;
        if value.is_null() {
            return Err(Error::InvalidValue);
        }
        value.cast::<u8>().write_bytes(0, room);
        Ok(())
    }
    /// As before.
    fn cuCoredumpGetAttributeGlobal(attribute: c_uint, value: *mut c_void, bytes: *mut usize) {
        super::error::check(cuCoredumpGetAttribute(attribute, value, bytes))
    }
    /// There is no log: it ends where it begins.
    fn cuLogsCurrent(iterator: *mut c_uint, _flags: c_uint) { put(iterator, 0) }
    /// There is no log.
    fn cuLogsRegisterCallback(_callback: *const c_void, _data: *mut c_void, handle: *mut usize) {
        put(handle, 1)
    }
    /// There is no log.
    fn cuLogsUnregisterCallback(_handle: usize) { Ok(()) }
}
