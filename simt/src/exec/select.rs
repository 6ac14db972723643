//! Selection, and tests of one number (PTX ISA, "Comparison and Selection Instructions": `selp`, `slct`;
//! `testp`).

use super::lanes::{Value, lanes_where, versions};
use super::program::{Exec, Inst, Step};
use super::warp::Warp;
use super::{Entry, For};
use crate::numeric::compare::{slct_f32, slct_s32};
use crate::numeric::minmax::{Property, testp_f32, testp_f64};
use crate::numeric::single::flush;
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type::*;

pub const TABLE: &[Entry] = &[
    Entry("selp", For::All, selp),
    Entry("slct", For::All, slct),
    Entry("testp", For::All, testp),
];

fn selp(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let ty = i.ty()?;
    i.binary(ty)?;
    if i.predicate()? {
        i.aux = !0;
    }
    fn select<T: Value>() -> Exec {
        #[inline(always)]
        unsafe fn body<T: Value>(w: &mut Warp, i: &Inst, mask: u32) -> Step {
            // SAFETY: the decoder took rows of `T` and a predicate.
            unsafe {
                let holds = w.predicate(i.places[3]) ^ i.aux;
                let (a, b) = (w.row::<T>(i.places[1]), w.row::<T>(i.places[2]));
                let mut out = [T::default(); 32];
                for lane in 0..32 {
                    out[lane] = if holds >> lane & 1 != 0 {
                        a[lane]
                    } else {
                        b[lane]
                    };
                }
                w.put(i.places[0], mask, &out);
            }
            Step::Next
        }
        versions!(body::<T> where T: Value)
    }
    Ok(match ty {
        B16 | U16 | S16 | F16 | Bf16 => select::<u16>(),
        B32 | U32 | S32 | F32 => select::<u32>(),
        B64 | U64 | S64 | F64 => select::<u64>(),
        _ => return i.refuse(),
    })
}

fn slct(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    use super::lanes::{map3, with3};
    i.aux = i.flag("ftz").into();
    let (ty, by) = (i.ty()?, i.ty()?);
    i.binary(ty)?;
    i.src(by)?;
    Ok(match (by, ty.bits()) {
        (S32, 16) => map3(|a: u16, b: u16, c: i32| slct_s32(a, b, c)),
        (S32, 32) => map3(|a: u32, b: u32, c: i32| slct_s32(a, b, c)),
        (S32, 64) => map3(|a: u64, b: u64, c: i32| slct_s32(a, b, c)),
        (F32, 16) => {
            with3(|m, a: u16, b: u16, c: f32| slct_f32(a, b, if m != 0 { flush(c) } else { c }))
        }
        (F32, 32) => {
            with3(|m, a: u32, b: u32, c: f32| slct_f32(a, b, if m != 0 { flush(c) } else { c }))
        }
        (F32, 64) => {
            with3(|m, a: u64, b: u64, c: f32| slct_f32(a, b, if m != 0 { flush(c) } else { c }))
        }
        _ => return i.refuse(),
    })
}

fn testp(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    const NAMES: [&str; 6] = [
        "finite",
        "infinite",
        "number",
        "notanumber",
        "normal",
        "subnormal",
    ];
    const MEANING: [Property; 6] = {
        use Property::*;
        [Finite, Infinite, Number, NotANumber, Normal, Subnormal]
    };
    let Some(index) = i.one_of(&NAMES) else {
        return i.refuse();
    };
    i.aux = index as u32;
    let ty = i.ty()?;
    i.dst(Pred)?;
    i.src(ty)?;
    Ok(match ty {
        F32 => |w, i, mask| {
            // SAFETY: the decoder took a predicate and a row of 32 bits.
            unsafe {
                let a = *w.row::<f32>(i.places[1]);
                let lanes = lanes_where(|l| testp_f32(MEANING[i.aux as usize], a[l]));
                w.put_predicate(i.places[0], mask, lanes);
            }
            Step::Next
        },
        F64 => |w, i, mask| {
            // SAFETY: the decoder took a predicate and a row of 64 bits.
            unsafe {
                let a = *w.row::<f64>(i.places[1]);
                let lanes = lanes_where(|l| testp_f64(MEANING[i.aux as usize], a[l]));
                w.put_predicate(i.places[0], mask, lanes);
            }
            Step::Next
        },
        _ => return i.refuse(),
    })
}
