//! Which driver library this process talks to: the machine's, or the virtual GPU's.

use crate::device::{DeviceError, Result};
use cudarc::driver::{result, sys};
use std::ffi::{CStr, c_char, c_uint};
use std::path::PathBuf;
use std::sync::OnceLock;

/// A CUDA driver library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The machine's, with an NVIDIA GPU behind it.
    Nvidia,
    /// `simt`, which executes PTX on the CPU.
    Simt,
}

/// A file that is the virtual GPU's library, asked for before the usual places.
const SIMT: &str = "LREM_SIMT";

/// The virtual GPUs of a process whose environment does not choose (`SIMT_ARCH`): the first one executes what every
/// GPU can, quickest here, the second one what Hopper has of its own.
const ARCHS: &CStr = c"sm_80,sm_90a";

/// What is wrong, in one line that begins with what was asked for.
pub(super) fn unavailable(driver: Driver, what: impl std::fmt::Display) -> DeviceError {
    let device = match driver {
        Driver::Nvidia => "CUDA device",
        Driver::Simt => "virtual GPU",
    };
    DeviceError::Unavailable(format!("no {device}: {what}"))
}

/// Opens and starts a driver. A process keeps the first that it opens: both have the same symbols.
pub(super) fn open(driver: Driver) -> Result<()> {
    static OPENED: OnceLock<(Driver, std::result::Result<(), String>)> = OnceLock::new();
    let (opened, started) = OPENED.get_or_init(|| (driver, start(driver)));
    if *opened != driver {
        let what = format!("this process already uses the driver of {opened:?}");
        return Err(unavailable(driver, what));
    }
    started.clone().map_err(|what| unavailable(driver, what))
}

fn start(driver: Driver) -> std::result::Result<(), String> {
    if driver == Driver::Simt {
        preload(&simt_library()?)?;
    }
    // cudarc panics at its first call where there is no driver library, so this comes first.
    // SAFETY: opens and closes the driver library, which has no requirements.
    if !unsafe { sys::is_culib_present() } {
        return Err("the NVIDIA driver's library (libcuda.so.1) is not installed".into());
    }
    result::init().map_err(|error| format!("the driver does not start ({:?})", error.0))?;
    match result::device::get_count() {
        Ok(0) => Err("the driver lists no GPU".into()),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("the driver cannot list GPUs ({:?})", error.0)),
    }
}

/// Opens the virtual GPU's library for good. The loader then knows it by its SONAME, which is that of
/// the NVIDIA driver, and gives it to whoever asks for `libcuda.so`.
#[cfg(unix)]
fn preload(path: &std::path::Path) -> std::result::Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    let at_path = |error| format!("{}: {error}", path.display());
    // SAFETY: the library's initialisers do nothing.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) }.map_err(at_path)?;
    // SAFETY: the entry takes a string that ends in NUL.
    unsafe {
        let name = b"simtSetDefaultArch\0";
        let set = library.get::<unsafe extern "C" fn(*const c_char) -> c_uint>(name);
        set.map_err(at_path)?(ARCHS.as_ptr());
    }
    std::mem::forget(library);
    Ok(())
}

#[cfg(not(unix))]
fn preload(_: &std::path::Path) -> std::result::Result<(), String> {
    Err("the virtual GPU needs a Unix loader".into())
}

/// `libsimt.so` where `LREM_SIMT` says, or where cargo puts it: in `deps` beside a program, beside a
/// test.
fn simt_library() -> std::result::Result<PathBuf, String> {
    if let Some(path) = std::env::var_os(SIMT) {
        let path = PathBuf::from(path);
        return match path.is_file() {
            true => Ok(path),
            false => Err(format!("{SIMT} names {}, which is no file", path.display())),
        };
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = program.parent().unwrap_or(&program);
    ["deps/libsimt.so", "libsimt.so"]
        .map(|name| folder.join(name))
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| {
            let folder = folder.display();
            format!("libsimt.so is not in {folder}; {SIMT} may name the file")
        })
}
