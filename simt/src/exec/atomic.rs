//! Atomic operations (PTX ISA, `atom`, `red`), of every scope: the host's are system-wide.

use super::access::{Generic, Global, Memory, Shared, addresses};
use super::lanes::{Value, closure};
use super::operand::{take_address, take_ordering};
use super::program::{Exec, Inst, NONE, Step};
use super::touch::{Kind, Order, Scope, Touch};
use super::warp::Warp;
use super::{Entry, For};
use crate::numeric::half::{Half, Modifiers, packed};
use crate::numeric::rounding::Rounding;
use crate::numeric::{double, single};
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Space;
use crate::ptx::types::Type::{self, *};
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering::SeqCst};

pub const TABLE: &[Entry] = &[
    Entry("atom", For::All, |i| atomic(i, true)),
    Entry("red", For::All, |i| atomic(i, false)),
];

/// A word that the host changes atomically.
trait Word: Value + PartialEq {
    /// Replaces what is at `at` by `f` of it, and gives what was there.
    ///
    /// # Safety
    /// `at` is aligned memory that all others change atomically.
    unsafe fn update(at: u64, f: impl Fn(Self) -> Self) -> Self;
}

macro_rules! words {
    ($($t:ty, $atomic:ty);*) => {$(
        impl Word for $t {
            #[inline(always)]
            unsafe fn update(at: u64, f: impl Fn(Self) -> Self) -> Self {
                // SAFETY: the caller's promise.
                let word = unsafe { <$atomic>::from_ptr(at as *mut $t) };
                let mut old = word.load(SeqCst);
                loop {
                    match word.compare_exchange_weak(old, f(old), SeqCst, SeqCst) {
                        Ok(old) => return old,
                        Err(changed) => old = changed,
                    }
                }
            }
        }
    )*};
}
words!(u16, AtomicU16; u32, AtomicU32; u64, AtomicU64);

/// `d = *a; *a = f(*a, b, c)` lane after lane. Places: 0 the result or none, 1 the address, 2 and 3
/// the operands.
fn apply<T: Word, F: Fn(T, T, T) -> T + Copy + 'static>(space: Space, _: F) -> Exec {
    unsafe fn body<S: Memory, T: Word, F: Fn(T, T, T) -> T + Copy>(
        w: &mut Warp,
        i: &Inst,
        mask: u32,
    ) -> Step {
        // SAFETY: the decoder checked the places, `pointers` the addresses.
        unsafe {
            let f = closure::<F>();
            let mut at = addresses(w, i, i.places[1], mask);
            if let Err(step) = S::writable(w, i, &mut at, size_of::<T>() as u32) {
                return step;
            }
            let b = *w.row::<T>(i.places[2]);
            let c = if i.places[3] == NONE {
                b
            } else {
                *w.row::<T>(i.places[3])
            };
            let mut out = [T::default(); 32];
            let mut left = mask;
            while left != 0 {
                let lane = left.trailing_zeros() as usize;
                left &= left - 1;
                out[lane] = T::update(at[lane], |old| f(old, b[lane], c[lane]));
            }
            if i.places[0] != NONE {
                w.put(i.places[0], mask, &out);
                // Who asks what was there may be waiting for it to change.
                w.spin();
            }
        }
        Step::Next
    }
    match space {
        Space::Global => body::<Global, T, F>,
        Space::Shared => body::<Shared, T, F>,
        _ => body::<Generic, T, F>,
    }
}

fn atomic(i: &mut Instr<'_, '_, '_>, has_result: bool) -> Result<Exec> {
    if i.has("async") && !has_result {
        return super::bulk_value::decode(i);
    }
    let has_scope = ["cta", "cluster", "gpu", "sys"].iter().any(|s| i.has(s));
    let mut ordering = take_ordering(i);
    // What an atomic operation does not say (PTX ISA, `atom`).
    if ordering.order == Order::Weak {
        ordering.order = Order::Relaxed;
    }
    if !has_scope {
        ordering.scope = Scope::Gpu;
    }
    i.flag("acq_rel");
    let space = i.space();
    if !matches!(space, Space::Global | Space::Shared | Space::Generic) {
        return i.refuse();
    }
    let names = [
        "and", "or", "xor", "exch", "add", "inc", "dec", "min", "max", "cas",
    ];
    let Some(operation) = i.one_of(&names) else {
        return i.refuse();
    };
    let noftz = i.flag("noftz");
    let vector = i.one_of(&["v2", "v4", "v8"]);
    let ty = i.ty()?;
    if matches!(ty, F16 | F16x2 | Bf16 | Bf16x2) && !noftz {
        return i.refuse();
    }
    if let Some(index) = vector {
        let elements = (ty, 2 << index);
        let (exec, access) =
            super::atomic_vector::decode(i, space, names[operation], elements, has_result)?;
        let touch = Touch::new(Kind::Atomic, &access, ty.bytes(), elements.1 as u32);
        i.facts.touch(ordering.of(touch));
        return Ok(exec);
    }
    if has_result {
        i.dst(ty)?
    } else {
        i.push(NONE, true)
    }
    let access = take_address(i, space)?;
    let space = access.space;
    i.facts
        .touch(ordering.of(Touch::new(Kind::Atomic, &access, ty.bytes(), 1)));
    i.src(ty)?;
    if names[operation] == "cas" {
        i.src(ty)?;
    } else {
        i.push(NONE, false);
    }
    if i.left() > 0 {
        i.src(B64)?;
        i.uses.pop();
    }
    semantics(i, space, names[operation], ty, has_result)
}

fn semantics(
    i: &Instr<'_, '_, '_>,
    space: Space,
    operation: &str,
    ty: Type,
    has_result: bool,
) -> Result<Exec> {
    /// One operation on words of the widths given.
    macro_rules! word {
        (@closure $t:ty, (|$a:ident, $b:ident, $c:ident| $f:expr)) => {
            |$a: $t, $b: $t, $c: $t| $f
        };
        ($closure:tt; $($bits:literal => $t:ty),*) => {
            match ty.bits() {
                $($bits => apply(space, word!(@closure $t, $closure)),)*
                _ => return i.refuse(),
            }
        };
    }
    Ok(match (operation, ty) {
        ("and", B32 | B64) => word!((|a, b, _c| a & b); 32 => u32, 64 => u64),
        ("or", B32 | B64) => word!((|a, b, _c| a | b); 32 => u32, 64 => u64),
        ("xor", B32 | B64) => word!((|a, b, _c| a ^ b); 32 => u32, 64 => u64),
        ("exch", B32 | B64 | U32 | S32 | F32 | U64 | S64 | F64) if has_result => {
            word!((|_a, b, _c| b); 32 => u32, 64 => u64)
        }
        ("cas", B16 | B32 | U32 | S32 | B64 | U64 | S64) if has_result => {
            word!((|a, b, c| if a == b { c } else { a }); 16 => u16, 32 => u32, 64 => u64)
        }
        ("add", U32 | S32 | U64 | S64) => {
            word!((|a, b, _c| a.wrapping_add(b)); 32 => u32, 64 => u64)
        }
        ("inc", U32) => apply(space, |a: u32, b: u32, _| if a >= b { 0 } else { a + 1 }),
        ("dec", U32) => apply(
            space,
            |a: u32, b: u32, _| if a == 0 || a > b { b } else { a - 1 },
        ),
        ("min", U32 | U64) => word!((|a, b, _c| a.min(b)); 32 => u32, 64 => u64),
        ("max", U32 | U64) => word!((|a, b, _c| a.max(b)); 32 => u32, 64 => u64),
        ("min", S32) => apply(space, |a: u32, b: u32, _| (a as i32).min(b as i32) as u32),
        ("max", S32) => apply(space, |a: u32, b: u32, _| (a as i32).max(b as i32) as u32),
        ("min", S64) => apply(space, |a: u64, b: u64, _| (a as i64).min(b as i64) as u64),
        ("max", S64) => apply(space, |a: u64, b: u64, _| (a as i64).max(b as i64) as u64),
        // Global f32 atomics flush subnormals on the chip, shared ones do not (ISA, `atom`).
        ("add", F32) if space == Space::Global => apply(space, |a: u32, b: u32, _| {
            let [a, b] = [a, b].map(|x| single::flush(f32::from_bits(x)));
            single::flush(single::add(Rounding::Rn, a, b)).to_bits()
        }),
        ("add", F32) => apply(space, |a: u32, b: u32, _| {
            single::add(Rounding::Rn, f32::from_bits(a), f32::from_bits(b)).to_bits()
        }),
        ("add", F64) => apply(space, |a: u64, b: u64, _| {
            double::add(Rounding::Rn, f64::from_bits(a), f64::from_bits(b)).to_bits()
        }),
        ("add", F16) => apply(space, |a: u16, b: u16, _| {
            Half::F16.add(Modifiers::default(), a, b)
        }),
        ("add", Bf16) => apply(space, |a: u16, b: u16, _| {
            Half::Bf16.add(Modifiers::default(), a, b)
        }),
        ("add", F16x2) => apply(space, |a: u32, b: u32, _| {
            packed([a, b], |[a, b]| Half::F16.add(Modifiers::default(), a, b))
        }),
        ("add", Bf16x2) => apply(space, |a: u32, b: u32, _| {
            packed([a, b], |[a, b]| Half::Bf16.add(Modifiers::default(), a, b))
        }),
        _ => return i.refuse(),
    })
}
