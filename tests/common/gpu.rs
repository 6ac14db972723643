//! A GPU as a device under test, with activations in f32 and in bf16: the virtual one, or the machine's where
//! `LREM_TEST_DEVICE` is `cuda`.

use half::bf16;
use lrem::device::cuda::{Cuda, Driver, kernels};
use std::sync::OnceLock;

/// Whose driver the tests use.
pub fn driver() -> Driver {
    match std::env::var("LREM_TEST_DEVICE").as_deref() {
        Ok("cuda") => Driver::Nvidia,
        Ok("simt") | Err(_) => Driver::Simt,
        Ok(other) => panic!("LREM_TEST_DEVICE is {other}; expected cuda or simt"),
    }
}

/// The GPU in f32; `None` in a build without kernels.
pub fn gpu_f32() -> Option<&'static Cuda<f32>> {
    static GPU: OnceLock<Option<Cuda<f32>>> = OnceLock::new();
    GPU.get_or_init(|| (!kernels().is_empty()).then(|| Cuda::new(driver()).unwrap()))
        .as_ref()
}

/// The GPU in bf16; `None` in a build without kernels.
pub fn gpu_bf16() -> Option<&'static Cuda<bf16>> {
    static GPU: OnceLock<Option<Cuda<bf16>>> = OnceLock::new();
    GPU.get_or_init(|| (!kernels().is_empty()).then(|| Cuda::new(driver()).unwrap()))
        .as_ref()
}

/// A virtual Hopper GPU in bf16, for the kernels that it alone has; `None` in a build without kernels and where the
/// tests use the machine's GPU, which is what it is.
pub fn hopper() -> Option<&'static Cuda<bf16>> {
    static GPU: OnceLock<Option<Cuda<bf16>>> = OnceLock::new();
    let virtual_one = || !kernels().is_empty() && driver() == Driver::Simt;
    GPU.get_or_init(|| virtual_one().then(|| Cuda::on(Driver::Simt, HOPPER).unwrap()))
        .as_ref()
}

/// The ordinal of the virtual Hopper GPU.
pub const HOPPER: usize = 1;

/// Runs something twice and asserts that both give the same.
#[track_caller]
pub fn assert_repeats<T: PartialEq>(what: &str, mut run: impl FnMut() -> T) {
    let first = run();
    assert!(first == run(), "two runs in {what} differ");
}

/// Asserts that all results are the same.
#[track_caller]
pub fn assert_alike<T: PartialEq>(results: &[T]) {
    let alike = results.windows(2).all(|pair| pair[0] == pair[1]);
    assert!(alike, "the instruction sets differ");
}

/// Evaluates an expression on the GPU, in f32 and in bf16, twice each: both give the same.
macro_rules! on_gpus {
    (|$device:ident| $results:expr) => {{
        if let Some($device) = gpu_f32() {
            assert_repeats("f32", || $results);
        }
        if let Some($device) = gpu_bf16() {
            assert_repeats("bf16", || $results);
        }
        if let Some($device) = hopper() {
            assert_repeats("bf16 on Hopper", || $results);
        }
    }};
}
pub(crate) use on_gpus;

/// Evaluates an expression on every instruction set of the processor, which give the same, and on the GPU.
macro_rules! on_every_device {
    (|$device:ident| $results:expr) => {{
        let all: Vec<_> = devices().iter().map(|$device| $results).collect();
        assert_alike(&all);
        on_gpus!(|$device| $results);
    }};
}
pub(crate) use on_every_device;

/// Evaluates an expression on every instruction set of the processor, where products may round
/// differently, and on the GPU.
macro_rules! on_each_device {
    (|$device:ident| $results:expr) => {{
        drop(devices().iter().map(|$device| $results).collect::<Vec<_>>());
        on_gpus!(|$device| $results);
    }};
}
pub(crate) use on_each_device;
