//! Instructions that compute each lane by itself, made from plain functions of one lane.
//!
//! `map2(|a: u32, b: u32| a.wrapping_add(b))` is the whole semantics of `add.u32`: the loop over 32
//! lanes, the masked write and the versions for wider vector units come from here.

use super::program::{Exec, Inst, Place, Step};
use super::warp::Warp;

/// A type that a register lane holds. Any bits are a value.
pub trait Value: Copy + Default + 'static {}

macro_rules! values {
    ($($t:ty),*) => { $(impl Value for $t {})* };
}
values!(u8, i8, u16, i16, u32, i32, u64, i64, u128, f32, f64);

impl<T: Value> Value for [T; 2] {}

/// The one value of a closure type that captures nothing.
///
/// # Safety
/// A value of `F` exists, so that nothing is conjured that the program could not have copied.
#[inline(always)]
pub unsafe fn closure<F: Copy>() -> F {
    const { assert!(size_of::<F>() == 0) };
    // SAFETY: a type of size 0 has no bits to get wrong, and the caller holds one of it.
    unsafe { std::ptr::NonNull::<F>::dangling().read() }
}

/// The version of an instruction for this processor.
#[inline]
pub fn choose(plain: Exec, wide: Exec) -> Exec {
    if is_wide() { wide } else { plain }
}

/// Whether the processor has what the wide versions are compiled for.
#[cfg(target_arch = "x86_64")]
fn is_wide() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

#[cfg(not(target_arch = "x86_64"))]
fn is_wide() -> bool {
    false
}

/// Makes an [`Exec`] of an `#[inline(always)]` body: once plain, once for AVX2 and FMA.
macro_rules! versions {
    ($body:ident :: <$($p:ident),*> where $($bounds:tt)*) => {{
        unsafe fn plain<$($p),*>(w: &mut Warp, i: &Inst, mask: u32) -> Step where $($bounds)* {
            // SAFETY: as the caller of an `Exec` promises.
            unsafe { $body::<$($p),*>(w, i, mask) }
        }
        #[cfg_attr(
            target_arch = "x86_64",
            target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")
        )]
        unsafe fn wide<$($p),*>(w: &mut Warp, i: &Inst, mask: u32) -> Step where $($bounds)* {
            // SAFETY: as the caller of an `Exec` promises.
            unsafe { $body::<$($p),*>(w, i, mask) }
        }
        $crate::exec::lanes::choose(plain::<$($p),*>, wide::<$($p),*>)
    }};
}
pub(crate) use versions;

impl Warp {
    /// The register or constant at a place.
    ///
    /// # Safety
    /// `place` holds 32 lanes of `T`.
    #[inline(always)]
    pub unsafe fn row<T: Value>(&self, place: Place) -> &[T; 32] {
        // SAFETY: the caller's promise; registers are aligned to 64 bytes.
        unsafe { &*self.at(place).cast() }
    }

    /// Writes the lanes in `mask`.
    ///
    /// # Safety
    /// `place` is a register of 32 lanes of `T`.
    #[inline(always)]
    pub unsafe fn put<T: Value>(&mut self, place: Place, mask: u32, values: &[T; 32]) {
        // SAFETY: the caller's promise.
        let row: &mut [T; 32] = unsafe { &mut *self.at(place).cast_mut().cast() };
        // What threads that are gone hold is never read again.
        if mask | self.dead == !0 {
            *row = *values;
        } else {
            for lane in 0..32 {
                row[lane] = if mask >> lane & 1 != 0 {
                    values[lane]
                } else {
                    row[lane]
                };
            }
        }
    }

    /// The lanes in which a predicate holds.
    ///
    /// # Safety
    /// `place` is a predicate.
    #[inline(always)]
    pub unsafe fn predicate(&self, place: Place) -> u32 {
        // SAFETY: the caller's promise.
        unsafe { *self.at(place).cast() }
    }

    /// Sets a predicate in the lanes in `mask`.
    ///
    /// # Safety
    /// `place` is a predicate register.
    #[inline(always)]
    pub unsafe fn put_predicate(&mut self, place: Place, mask: u32, lanes: u32) {
        // SAFETY: the caller's promise.
        let row: &mut u32 = unsafe { &mut *self.at(place).cast_mut().cast() };
        *row = *row & !mask | lanes & mask;
    }
}

macro_rules! maps {
    ($($(#[$doc:meta])* $name:ident[$($aux:ident)?]($($arg:ident: $ty:ident = $at:literal),*);)*) => {$(
        $(#[$doc])*
        pub fn $name<$($ty: Value,)* D: Value, F>(_: F) -> Exec
        where
            F: Fn($(maps!(@u32 $aux),)? $($ty),*) -> D + Copy + 'static,
        {
            #[inline(always)]
            unsafe fn body<$($ty: Value,)* D: Value, F>(w: &mut Warp, i: &Inst, mask: u32) -> Step
            where
                F: Fn($(maps!(@u32 $aux),)? $($ty),*) -> D + Copy + 'static,
            {
                // SAFETY: the maker of this `Exec` held an `F`; the decoder checked the places.
                unsafe {
                    let f = closure::<F>();
                    let mut out = [D::default(); 32];
                    $(let $aux = i.aux;)?
                    $(let $arg = w.row::<$ty>(i.places[$at]);)*
                    for lane in 0..32 {
                        out[lane] = f($($aux,)? $($arg[lane]),*);
                    }
                    w.put(i.places[0], mask, &out);
                }
                Step::Next
            }
            versions!(body::<$($ty,)* D, F> where
                $($ty: Value,)* D: Value, F: Fn($(maps!(@u32 $aux),)? $($ty),*) -> D + Copy + 'static)
        }
    )*};
    (@u32 $aux:ident) => { u32 };
}

maps! {
    /// `d = f(a)`
    map1[](a: A = 1);
    /// `d = f(a, b)`
    map2[](a: A = 1, b: B = 2);
    /// `d = f(a, b, c)`
    map3[](a: A = 1, b: B = 2, c: C = 3);
    /// `d = f(a, b, c, e)`
    map4[](a: A = 1, b: B = 2, c: C = 3, e: E = 4);
    /// `d = f(aux, a)`: modes too rare or too many for code of their own are told at run time.
    with1[aux](a: A = 1);
    /// `d = f(aux, a, b)`
    with2[aux](a: A = 1, b: B = 2);
    /// `d = f(aux, a, b, c)`
    with3[aux](a: A = 1, b: B = 2, c: C = 3);
}

/// One map for each of some types: `typed!(i, ty, map2, [U32 => u32, S32 => i32], (|a, b| a.max(b)))`.
/// Other types are refused.
macro_rules! typed {
    (@closure $t:ty, (|$($a:ident),*| $body:expr)) => {
        |$($a: $t),*| $body
    };
    ($i:expr, $ty:expr, $map:ident, [$($pattern:pat => $t:ty),* $(,)?], $closure:tt) => {
        match $ty {
            $($pattern => $map($crate::exec::lanes::typed!(@closure $t, $closure)),)*
            _ => return $i.refuse(),
        }
    };
}
pub(crate) use typed;

/// Whether lanes hold a relation: bit `lane` of the result.
#[inline(always)]
pub fn lanes_where(test: impl Fn(usize) -> bool) -> u32 {
    let mut lanes = 0;
    for lane in 0..32 {
        lanes |= u32::from(test(lane)) << lane;
    }
    lanes
}
