//! Kernels through cudarc, on the library as a program would load it.
//!
//! Not every test program uses all of it.
#![allow(dead_code)]

use cudarc::driver::{CudaContext, CudaFunction, CudaStream};
use cudarc::nvrtc::Ptx;
use std::path::PathBuf;
use std::sync::{Arc, Once};

/// The stream of a device of the virtual GPU, never of a real one.
pub fn stream() -> Arc<CudaStream> {
    load();
    CudaContext::new(0).expect("a device").default_stream()
}

/// Opens the library by its path before cudarc asks the loader for `libcuda.so`: by its SONAME the
/// loader then knows it.
fn load() {
    static LOADED: Once = Once::new();
    LOADED.call_once(|| {
        let flags = libloading::os::unix::RTLD_NOW | libloading::os::unix::RTLD_GLOBAL;
        // SAFETY: the library's initialisers do nothing.
        let library = unsafe { libloading::os::unix::Library::open(Some(path()), flags) };
        std::mem::forget(library.expect("the driver library"));
    });
}

/// The cdylib, which cargo builds beside the test programs.
fn path() -> PathBuf {
    let program = std::env::current_exe().expect("the path of this program");
    let folder = program.parent().expect("a folder");
    folder.join("libsimt.so")
}

/// A kernel of a PTX text.
pub fn kernel(stream: &Arc<CudaStream>, ptx: &str, name: &str) -> CudaFunction {
    let module = stream.context().load_module(Ptx::from_src(ptx));
    module
        .expect("a module")
        .load_function(name)
        .expect("a function")
}

/// Fresh numbers for every run; the seed is printed, so that a failure shows it.
pub struct Random(u64);

impl Random {
    pub fn new() -> Random {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = time.expect("a clock after 1970").as_nanos() as u64;
        println!("seed {seed:#x}");
        Random(seed)
    }

    /// 64 random bits (splitmix64).
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Uniform in [-1, 1).
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// Below `n`.
    pub fn below(&mut self, n: u32) -> u32 {
        (self.bits() % u64::from(n)) as u32
    }
}
