//! The virtual GPU as a device under test, with activations in f32 and in bf16.

use half::bf16;
use lrem::device::cuda::{Cuda, Driver, kernels};
use std::sync::OnceLock;

/// The virtual GPU in f32; `None` in a build without kernels.
pub fn gpu_f32() -> Option<&'static Cuda<f32>> {
    static GPU: OnceLock<Option<Cuda<f32>>> = OnceLock::new();
    GPU.get_or_init(|| (!kernels().is_empty()).then(|| Cuda::new(Driver::Simt).unwrap()))
        .as_ref()
}

/// The virtual GPU in bf16; `None` in a build without kernels.
pub fn gpu_bf16() -> Option<&'static Cuda<bf16>> {
    static GPU: OnceLock<Option<Cuda<bf16>>> = OnceLock::new();
    GPU.get_or_init(|| (!kernels().is_empty()).then(|| Cuda::new(Driver::Simt).unwrap()))
        .as_ref()
}

/// Evaluates an expression on the virtual GPU, in f32 and in bf16, twice each: both give the same.
macro_rules! on_gpus {
    (|$device:ident| $results:expr) => {{
        if let Some($device) = gpu_f32() {
            let first = $results;
            assert!(first == $results, "two runs in f32 differ");
        }
        if let Some($device) = gpu_bf16() {
            let first = $results;
            assert!(first == $results, "two runs in bf16 differ");
        }
    }};
}
pub(crate) use on_gpus;

/// Evaluates an expression on every instruction set of the processor, which give the same, and on the
/// virtual GPU.
macro_rules! on_every_device {
    (|$device:ident| $results:expr) => {{
        let all: Vec<_> = devices().iter().map(|$device| $results).collect();
        assert!(
            all.windows(2).all(|pair| pair[0] == pair[1]),
            "the instruction sets differ"
        );
        on_gpus!(|$device| $results);
    }};
}
pub(crate) use on_every_device;

/// Evaluates an expression on every instruction set of the processor, where products may round
/// differently, and on the virtual GPU.
macro_rules! on_each_device {
    (|$device:ident| $results:expr) => {{
        drop(devices().iter().map(|$device| $results).collect::<Vec<_>>());
        on_gpus!(|$device| $results);
    }};
}
pub(crate) use on_each_device;
