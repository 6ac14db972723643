//! The commonest instructions on the 32 lanes of a warp at once, compiled for the processor's
//! vectors. Each lane gets what the function of one lane gives.

use super::approx;
use super::isa::per_isa;
use super::narrow::{bf16_rn, bf16_to_f32, f16_rn, f16_to_f32};
use super::rounding::Rounding::Rn;
use super::{double, single};

/// One value for each lane.
pub type Lanes<T> = [T; 32];

/// The array of an expression of the lane: a plain loop, which unlike `array::from_fn` is always
/// compiled as part of the function around it, for its instruction set.
macro_rules! each {
    ($lane:ident => $value:expr) => {{
        let mut lanes = Lanes::default();
        for ($lane, out) in lanes.iter_mut().enumerate() {
            *out = $value;
        }
        lanes
    }};
}

per_isa! {
    /// `add.rn.f32`.
    pub fn add_f32(a: &Lanes<f32>, b: &Lanes<f32>) -> Lanes<f32> {
        each!(i => single::add(Rn, a[i], b[i]))
    }
}
per_isa! {
    /// `sub.rn.f32`.
    pub fn sub_f32(a: &Lanes<f32>, b: &Lanes<f32>) -> Lanes<f32> {
        each!(i => single::sub(Rn, a[i], b[i]))
    }
}
per_isa! {
    /// `mul.rn.f32`.
    pub fn mul_f32(a: &Lanes<f32>, b: &Lanes<f32>) -> Lanes<f32> {
        each!(i => single::mul(Rn, a[i], b[i]))
    }
}
per_isa! {
    /// `fma.rn.f32`.
    pub fn fma_f32(a: &Lanes<f32>, b: &Lanes<f32>, c: &Lanes<f32>) -> Lanes<f32> {
        each!(i => single::fma(Rn, a[i], b[i], c[i]))
    }
}
per_isa! {
    /// `add.rn.f64`.
    pub fn add_f64(a: &Lanes<f64>, b: &Lanes<f64>) -> Lanes<f64> {
        each!(i => double::add(Rn, a[i], b[i]))
    }
}
per_isa! {
    /// `mul.rn.f64`.
    pub fn mul_f64(a: &Lanes<f64>, b: &Lanes<f64>) -> Lanes<f64> {
        each!(i => double::mul(Rn, a[i], b[i]))
    }
}
per_isa! {
    /// `fma.rn.f64`.
    pub fn fma_f64(a: &Lanes<f64>, b: &Lanes<f64>, c: &Lanes<f64>) -> Lanes<f64> {
        each!(i => double::fma(Rn, a[i], b[i], c[i]))
    }
}
per_isa! {
    /// `ex2.approx{.ftz}.f32`.
    pub fn ex2(ftz: bool, a: &Lanes<f32>) -> Lanes<f32> {
        each!(i => approx::ex2(ftz, a[i]))
    }
}
per_isa! {
    /// `lg2.approx{.ftz}.f32`.
    pub fn lg2(ftz: bool, a: &Lanes<f32>) -> Lanes<f32> {
        each!(i => approx::lg2(ftz, a[i]))
    }
}
per_isa! {
    /// `tanh.approx.f32`.
    pub fn tanh(a: &Lanes<f32>) -> Lanes<f32> {
        each!(i => approx::tanh(a[i]))
    }
}
per_isa! {
    /// `cvt.rn.f16x2.f32 d, a, b`: `a` into the upper half.
    pub fn f16x2_from_f32(a: &Lanes<f32>, b: &Lanes<f32>) -> Lanes<u32> {
        each!(i => u32::from(f16_rn(a[i])) << 16 | u32::from(f16_rn(b[i])))
    }
}
per_isa! {
    /// `cvt.rn.bf16x2.f32 d, a, b`: `a` into the upper half.
    pub fn bf16x2_from_f32(a: &Lanes<f32>, b: &Lanes<f32>) -> Lanes<u32> {
        each!(i => u32::from(bf16_rn(a[i])) << 16 | u32::from(bf16_rn(b[i])))
    }
}
per_isa! {
    /// `cvt.f32.f16`.
    pub fn f16_to_f32s(a: &Lanes<u16>) -> Lanes<f32> {
        each!(i => f16_to_f32(a[i]))
    }
}
per_isa! {
    /// `cvt.f32.bf16`.
    pub fn bf16_to_f32s(a: &Lanes<u16>) -> Lanes<f32> {
        each!(i => bf16_to_f32(a[i]))
    }
}
