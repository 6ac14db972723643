//! Loads and stores (PTX ISA, "Data Movement and Conversion Instructions": `ld`, `ldu`, `st`).

use super::access::*;
use super::facts::Class;
use super::lanes::{Value, closure, versions};
use super::operand::{take_address, take_ordering, take_vector};
use super::program::{Exec, Inst, Step};
use super::touch::{Kind, Touch};
use super::warp::Warp;
use super::{Entry, For};
use crate::ptx::Result;
use crate::ptx::ast::Operand;
use crate::ptx::decode::instr::Instr;
use crate::ptx::decode::scope::Symbol;
use crate::ptx::types::{Space, Type};

pub const TABLE: &[Entry] = &[
    Entry("ld", For::All, load),
    Entry("ldu", For::All, load),
    Entry("st", For::All, store),
];

/// Makes an [`Exec`] for the kind of memory that an access goes to.
macro_rules! in_space {
    ($access:expr, $make:ident::<$($t:ty),*>($f:expr)) => {
        match ($access.space, $access.symbol) {
            (Space::Global | Space::Const, _) => $make::<Global, $($t,)* _>($f),
            (Space::Shared, _) => $make::<Shared, $($t,)* _>($f),
            (Space::Local, _) | (Space::Param, Some(Symbol::FrameParam(_))) => $make::<Local, $($t,)* _>($f),
            (Space::Param, Some(_)) => $make::<EntryParam, $($t,)* _>($f),
            // A parameter's address in a register is generic here.
            _ => $make::<Generic, $($t,)* _>($f),
        }
    };
}

/// The memory and register types of a load or store, and a function between them.
macro_rules! by_widths {
    ($i:ident, $access:expr, $ty:expr, $register:expr, $make:ident, $(($tys:pat, $bits:literal) => $m:ty, $d:ty, $f:expr;)*) => {
        match ($ty, $register) {
            $(($tys, $bits) => in_space!($access, $make::<$m, $d>($f)),)*
            _ => return $i.refuse(),
        }
    };
}

fn load(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.facts.class = Class::Load;
    let semantics = take_ordering(i);
    let space = i.space();
    let count = take_vector(i);
    let ty = i.ty()?;
    let elements = i.elements()?;
    if elements.len() != count as usize {
        return i.error(format_args!(
            "expected {count} registers, found {}",
            elements.len()
        ));
    }
    let mut register = 0;
    for (index, element) in elements.iter().enumerate() {
        let bits = match element {
            Operand::Name("_", None) if register != 0 => {
                let same = [Type::B16, Type::B32, Type::B64, Type::B128]
                    .into_iter()
                    .find(|t| t.bits() == register);
                i.dst_wide(element, same.unwrap_or(ty))?
            }
            _ => i.dst_wide(element, ty)?,
        };
        if index > 0 && bits != register {
            return i.error("registers of different widths");
        }
        register = bits;
    }
    i.in_list = count > 4;
    let access = take_address(i, space)?;
    i.facts
        .touch(semantics.of(Touch::new(Kind::Read, &access, ty.bytes(), count)));
    if i.left() > 0 {
        // A cache policy.
        i.src(Type::B64)?;
        i.uses.pop();
    }
    use Type::*;
    Ok(by_widths!(i, access, ty, register, read,
        (B8 | U8 | E4m3 | E5m2, 16) => u8, u16, |m: u8| u16::from(m);
        (B8 | U8, 32) => u8, u32, |m: u8| u32::from(m);
        (B8 | U8, 64) => u8, u64, |m: u8| u64::from(m);
        (S8, 16) => i8, i16, |m: i8| i16::from(m);
        (S8, 32) => i8, i32, |m: i8| i32::from(m);
        (S8, 64) => i8, i64, |m: i8| i64::from(m);
        (B16 | U16 | S16 | F16 | Bf16, 16) => u16, u16, |m: u16| m;
        (B16 | U16 | F16 | Bf16, 32) => u16, u32, |m: u16| u32::from(m);
        (B16 | U16, 64) => u16, u64, |m: u16| u64::from(m);
        (S16, 32) => i16, i32, |m: i16| i32::from(m);
        (S16, 64) => i16, i64, |m: i16| i64::from(m);
        (B32 | U32 | S32 | F32 | F16x2 | Bf16x2, 32) => u32, u32, |m: u32| m;
        (B32 | U32 | F32, 64) => u32, u64, |m: u32| u64::from(m);
        (S32, 64) => i32, i64, |m: i32| i64::from(m);
        (B64 | U64 | S64 | F64 | F32x2, 64) => u64, u64, |m: u64| m;
        (B128, 128) => u128, u128, |m: u128| m;
    ))
}

fn store(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    if i.has("async") {
        return super::bulk_value::decode(i);
    }
    i.facts.class = Class::Store;
    let semantics = take_ordering(i);
    let space = i.space();
    let count = take_vector(i);
    let ty = i.ty()?;
    let access = take_address(i, space)?;
    i.facts
        .touch(semantics.of(Touch::new(Kind::Write, &access, ty.bytes(), count)));
    let elements = i.elements()?;
    if elements.len() != count as usize {
        return i.error(format_args!(
            "expected {count} registers, found {}",
            elements.len()
        ));
    }
    let mut register = 0;
    let mut widths = Vec::new();
    for element in elements {
        widths.push(i.src_wide(element, ty)?);
        register = register.max(widths[widths.len() - 1]);
    }
    // Constants have the type's own width; with wider registers beside them they are made again.
    if widths.iter().any(|bits| *bits != register) {
        i.uses.truncate(1);
        let wide = [Type::B16, Type::B32, Type::B64, Type::B128];
        let wide = wide
            .into_iter()
            .find(|t| t.bits() == register)
            .unwrap_or(ty);
        for element in elements {
            i.src_of(element, wide)?;
        }
    }
    i.in_list = count > 4;
    if let Some(touch) = &mut i.facts.touches[0] {
        touch.set_values(i.uses[1..].iter().map(|u| u.place), register / 8);
    }
    if i.left() > 0 {
        i.src(Type::B64)?;
        i.uses.pop();
    }
    if matches!(
        access.symbol,
        Some(Symbol::EntryParam(_) | Symbol::Const(_))
    ) {
        return i.error("a store to what cannot be written");
    }
    use Type::*;
    Ok(by_widths!(i, access, ty, register, write,
        (B8 | U8 | S8 | E4m3 | E5m2, 16) => u8, u16, |d: u16| d as u8;
        (B8 | U8 | S8, 32) => u8, u32, |d: u32| d as u8;
        (B8 | U8 | S8, 64) => u8, u64, |d: u64| d as u8;
        (B16 | U16 | S16 | F16 | Bf16, 16) => u16, u16, |d: u16| d;
        (B16 | U16 | S16, 32) => u16, u32, |d: u32| d as u16;
        (B16 | U16 | S16, 64) => u16, u64, |d: u64| d as u16;
        (B32 | U32 | S32 | F32 | F16x2 | Bf16x2, 32) => u32, u32, |d: u32| d;
        (B32 | U32 | S32, 64) => u32, u64, |d: u64| d as u32;
        (B64 | U64 | S64 | F64 | F32x2, 64) => u64, u64, |d: u64| d;
        (B128, 128) => u128, u128, |d: u128| d;
    ))
}

/// Whether lane after lane lies right behind the one before.
#[inline(always)]
fn is_contiguous(at: &Pointers, bytes: u64) -> bool {
    let mut apart = 0;
    for lane in 0..32 {
        apart |= at[lane] ^ (at[0] + lane as u64 * bytes);
    }
    apart == 0
}

/// The places of `count` elements and their address.
///
/// # Safety
/// The decoder took that many; the slice is not used beyond the instruction.
#[inline(always)]
unsafe fn places<'a>(w: &Warp, i: &Inst, count: usize) -> &'a [u32] {
    // SAFETY: the caller's promise; few places lie in the instruction, more in the program's lists,
    // and both outlive the run.
    unsafe {
        let places = if count > 4 {
            w.list(i, count + 1)
        } else {
            &i.places[..]
        };
        std::slice::from_raw_parts(places.as_ptr(), count + 1)
    }
}

pub(super) fn read<S: Memory, M: Value, D: Value, F: Fn(M) -> D + Copy + 'static>(_: F) -> Exec {
    #[inline(always)]
    unsafe fn body<S: Memory, M: Value, D: Value, F: Fn(M) -> D + Copy + 'static>(
        w: &mut Warp,
        i: &Inst,
        mask: u32,
    ) -> Step {
        // SAFETY: the decoder checked the places, `pointers` the addresses; a program whose threads
        // race gets one of the values that were there, as the plain loads of the host give it.
        unsafe {
            let f = closure::<F>();
            let count = (i.aux >> COUNT_SHIFT) as usize;
            let places = places(w, i, count);
            let mut at = addresses(w, i, places[count], mask);
            if let Err(step) = S::pointers(w, i, &mut at, (count * size_of::<M>()) as u32) {
                return step;
            }
            if i.aux & STRONG != 0 {
                w.spin();
            }
            let mut out = [D::default(); 32];
            if count == 1 && mask == !0 && is_contiguous(&at, size_of::<M>() as u64) {
                let values = (at[0] as *const [M; 32]).read_unaligned();
                for lane in 0..32 {
                    out[lane] = f(values[lane]);
                }
                w.put(places[0], mask, &out);
                return Step::Next;
            }
            for (index, place) in places[..count].iter().enumerate() {
                for lane in 0..32 {
                    out[lane] = f((at[lane] as *const M).add(index).read_unaligned());
                }
                w.put(*place, mask, &out);
            }
        }
        Step::Next
    }
    versions!(body::<S, M, D, F> where S: Memory, M: Value, D: Value, F: Fn(M) -> D + Copy + 'static)
}

pub(super) fn write<S: Memory, M: Value, D: Value, F: Fn(D) -> M + Copy + 'static>(_: F) -> Exec {
    #[inline(always)]
    unsafe fn body<S: Memory, M: Value, D: Value, F: Fn(D) -> M + Copy + 'static>(
        w: &mut Warp,
        i: &Inst,
        mask: u32,
    ) -> Step {
        // SAFETY: as for `read`.
        unsafe {
            let f = closure::<F>();
            let count = (i.aux >> COUNT_SHIFT) as usize;
            let places = places(w, i, count);
            let mut at = addresses(w, i, places[0], mask);
            if let Err(step) = S::writable(w, i, &mut at, (count * size_of::<M>()) as u32) {
                return step;
            }
            for (index, place) in places[1..].iter().enumerate() {
                let row = w.row::<D>(*place);
                if mask == !0 {
                    if count == 1 && is_contiguous(&at, size_of::<M>() as u64) {
                        let values: &mut [M; 32] = &mut *(at[0] as *mut [M; 32]);
                        for lane in 0..32 {
                            values[lane] = f(row[lane]);
                        }
                        continue;
                    }
                    for lane in 0..32 {
                        (at[lane] as *mut M)
                            .add(index)
                            .write_unaligned(f(row[lane]));
                    }
                    continue;
                }
                let mut left = mask;
                while left != 0 {
                    let lane = left.trailing_zeros() as usize;
                    left &= left - 1;
                    (at[lane] as *mut M)
                        .add(index)
                        .write_unaligned(f(row[lane]));
                }
            }
        }
        Step::Next
    }
    versions!(body::<S, M, D, F> where S: Memory, M: Value, D: Value, F: Fn(D) -> M + Copy + 'static)
}
