//! What the ops' tests share: devices, fresh data, comparison with the f64 references.
#![allow(dead_code, unused_imports, unused_macros)]

mod buffers;
mod gpu;
mod trained;

use lrem::device::Result;
use lrem::device::cpu::{Cpu, Isa, Multiply, parallel};
use lrem::ops::philox::PhiloxStream;

pub use buffers::*;
pub use gpu::*;
pub use lrem::workbench::contracts::rms_norm::{
    gradient_errors as norm_gradient_errors, norm_error,
};
pub use lrem::workbench::contracts::{magnitudes, to_bf16, wide};
pub use trained::*;

/// Every instruction set of this processor with every precision of products.
pub fn devices() -> Vec<Cpu> {
    let isas = Isa::ALL.into_iter().filter(|i| i.available());
    isas.flat_map(|isa| [Multiply::F32, Multiply::Bf16].map(|multiply| Cpu { isa, multiply }))
        .collect()
}

/// Normal numbers, rounded to bf16 so that both precisions of products start from the same.
pub fn normals(seed: u64, stream: u64, len: usize) -> Vec<f32> {
    let mut random = PhiloxStream::new(seed, stream);
    let mut next = || to_bf16(random.normal());
    (0..len).map(|_| next()).collect()
}

/// An output buffer: longer than needed, and wrong wherever it is not written.
pub fn poisoned(len: usize) -> Vec<f32> {
    vec![f32::NAN; len + 3]
}

/// Asserts that `got[..want.len()]` is within `tolerance(i)` of `want`.
#[track_caller]
pub fn assert_close(what: &str, got: &[f32], want: &[f64], tolerance: impl Fn(usize) -> f64) {
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        let (error, limit) = ((f64::from(g) - w).abs(), tolerance(i));
        assert!(
            error <= limit,
            "{what}[{i}] is {g}, not {w}: off by {error:e} > {limit:e}"
        );
    }
    assert!(got.len() >= want.len(), "{what} is too short");
}

/// Asserts that the poison behind the first `len` elements is still there.
#[track_caller]
pub fn assert_untouched(what: &str, got: &[f32], len: usize) {
    assert!(
        got[len..].iter().all(|v| v.is_nan()),
        "{what} was written behind its end"
    );
}

/// Asserts that `gradient` is that of `f` at `x`, by central differences.
#[track_caller]
pub fn assert_gradient(what: &str, x: &[f64], gradient: &[f64], f: impl Fn(&[f64]) -> f64) {
    let step = 1e-5;
    assert_eq!(x.len(), gradient.len());
    for (i, want) in gradient.iter().enumerate() {
        let at = |delta: f64| {
            let mut moved = x.to_vec();
            moved[i] += delta;
            f(&moved)
        };
        let got = (at(step) - at(-step)) / (2.0 * step);
        let error = (got - want).abs();
        assert!(
            error < 1e-6 * (1.0 + want.abs()),
            "{what}[{i}] is {want}, differences say {got}"
        );
    }
}

/// What `f` gives on all threads, after asserting that one thread alone gives the same.
#[track_caller]
pub fn same_on_one_thread<T: PartialEq + std::fmt::Debug + Send>(f: impl Fn() -> T + Sync) -> T {
    let alone = std::sync::Mutex::new(None);
    // Inside a task everything runs on that task's thread.
    parallel::run(2, |i| {
        if i == 0 {
            *alone.lock().unwrap() = Some(f());
        }
    });
    let together = f();
    assert!(
        alone.into_inner().unwrap().as_ref() == Some(&together),
        "the threads change the result"
    );
    together
}

pub fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| v.to_bits()).collect()
}

/// The text of an error, nothing where there is none.
pub fn message<T>(result: Result<T>) -> String {
    result.err().map(|e| e.to_string()).unwrap_or_default()
}
