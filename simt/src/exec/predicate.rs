//! Comparison and predicates (PTX ISA, "Comparison and Selection Instructions": `setp`, `set`).

use super::lanes::{Value, closure, lanes_where, versions};
use super::program::{Exec, Inst, NONE, Step};
use super::warp::Warp;
use super::{Entry, For};
use crate::numeric::compare::{Comparison, compare};
use crate::numeric::half::Half;
use crate::numeric::single::flush;
use crate::ptx::Result;
use crate::ptx::ast::Operand;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type::{self, *};

pub const TABLE: &[Entry] = &[Entry("setp", For::All, setp), Entry("set", For::All, set)];

/// In `aux`: how the result of a comparison is combined with a predicate.
const AND: u32 = 1;
const OR: u32 = 2;
const COMBINATION: u32 = 3;
/// The predicate that is combined is negated.
const NEGATED: u32 = 4;
/// Subnormal operands are zero.
const FTZ: u32 = 8;

/// Predicate operands of `and`, `or`, `xor`.
pub fn logic(i: &mut Instr<'_, '_, '_>, exec: Exec) -> Result<Exec> {
    i.binary(Pred)?;
    Ok(exec)
}

/// `d = f(a, b)` on predicates.
pub fn combine(w: &mut Warp, i: &Inst, mask: u32, f: impl Fn(u32, u32) -> u32) -> Step {
    // SAFETY: `logic` took predicates.
    unsafe {
        let lanes = f(w.predicate(i.places[1]), w.predicate(i.places[2]));
        w.put_predicate(i.places[0], mask, lanes);
    }
    Step::Next
}

/// `not.pred`
pub fn not(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.unary(Pred)?;
    Ok(|w, i, mask| {
        // SAFETY: predicates have been taken.
        unsafe {
            let lanes = !w.predicate(i.places[1]);
            w.put_predicate(i.places[0], mask, lanes);
        }
        Step::Next
    })
}

/// Takes the comparison, and the operation that combines it with a predicate.
fn take_comparison(
    i: &mut Instr<'_, '_, '_>,
    ty: impl Fn(&Instr<'_, '_, '_>) -> Type,
) -> Result<Comparison> {
    use Comparison::*;
    const NAMES: [&str; 18] = [
        "eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu", "ltu", "leu",
        "gtu", "geu", "num", "nan",
    ];
    const MEANING: [Comparison; 18] = [
        Eq, Ne, Lt, Le, Gt, Ge, Lt, Le, Gt, Ge, Equ, Neu, Ltu, Leu, Gtu, Geu, Num, Nan,
    ];
    let Some(index) = i.one_of(&NAMES) else {
        return i.error("a comparison is missing");
    };
    if let Some(combination) = i.one_of(&["and", "or", "xor"]) {
        i.aux |= combination as u32 + 1;
    }
    let ty = ty(i);
    let fits = match index {
        0 | 1 => true,
        2..6 => !ty.is_bits(),
        6..10 => !ty.is_bits() && !ty.is_float() && !ty.is_signed(),
        _ => ty.is_float(),
    };
    if fits { Ok(MEANING[index]) } else { i.refuse() }
}

/// The lanes in which the comparison holds, combined with the predicate at `place`.
#[inline(always)]
unsafe fn combined(w: &Warp, i: &Inst, holds: u32, place: u32) -> (u32, u32) {
    if i.aux & COMBINATION == 0 {
        return (holds, !holds);
    }
    // SAFETY: the decoder took a predicate.
    let other = unsafe { w.predicate(place) } ^ if i.aux & NEGATED != 0 { !0 } else { 0 };
    match i.aux & COMBINATION {
        AND => (holds & other, !holds & other),
        OR => (holds | other, !holds | other),
        _ => (holds ^ other, !holds ^ other),
    }
}

/// Writes the destinations of `setp`, of which the second may be none.
///
/// # Safety
/// The decoder took predicates in the first two places.
#[inline(always)]
unsafe fn put_both(w: &mut Warp, i: &Inst, mask: u32, p: u32, q: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        w.put_predicate(i.places[0], mask, p);
        if i.places[1] != NONE {
            w.put_predicate(i.places[1], mask, q);
        }
    }
}

/// The lanes in which `f(a, b)` holds.
#[inline(always)]
unsafe fn test<T: Value, F: Fn(T, T) -> bool>(w: &Warp, a: u32, b: u32, f: F) -> u32 {
    // SAFETY: the decoder took rows of `T`.
    let (a, b) = unsafe { (w.row::<T>(a), w.row::<T>(b)) };
    lanes_where(|lane| f(a[lane], b[lane]))
}

fn to_predicates<T: Value, F: Fn(T, T) -> bool + Copy + 'static>(_: F) -> Exec {
    #[inline(always)]
    unsafe fn body<T: Value, F: Fn(T, T) -> bool + Copy + 'static>(
        w: &mut Warp,
        i: &Inst,
        mask: u32,
    ) -> Step {
        // SAFETY: the maker of this `Exec` held an `F`; the decoder checked the places.
        unsafe {
            let holds = test::<T, F>(w, i.places[2], i.places[3], closure());
            let (p, q) = combined(w, i, holds, i.places[4]);
            put_both(w, i, mask, p, q);
        }
        Step::Next
    }
    versions!(body::<T, F> where T: Value, F: Fn(T, T) -> bool + Copy + 'static)
}

/// Calls `$make` with a closure for each comparison.
macro_rules! comparing {
    ($comparison:expr, $make:ident, $t:ty, |$x:ident| $to:expr) => {{
        use Comparison::*;
        macro_rules! with {
            ($c:expr) => {
                $make(|a: $t, b: $t| {
                    let convert = |$x: $t| $to;
                    compare($c, convert(a), convert(b))
                })
            };
        }
        match $comparison {
            Eq => with!(Eq),
            Ne => with!(Ne),
            Lt => with!(Lt),
            Le => with!(Le),
            Gt => with!(Gt),
            Ge => with!(Ge),
            Equ => with!(Equ),
            Neu => with!(Neu),
            Ltu => with!(Ltu),
            Leu => with!(Leu),
            Gtu => with!(Gtu),
            Geu => with!(Geu),
            Num => with!(Num),
            Nan => with!(Nan),
        }
    }};
}

macro_rules! comparing_integers {
    ($comparison:expr, $make:ident, $t:ty) => {
        match $comparison {
            Comparison::Eq => $make(|a: $t, b: $t| a == b),
            Comparison::Ne => $make(|a: $t, b: $t| a != b),
            Comparison::Lt => $make(|a: $t, b: $t| a < b),
            Comparison::Le => $make(|a: $t, b: $t| a <= b),
            Comparison::Gt => $make(|a: $t, b: $t| a > b),
            _ => $make(|a: $t, b: $t| a >= b),
        }
    };
}

macro_rules! comparing_types {
    ($i:ident, $comparison:expr, $make:ident, $ty:expr) => {
        match ($ty, $i.aux & FTZ != 0) {
            (B16 | U16, false) => comparing_integers!($comparison, $make, u16),
            (S16, false) => comparing_integers!($comparison, $make, i16),
            (B32 | U32, false) => comparing_integers!($comparison, $make, u32),
            (S32, false) => comparing_integers!($comparison, $make, i32),
            (B64 | U64, false) => comparing_integers!($comparison, $make, u64),
            (S64, false) => comparing_integers!($comparison, $make, i64),
            (F32, false) => comparing!($comparison, $make, f32, |x| x),
            (F32, true) => comparing!($comparison, $make, f32, |x| flush(x)),
            (F64, false) => comparing!($comparison, $make, f64, |x| x),
            (F16, false) => comparing!($comparison, $make, u16, |x| Half::F16.to_f32(x)),
            (F16, true) => comparing!($comparison, $make, u16, |x| Half::F16
                .to_f32(Half::F16.flush(x))),
            (Bf16, false) => comparing!($comparison, $make, u16, |x| Half::Bf16.to_f32(x)),
            _ => return $i.refuse(),
        }
    };
}

/// Peeks at the type that is compared: the last one.
fn compared(i: &Instr<'_, '_, '_>) -> Type {
    let types = [
        B16, U16, S16, B32, U32, S32, B64, U64, S64, F16, F32, F64, Bf16, F16x2, Bf16x2, Pred,
    ];
    types.into_iter().find(|ty| i.has(ty.name())).unwrap_or(B32)
}

fn setp(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let comparison = take_comparison(i, compared)?;
    if i.flag("ftz") {
        i.aux |= FTZ;
    }
    let ty = i.ty()?;
    if matches!(ty, F16x2 | Bf16x2) {
        return setp_packed(i, comparison, ty);
    }
    take_destinations(i)?;
    i.src(ty)?;
    i.src(ty)?;
    take_combined(i)?;
    Ok(comparing_types!(i, comparison, to_predicates, ty))
}

/// `p` or `p|q`
fn take_destinations(i: &mut Instr<'_, '_, '_>) -> Result<()> {
    match i.operand()? {
        Operand::Pair(p, q) => {
            i.dst_of(p, Pred)?;
            i.dst_of(q, Pred)
        }
        p => {
            i.dst_of(p, Pred)?;
            i.push(NONE, true);
            Ok(())
        }
    }
}

/// The predicate that a comparison is combined with.
fn take_combined(i: &mut Instr<'_, '_, '_>) -> Result<()> {
    if i.aux & COMBINATION != 0 && i.predicate()? {
        i.aux |= NEGATED;
    }
    Ok(())
}

/// `setp.f16x2 p|q`: `p` of the low halves, `q` of the high ones.
fn setp_packed(i: &mut Instr<'_, '_, '_>, comparison: Comparison, ty: Type) -> Result<Exec> {
    take_destinations(i)?;
    i.src(ty)?;
    i.src(ty)?;
    take_combined(i)?;
    i.imm = comparison as u64;
    i.aux |= if ty == Bf16x2 { 16 } else { 0 };
    Ok(|w, i, mask| {
        const ALL: [Comparison; 14] = {
            use Comparison::*;
            [
                Eq, Ne, Lt, Le, Gt, Ge, Equ, Neu, Ltu, Leu, Gtu, Geu, Num, Nan,
            ]
        };
        let comparison = ALL[i.imm as usize];
        let half = if i.aux & 16 != 0 {
            Half::Bf16
        } else {
            Half::F16
        };
        let value = |x: u32| {
            let x = x as u16;
            half.to_f32(if i.aux & FTZ != 0 { half.flush(x) } else { x })
        };
        // SAFETY: the decoder took predicates and rows of 32 bits.
        unsafe {
            let (a, b) = (i.places[2], i.places[3]);
            let low = test::<u32, _>(w, a, b, |a, b| compare(comparison, value(a), value(b)));
            let high = test::<u32, _>(w, a, b, |a, b| {
                compare(comparison, value(a >> 16), value(b >> 16))
            });
            let (p, _) = combined(w, i, low, i.places[4]);
            let (q, _) = combined(w, i, high, i.places[4]);
            put_both(w, i, mask, p, q);
        }
        Step::Next
    })
}

/// `set` of all bits or of 1.0.
fn to_words<T: Value, F: Fn(T, T) -> bool + Copy + 'static>(_: F) -> Exec {
    #[inline(always)]
    unsafe fn body<T: Value, F: Fn(T, T) -> bool + Copy + 'static>(
        w: &mut Warp,
        i: &Inst,
        mask: u32,
    ) -> Step {
        // SAFETY: the maker of this `Exec` held an `F`; the decoder checked the places.
        unsafe {
            let holds = test::<T, F>(w, i.places[1], i.places[2], closure());
            let (p, _) = combined(w, i, holds, i.places[3]);
            let yes = i.imm as u32;
            if i.aux & NARROW != 0 {
                let out = std::array::from_fn(|l| if p >> l & 1 != 0 { yes as u16 } else { 0 });
                w.put(i.places[0], mask, &out);
            } else {
                let out = std::array::from_fn(|l| if p >> l & 1 != 0 { yes } else { 0 });
                w.put(i.places[0], mask, &out);
            }
        }
        Step::Next
    }
    versions!(body::<T, F> where T: Value, F: Fn(T, T) -> bool + Copy + 'static)
}

/// In `aux` of `set`: the destination has 16 bits.
const NARROW: u32 = 32;

fn set(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let to = match i.modifier(Type::parse) {
        Some(ty) => ty,
        None => return i.refuse(),
    };
    let comparison = take_comparison(i, compared)?;
    if i.flag("ftz") {
        i.aux |= FTZ;
    }
    let ty = i.ty()?;
    i.dst(to)?;
    i.src(ty)?;
    i.src(ty)?;
    take_combined(i)?;
    i.imm = match to {
        U32 | S32 => 0xffff_ffff,
        F32 => 0x3f80_0000,
        U16 | S16 => 0xffff,
        F16 => 0x3c00,
        Bf16 => 0x3f80,
        _ => return i.refuse(),
    };
    if to.bits() == 16 {
        i.aux |= NARROW;
    }
    Ok(comparing_types!(i, comparison, to_words, ty))
}
