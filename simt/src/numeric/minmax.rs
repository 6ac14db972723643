//! `min`, `max`, `copysign`, `testp` of f32 and f64 (ISA, "Floating-Point Instructions").

use super::format::{F32_NAN, F64_NAN};
pub use super::half::MinMax;
use super::single::flush;

/// Property that `testp` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Property {
    /// Neither infinite nor NaN.
    Finite,
    /// Of either sign.
    Infinite,
    /// Not NaN.
    Number,
    /// NaN.
    NotANumber,
    /// Zero counts as normal.
    Normal,
    /// Below the smallest normal magnitude, and not zero.
    Subnormal,
}

macro_rules! floats {
    ($float:ty, $int:ty, $nan:expr, $flush:expr, $min:ident, $max:ident, $copysign:ident, $testp:ident) => {
        /// `min`: a number beats NaN, −0 lies below +0.
        #[inline(always)]
        pub fn $min(modifiers: MinMax, a: $float, b: $float) -> $float {
            minimum_of(modifiers, a, b, |a, b| a < b, |a, b| a | b)
        }

        /// `max`: a number beats NaN, −0 lies below +0.
        #[inline(always)]
        pub fn $max(modifiers: MinMax, a: $float, b: $float) -> $float {
            minimum_of(modifiers, a, b, |a, b| a > b, |a, b| a & b)
        }

        #[inline(always)]
        fn minimum_of(
            m: MinMax,
            a: $float,
            b: $float,
            before: impl Fn($float, $float) -> bool,
            equal: impl Fn($int, $int) -> $int,
        ) -> $float {
            const SIGN: $int = 1 << (<$int>::BITS - 1);
            let [a, b] = [a, b].map(|x| if m.ftz { $flush(x) } else { x });
            let sign = (a.to_bits() ^ b.to_bits()) & SIGN;
            let [a, b] = [a, b].map(|x| if m.xorsign_abs { x.abs() } else { x });
            let picked = if before(a, b) || b.is_nan() {
                a
            } else if before(b, a) || a.is_nan() {
                b
            } else {
                // Equal numbers differ in the sign of zero at most.
                <$float>::from_bits(equal(a.to_bits(), b.to_bits()))
            };
            if picked.is_nan() || m.nan && (a.is_nan() || b.is_nan()) {
                <$float>::from_bits($nan)
            } else if m.xorsign_abs {
                <$float>::from_bits(picked.to_bits() | sign)
            } else {
                picked
            }
        }

        /// `copysign d, a, b`: the sign of `a` on the magnitude of `b`.
        #[inline(always)]
        pub fn $copysign(a: $float, b: $float) -> $float {
            b.copysign(a)
        }

        /// `testp`.
        #[inline(always)]
        pub fn $testp(property: Property, a: $float) -> bool {
            match property {
                Property::Finite => a.is_finite(),
                Property::Infinite => a.is_infinite(),
                Property::Number => !a.is_nan(),
                Property::NotANumber => a.is_nan(),
                Property::Normal => a.is_normal() || a == 0.0,
                Property::Subnormal => a.is_subnormal(),
            }
        }
    };
}

mod f32s {
    use super::*;
    floats!(
        f32,
        u32,
        F32_NAN,
        flush,
        min_f32,
        max_f32,
        copysign_f32,
        testp_f32
    );
}

mod f64s {
    use super::*;
    floats!(
        f64,
        u64,
        F64_NAN,
        |x| x,
        min_f64,
        max_f64,
        copysign_f64,
        testp_f64
    );
}

pub use f32s::{copysign_f32, max_f32, min_f32, testp_f32};
pub use f64s::{copysign_f64, max_f64, min_f64, testp_f64};
