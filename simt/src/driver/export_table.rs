//! `cuGetExportTable`: tables of functions that NVIDIA's own libraries call and nobody describes.
//!
//! NVIDIA's runtime library asks for some of them when it starts, and by one of them it has the driver
//! prove that it is NVIDIA's. This driver is not, and does not say that it is: there are no tables.

use super::{Error, is_logging, put};
use std::ffi::c_void;

super::api! {
    /// There are none.
    fn cuGetExportTable(to: *mut *const c_void, id: *const [u8; 16]) {
        let id = id.as_ref().ok_or(Error::InvalidValue)?;
        put(to, std::ptr::null())?;
        if is_logging() {
            let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("simt: not supported: cuGetExportTable of {id}");
        }
        Err(Error::NotSupported)
    }
}
