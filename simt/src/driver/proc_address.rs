//! `cuGetProcAddress`: entry points by name.

use super::{Address, Error, Result, put, text};
use std::ffi::{c_char, c_int, c_uint, c_void};

const TABLES: &[&[(&str, Address)]] = &[
    super::context::TABLE,
    super::device::TABLE,
    super::error::TABLE,
    super::event::TABLE,
    super::function::TABLE,
    super::launch::TABLE,
    super::memory::TABLE,
    super::module::TABLE,
    super::occupancy::TABLE,
    super::stream::TABLE,
    super::tensor_map::TABLE,
    super::unsupported::TABLE,
    TABLE,
];

/// The newest form of an entry point: callers ask for `cuMemAlloc` and mean `cuMemAlloc_v2`.
fn find(name: &str) -> Option<Address> {
    ["_v3", "_v2", ""].iter().find_map(|version| {
        let name = format!("{name}{version}");
        let entries = TABLES.iter().copied().flatten();
        entries
            .into_iter()
            .find(|(n, _)| *n == name)
            .map(|(_, address)| *address)
    })
}

unsafe fn look_up(name: *const c_char, to: *mut *const c_void, status: *mut c_uint) -> Result<()> {
    // SAFETY: the entry points give pointers that are null or valid.
    unsafe {
        let name = text(name)?;
        let found = find(name);
        put(
            to,
            found.map_or(std::ptr::null(), |address| address.0.cast()),
        )?;
        if !status.is_null() {
            put(status, if found.is_some() { 0 } else { 1 })?;
        }
        match found {
            Some(_) => Ok(()),
            None => {
                if super::is_logging() {
                    eprintln!("simt: no entry point {name}");
                }
                Err(Error::NotFound)
            }
        }
    }
}

super::api! {
    /// The address of an entry point.
    fn cuGetProcAddress(name: *const c_char, to: *mut *const c_void, _version: c_int, _flags: u64) {
        look_up(name, to, std::ptr::null_mut())
    }
    /// The address of an entry point, and whether there is one.
    fn cuGetProcAddress_v2(
        name: *const c_char,
        to: *mut *const c_void,
        _version: c_int,
        _flags: u64,
        status: *mut c_uint,
    ) {
        look_up(name, to, status)
    }
}
