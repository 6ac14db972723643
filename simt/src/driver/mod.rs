//! The CUDA driver API, as `libcuda.so` exports it. Thin: arguments are checked, the rest is elsewhere.
//!
//! Everything happens at the call, in the order of the calls: streams are always done. That is one of
//! the orders that CUDA allows, but for programs in which a running kernel waits for the host.

mod aliases;
mod attributes;
mod capture;
mod chip;
mod context;
mod copy;
mod device;
mod error;
mod event;
mod export_table;
mod function;
mod graph;
mod host_memory;
mod jit;
mod launch;
mod library;
mod linker;
mod memory;
mod module;
pub(crate) mod occupancy;
mod pointer;
mod pool;
mod proc_address;
mod profiler;
mod state;
mod stream;
mod stream_capture;
mod tensor_map;
mod unsupported;
mod versions;
mod virtual_memory;
mod wait_value;
mod work;

pub use chip::Chip;
pub use error::Error;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What every entry point returns: 0, or the number of an [`Error`].
pub type CUresult = u32;

/// The result of an entry point before it is a number.
pub type Result<T> = std::result::Result<T, Error>;

/// The address of an entry point.
#[derive(Clone, Copy)]
pub struct Address(pub *const ());

// SAFETY: the address of a function, which any thread may call.
unsafe impl Sync for Address {}
// SAFETY: as above.
unsafe impl Send for Address {}

/// Runs the body of the entry point of that name. A panic ends there, as an error.
fn guarded(name: &'static str, body: impl FnOnce() -> Result<()>) -> CUresult {
    match crate::watch::with_call(name, || catch_unwind(AssertUnwindSafe(body))) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => error as u32,
        Err(_) => Error::Unknown as u32,
    }
}

/// Writes a result through a pointer that the caller gave.
///
/// # Safety
/// The pointer is null or valid for writes.
unsafe fn put<T>(to: *mut T, value: T) -> Result<()> {
    if to.is_null() {
        return Err(Error::InvalidValue);
    }
    // SAFETY: not null, and so valid by the caller's promise.
    unsafe { to.write(value) };
    Ok(())
}

/// The C string at a pointer.
///
/// # Safety
/// The pointer is null or that of a C string.
unsafe fn text<'a>(from: *const std::ffi::c_char) -> Result<&'a str> {
    if from.is_null() {
        return Err(Error::InvalidValue);
    }
    // SAFETY: not null, and so a C string by the caller's promise.
    let text = unsafe { std::ffi::CStr::from_ptr(from) };
    text.to_str().map_err(|_| Error::InvalidValue)
}

/// Whether `SIMT_LOG` asks for messages.
fn is_logging() -> bool {
    static LOGGING: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *LOGGING.get_or_init(|| std::env::var_os("SIMT_LOG").is_some_and(|v| !v.is_empty() && v != "0"))
}

/// Defines entry points, and a table of their names and addresses.
///
/// Bodies are of type `Result<()>` and may use what the caller's pointers point to: the caller of a
/// C function promises that they are what its documentation says.
macro_rules! api {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            /// As for the CUDA function of this name: pointers are null or valid.
            #[unsafe(no_mangle)]
            #[allow(unused_unsafe, non_snake_case, clippy::too_many_arguments)]
            pub unsafe extern "C" fn $name($($arg: $ty),*) -> $crate::driver::CUresult {
                // SAFETY: the caller's promise.
                $crate::driver::guarded(stringify!($name), || unsafe { $body })
            }
        )*

        /// The entry points of this file.
        pub const TABLE: &[(&str, $crate::driver::Address)] =
            &[$((stringify!($name), $crate::driver::Address($name as *const ()))),*];
    };
}
use api;
