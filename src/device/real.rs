//! The element type in which a device keeps activations.

use bytemuck::Pod;
use half::bf16;

/// A floating-point type that activations and their gradients are stored in. Arithmetic on them is in
/// f32.
pub trait Real: Pod + Send + Sync + PartialEq + std::fmt::Debug {
    /// As in the names of kernels' instances.
    const NAME: &'static str;
    /// What rounding an f32 to this type changes at most, relative to the number; 0: nothing.
    const ROUNDING: f64;
    /// Rounds to nearest, ties to even.
    fn from_f32(x: f32) -> Self;
    /// Exact.
    fn to_f32(self) -> f32;
}

impl Real for f32 {
    const NAME: &'static str = "f32";
    const ROUNDING: f64 = 0.0;

    fn from_f32(x: f32) -> f32 {
        x
    }
    fn to_f32(self) -> f32 {
        self
    }
}

impl Real for bf16 {
    const NAME: &'static str = "bf16";
    const ROUNDING: f64 = 1.0 / 256.0;

    fn from_f32(x: f32) -> bf16 {
        bf16::from_f32(x)
    }
    fn to_f32(self) -> f32 {
        bf16::to_f32(self)
    }
}
