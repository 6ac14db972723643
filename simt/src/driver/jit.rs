//! Options of what would be compiled: log buffers are filled, the rest is a matter of speed.

use super::module::Refusal;
use super::{Error, Result};
use std::collections::HashMap;
use std::ffi::{c_uint, c_void};

const INFO_LOG_BUFFER: c_uint = 3;
const INFO_LOG_BYTES: c_uint = 4;
const ERROR_LOG_BUFFER: c_uint = 5;
const ERROR_LOG_BYTES: c_uint = 6;

/// `CUjit_option`s with the places of their values.
#[derive(Default)]
pub struct Options(HashMap<c_uint, Value>);

/// Where a value is, and what it was at first: what a call writes back is not the next call's input.
#[derive(Clone, Copy)]
struct Value(*const *mut c_void, usize);

// SAFETY: an address that the program has given; it is used only in calls with the program's promise
// that it is valid.
unsafe impl Send for Value {}
// SAFETY: as above.
unsafe impl Sync for Value {}

impl Options {
    /// Options and values as the caller gives them.
    ///
    /// # Safety
    /// There are as many of both as `count` says, and they live as long as the options are in use.
    pub unsafe fn new(
        count: c_uint,
        options: *const c_uint,
        values: *const *mut c_void,
    ) -> Result<Options> {
        if count > 0 && (options.is_null() || values.is_null()) {
            return Err(Error::InvalidValue);
        }
        // SAFETY: the caller's promise.
        let pair = |at: usize| unsafe {
            let value = values.add(at);
            (options.add(at).read(), Value(value, value.read() as usize))
        };
        Ok(Options((0..count as usize).map(pair).collect()))
    }

    /// Fills the log buffers: nothing to say, or what is wrong. Without a buffer for it that goes to
    /// stderr.
    pub fn report<T>(&self, done: std::result::Result<T, Refusal>) -> Result<T> {
        let message = done.as_ref().err().map_or("", |(_, message)| message);
        self.fill(INFO_LOG_BUFFER, INFO_LOG_BYTES, "");
        let is_told = self.fill(ERROR_LOG_BUFFER, ERROR_LOG_BYTES, message);
        done.map_err(|(error, message)| {
            if !is_told && !message.is_empty() {
                eprintln!("simt: module refused: {message}");
            }
            error
        })
    }

    fn fill(&self, buffer: c_uint, bytes: c_uint, text: &str) -> bool {
        let (Some(to), Some(size)) = (self.0.get(&buffer), self.0.get(&bytes)) else {
            return false;
        };
        // SAFETY: these options say that the first value is a buffer, and the second its size, which
        // the call replaces by the bytes written.
        unsafe {
            let (to, room) = (to.1 as *mut u8, size.1);
            let length = text.len().min(room.saturating_sub(1));
            if !to.is_null() && room > 0 {
                to.copy_from(text.as_ptr(), length);
                to.add(length).write(0);
            }
            size.0.cast_mut().cast::<usize>().write(length);
            !to.is_null() && room > 0
        }
    }
}

/// A file with an image.
///
/// # Errors
/// There is no such file.
pub fn read(path: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|_| Error::FileNotFound)
}
