//! Sums with carry (PTX ISA, "Extended-Precision Integer Arithmetic Instructions").

use super::lanes::Value;
use super::program::{Exec, Inst, Step};
use super::warp::Warp;
use super::{Entry, For};
use crate::numeric::bits::carry::*;
use crate::numeric::bits::multiply::Part;
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type::*;

pub const TABLE: &[Entry] = &[
    Entry("addc", For::All, |i| add_or_sub(i, false, true)),
    Entry("subc", For::All, |i| add_or_sub(i, true, true)),
    Entry("madc", For::All, |i| mad(i, true)),
];

/// In `aux`: the carry is taken, it is set.
const IN: u32 = 1;
const OUT: u32 = 2;

/// `f` on each lane and its carry.
unsafe fn chain<T: Value>(
    w: &mut Warp,
    i: &Inst,
    mask: u32,
    f: impl Fn(usize, bool) -> (T, bool),
) -> Step {
    let mut out = [T::default(); 32];
    let mut carries = 0;
    for lane in 0..32 {
        let carry = i.aux & IN != 0 && w.carry >> lane & 1 != 0;
        let (value, carry) = f(lane, carry);
        out[lane] = value;
        carries |= u32::from(carry) << lane;
    }
    // SAFETY: the decoder took a row of `T`.
    unsafe { w.put(i.places[0], mask, &out) };
    if i.aux & OUT != 0 {
        w.carry = w.carry & !mask | carries & mask;
    }
    Step::Next
}

macro_rules! sums {
    ($f:expr, $t:ty) => {
        |w, i, mask| {
            // SAFETY: the decoder took rows of the type.
            unsafe {
                let (a, b) = (*w.row::<$t>(i.places[1]), *w.row::<$t>(i.places[2]));
                chain(w, i, mask, |l, carry| $f(a[l], b[l], carry))
            }
        }
    };
}

macro_rules! products {
    ($f:expr, $part:expr, $t:ty) => {
        |w, i, mask| {
            // SAFETY: the decoder took rows of the type.
            unsafe {
                let a = *w.row::<$t>(i.places[1]);
                let b = *w.row::<$t>(i.places[2]);
                let c = *w.row::<$t>(i.places[3]);
                chain(w, i, mask, |l, carry| $f($part, a[l], b[l], c[l], carry))
            }
        }
    };
}

/// `add.cc`, `addc`, `sub.cc`, `subc`
pub fn add_or_sub(i: &mut Instr<'_, '_, '_>, is_sub: bool, takes: bool) -> Result<Exec> {
    i.aux = if takes { IN } else { 0 } | if i.flag("cc") { OUT } else { 0 };
    let ty = i.ty()?;
    i.binary(ty)?;
    Ok(match (ty, is_sub) {
        (U32 | S32, false) => sums!(addc32, u32),
        (U32 | S32, true) => sums!(subc32, u32),
        (U64 | S64, false) => sums!(addc64, u64),
        (U64 | S64, true) => sums!(subc64, u64),
        _ => return i.refuse(),
    })
}

/// `mad.cc`, `madc`
pub fn mad(i: &mut Instr<'_, '_, '_>, takes: bool) -> Result<Exec> {
    i.aux = if takes { IN } else { 0 } | if i.flag("cc") { OUT } else { 0 };
    let part = i.one_of(&["lo", "hi"]);
    let ty = i.ty()?;
    i.ternary(ty)?;
    Ok(match (part, ty) {
        (Some(0), U32) => products!(madc_u32, Part::Lo, u32),
        (Some(1), U32) => products!(madc_u32, Part::Hi, u32),
        (Some(0), S32) => products!(madc_s32, Part::Lo, i32),
        (Some(1), S32) => products!(madc_s32, Part::Hi, i32),
        (Some(0), U64) => products!(madc_u64, Part::Lo, u64),
        (Some(1), U64) => products!(madc_u64, Part::Hi, u64),
        (Some(0), S64) => products!(madc_s64, Part::Lo, i64),
        (Some(1), S64) => products!(madc_s64, Part::Hi, i64),
        _ => return i.refuse(),
    })
}
