//! The CUDA device: kernels compiled by `build.rs`, launched through the driver.

mod kernels;

pub use kernels::{Cubin, Kernel, compiler, kernel, kernels};

use super::DeviceError;
use cudarc::driver::{result, sys};

/// Whether CUDA can be used: a driver library, a GPU and compiled kernels. The error says in one line
/// which of them is missing.
pub fn available() -> super::Result<()> {
    let missing = |what: String| Err(DeviceError::Unavailable(format!("no CUDA device: {what}")));
    // cudarc panics at its first call where there is no driver library, so this comes first.
    // SAFETY: opens and closes the driver library, which has no requirements.
    if !unsafe { sys::is_culib_present() } {
        return missing("the NVIDIA driver's library (libcuda.so.1) is not installed".to_owned());
    }
    if let Err(error) = result::init() {
        return missing(format!("the driver does not start ({:?})", error.0));
    }
    match result::device::get_count() {
        Ok(0) => return missing("the driver lists no GPU".to_owned()),
        Ok(_) => {}
        Err(error) => return missing(format!("the driver cannot list GPUs ({:?})", error.0)),
    }
    if kernels().is_empty() {
        return missing(
            "this program was built without NVRTC and has no kernels; run `make setup`, then build again"
                .to_owned(),
        );
    }
    Ok(())
}
