//! `cuGetProcAddress`: entry points by name and version.

use super::versions::VERSIONS;
use super::{Address, Error, Result, graph, put, text};
use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

const TABLES: &[&[(&str, Address)]] = &[
    super::aliases::TABLE,
    super::context::TABLE,
    super::copy::TABLE,
    super::device::TABLE,
    super::error::TABLE,
    super::event::TABLE,
    super::export_table::TABLE,
    super::function::TABLE,
    super::host_memory::TABLE,
    super::launch::TABLE,
    super::library::TABLE,
    super::linker::TABLE,
    super::memory::TABLE,
    super::module::TABLE,
    super::occupancy::TABLE,
    super::pointer::TABLE,
    super::pool::TABLE,
    super::profiler::TABLE,
    super::stream::TABLE,
    super::stream_capture::TABLE,
    super::tensor_map::TABLE,
    super::unsupported::TABLE,
    super::virtual_memory::TABLE,
    super::wait_value::TABLE,
    TABLE,
];

/// `CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM`
const PER_THREAD: u64 = 2;

/// `CUdriverProcAddressQueryResult`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Found = 0,
    NotFound = 1,
    /// There is one, but not of a version as old as was asked for.
    TooOld = 2,
}

fn symbols() -> &'static HashMap<&'static str, Address> {
    static SYMBOLS: OnceLock<HashMap<&str, Address>> = OnceLock::new();
    SYMBOLS.get_or_init(|| {
        let all = TABLES.iter().chain(&graph::TABLES).copied().flatten();
        all.copied().collect()
    })
}

/// The symbol for a name without version: callers ask for `cuMemAlloc` and mean `cuMemAlloc_v2`.
fn symbol(name: &str, version: c_int) -> std::result::Result<String, Status> {
    if let Some((_, versions)) = VERSIONS.iter().find(|(base, _)| *base == name) {
        let fits = versions.iter().rev().find(|(since, _)| *since <= version);
        return fits
            .map(|(_, symbol)| (*symbol).to_owned())
            .ok_or(Status::TooOld);
    }
    let candidates = ["_v3", "_v2", ""].map(|suffix| format!("{name}{suffix}"));
    let known = candidates
        .into_iter()
        .find(|name| symbols().contains_key(name.as_str()));
    known.ok_or(Status::NotFound)
}

fn find(name: &str, version: c_int, flags: u64) -> std::result::Result<Address, Status> {
    let symbol = symbol(name, version)?;
    let get = |name: &str| symbols().get(name).copied();
    let own_stream = || {
        let variants = ["_ptsz", "_ptds"].map(|suffix| format!("{symbol}{suffix}"));
        variants.iter().find_map(|name| get(name))
    };
    let variant = if flags & PER_THREAD != 0 {
        own_stream()
    } else {
        None
    };
    variant.or_else(|| get(&symbol)).ok_or(Status::NotFound)
}

unsafe fn look_up(
    name: *const c_char,
    to: *mut *const c_void,
    version: c_int,
    flags: u64,
    status: *mut c_uint,
) -> Result<()> {
    // SAFETY: the entry points give pointers that are null or valid.
    unsafe {
        let name = text(name)?;
        let found = find(name, version, flags);
        let address = found.map_or(std::ptr::null(), |address| address.0.cast());
        if !to.is_null() {
            put(to, address)?;
        }
        let state = found.err().unwrap_or(Status::Found);
        if !status.is_null() {
            put(status, state as c_uint)?;
        }
        if found.is_err() && super::is_logging() {
            eprintln!("simt: no entry point {name} of version {version}");
        }
        // Who asks for the status learns it from there.
        match found {
            Err(_) if status.is_null() => Err(Error::NotFound),
            _ => Ok(()),
        }
    }
}

super::api! {
    /// The address of an entry point.
    fn cuGetProcAddress(name: *const c_char, to: *mut *const c_void, version: c_int, flags: u64) {
        look_up(name, to, version, flags, std::ptr::null_mut())
    }
    /// The address of an entry point, and whether there is one.
    fn cuGetProcAddress_v2(
        name: *const c_char,
        to: *mut *const c_void,
        version: c_int,
        flags: u64,
        status: *mut c_uint,
    ) {
        look_up(name, to, version, flags, status)
    }
}
