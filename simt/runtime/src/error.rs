//! Errors: numbers, and the last one of each thread.
//!
//! The runtime's numbers are the driver's wherever both have an error (CUDA 10.1 and later).

use crate::names::{NAMES, TEXTS};
use cudarc::driver::sys::{self, CUresult};
use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// 0, or the number of an error.
#[allow(non_camel_case_types)]
pub type cudaError_t = u32;

/// An error by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error(pub cudaError_t);

/// The result of an entry point before it is a number.
pub type Result<T = ()> = std::result::Result<T, Error>;

impl Error {
    pub const INVALID_VALUE: Error = Error(1);
    pub const INVALID_CONFIGURATION: Error = Error(9);
    pub const INVALID_SYMBOL: Error = Error(13);
    pub const INVALID_COPY_DIRECTION: Error = Error(21);
    pub const INSUFFICIENT_DRIVER: Error = Error(35);
    pub const MISSING_CONFIGURATION: Error = Error(52);
    pub const INVALID_DEVICE_FUNCTION: Error = Error(98);
    pub const INVALID_DEVICE: Error = Error(101);
    pub const NOT_SUPPORTED: Error = Error(801);
    pub const UNKNOWN: Error = Error(999);
}

thread_local! {
    static LAST: Cell<cudaError_t> = const { Cell::new(0) };
}

/// Runs the body of an entry point and remembers its error. A panic ends there, as an error.
pub fn guarded(body: impl FnOnce() -> Result) -> cudaError_t {
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(Error::UNKNOWN));
    match result {
        Ok(()) => 0,
        Err(Error(code)) => {
            LAST.set(code);
            code
        }
    }
}

/// What a driver call said, as a result.
pub trait Said {
    /// # Errors
    /// What the call said, unless it is success.
    fn ok(self) -> Result;
}

impl Said for CUresult {
    fn ok(self) -> Result {
        match self as u32 {
            0 => Ok(()),
            code => Err(Error(code)),
        }
    }
}

/// Writes a result through a pointer that the caller gave.
///
/// # Safety
/// The pointer is null or valid for writes.
pub unsafe fn put<T>(to: *mut T, value: T) -> Result {
    if to.is_null() {
        return Err(Error::INVALID_VALUE);
    }
    // SAFETY: not null, and so valid by the caller's promise.
    unsafe { to.write(value) };
    Ok(())
}

/// Defines entry points: each body is a block that gives a [`Result`], in which calls of the driver are
/// allowed. What makes them sound is what the documentation of CUDA asks of callers: pointers are null or
/// valid for what the call does with them, handles come from the calls that make them.
macro_rules! entry_points {
    ($($(#[$meta:meta])* fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $body:block)*) => {$(
        $(#[$meta])*
        ///
        /// # Safety
        /// As the CUDA Runtime API documentation asks of its callers.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $kind),*) -> $crate::error::cudaError_t {
            // SAFETY: the caller's promise, see above.
            #[allow(unused_unsafe)]
            $crate::error::guarded(|| unsafe { $body })
        }
    )*};
}

/// The last error of this thread, which is forgotten.
#[unsafe(no_mangle)]
pub extern "C" fn cudaGetLastError() -> cudaError_t {
    LAST.replace(0)
}

/// The last error of this thread.
#[unsafe(no_mangle)]
pub extern "C" fn cudaPeekAtLastError() -> cudaError_t {
    LAST.get()
}

fn find(table: &'static [(u32, &'static CStr)], code: cudaError_t) -> Option<&'static CStr> {
    let found = table.iter().find(|(number, _)| *number == code);
    found.map(|(_, text)| *text)
}

/// The name of an error, such as `cudaErrorInvalidValue`.
#[unsafe(no_mangle)]
pub extern "C" fn cudaGetErrorName(code: cudaError_t) -> *const c_char {
    find(NAMES, code)
        .unwrap_or(c"unrecognized error code")
        .as_ptr()
}

/// What an error means, in words.
#[unsafe(no_mangle)]
pub extern "C" fn cudaGetErrorString(code: cudaError_t) -> *const c_char {
    let Some(name) = find(NAMES, code) else {
        return c"unrecognized error code".as_ptr();
    };
    if let Some(text) = find(TEXTS, code) {
        return text.as_ptr();
    }
    let mut text = std::ptr::null();
    let asked = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the runtime's error numbers that are not in `TEXTS` may be none of the driver's, so the
        // driver is asked by number, through a function whose argument is one.
        unsafe { error_string(code, &mut text) }
    }));
    match asked {
        Ok(()) if !text.is_null() => text,
        _ => name.as_ptr(),
    }
}

/// # Safety
/// `text` is valid for writes.
unsafe fn error_string(code: cudaError_t, text: &mut *const c_char) {
    type Function = unsafe extern "C" fn(u32, *mut *const c_char) -> u32;
    // SAFETY: the signature is that of cuda.h, but for the enumeration, whose representation is a u32.
    unsafe {
        if let Ok(function) = sys::culib().get::<Function>(b"cuGetErrorString\0") {
            function(code, text);
        }
    }
}
