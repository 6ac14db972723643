//! The element type in which a device keeps activations.

use bytemuck::Pod;
use half::bf16;

/// A floating-point type that activations and their gradients are stored in. Arithmetic on them is in
/// f32.
pub trait Real: Pod + Send + Sync + PartialEq + std::fmt::Debug {
    /// As in the names of kernels' instances.
    const NAME: &'static str;
    /// What rounding an f32 to this type changes at most, relative to a normal number; 0: nothing.
    const ROUNDING: f64;
    /// The smallest number above 0. Numbers nearer to 0 than f32's smallest normal one lie this far apart.
    const SMALLEST: f64;
    /// What rounding an f32 near `x` to this type changes at most.
    fn rounding(x: f64) -> f64 {
        Self::ROUNDING * x.abs() + Self::SMALLEST / 2.0
    }
    /// Rounds to nearest, ties to even.
    fn from_f32(x: f32) -> Self;
    /// Exact.
    fn to_f32(self) -> f32;
}

impl Real for f32 {
    const NAME: &'static str = "f32";
    const ROUNDING: f64 = 0.0;
    const SMALLEST: f64 = f32::from_bits(1) as f64;

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
    const SMALLEST: f64 = bf16::from_bits(1).to_f64_const();

    fn from_f32(x: f32) -> bf16 {
        bf16::from_f32(x)
    }
    fn to_f32(self) -> f32 {
        bf16::to_f32(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_bounded_halfway_between_any_two_numbers() {
        let last = bf16::MAX.to_bits();
        for bits in
            (0..last).flat_map(|b| [0x7fff, 0x8000, 0x8001].map(|low| u32::from(b) << 16 | low))
        {
            let x = f32::from_bits(bits);
            let off = f64::from(bf16::from_f32(x).to_f32()) - f64::from(x);
            assert!(
                off.abs() <= bf16::rounding(f64::from(x)),
                "{x:e} is off by {off:e}"
            );
        }
    }
}
