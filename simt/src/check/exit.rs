//! The end of the process: leaks, the summary, the exit code of `SIMT_CHECK_EXIT`.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

unsafe extern "C" {
    fn atexit(handler: extern "C" fn()) -> c_int;
    fn fflush(stream: *mut c_void) -> c_int;
    fn _exit(status: c_int) -> !;
}

static LAST: OnceLock<Box<dyn Fn() -> bool + Send + Sync>> = OnceLock::new();

/// Has `last` called when the process ends, or when it unloads the library; the process's exit code
/// becomes that of `SIMT_CHECK_EXIT` where it answers that something was found.
pub fn at_exit(last: impl Fn() -> bool + Send + Sync + 'static) {
    if LAST.set(Box::new(last)).is_ok() {
        // SAFETY: a function of this library, which `atexit` forgets when the library is unloaded. That
        // there is no room for it is no reason to stop.
        unsafe { atexit(handler) };
    }
}

extern "C" fn handler() {
    let found = std::panic::catch_unwind(|| LAST.get().is_some_and(|last| last()));
    let code = std::env::var("SIMT_CHECK_EXIT")
        .ok()
        .and_then(|code| code.parse::<c_int>().ok());
    if let (Ok(true), Some(code)) = (found, code) {
        // SAFETY: what the program has printed is written out first, as at a usual exit.
        unsafe {
            fflush(std::ptr::null_mut());
            _exit(code)
        }
    }
}
