//! Sums, products and extremes of integers (PTX ISA, "Integer Arithmetic Instructions": `add`, `sub`,
//! `mul`, `mad`, `mul24`, `mad24`, `min`, `max`).

use super::integer::{binary, halves, ternary};
use super::lanes::{map2, map3, typed};
use super::program::Exec;
use crate::numeric::bits::multiply;
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type::{self, *};

pub(super) fn add_or_sub(i: &mut Instr<'_, '_, '_>, is_sub: bool) -> Result<Exec> {
    if i.has("cc") {
        return super::carry::add_or_sub(i, is_sub, false);
    }
    let sat = i.flag("sat");
    let ty = binary(i)?;
    Ok(match (ty, is_sub, sat) {
        (S32, false, true) => map2(|a: i32, b: i32| a.saturating_add(b)),
        (S32, true, true) => map2(|a: i32, b: i32| a.saturating_sub(b)),
        (U16 | S16, false, false) => map2(|a: u16, b: u16| a.wrapping_add(b)),
        (U16 | S16, true, false) => map2(|a: u16, b: u16| a.wrapping_sub(b)),
        (U32 | S32, false, false) => map2(|a: u32, b: u32| a.wrapping_add(b)),
        (U32 | S32, true, false) => map2(|a: u32, b: u32| a.wrapping_sub(b)),
        (U64 | S64, false, false) => map2(|a: u64, b: u64| a.wrapping_add(b)),
        (U64 | S64, true, false) => map2(|a: u64, b: u64| a.wrapping_sub(b)),
        (U16x2 | S16x2, false, false) => map2(|a, b| halves(a, b, u16::wrapping_add)),
        (U16x2 | S16x2, true, false) => map2(|a, b| halves(a, b, u16::wrapping_sub)),
        _ => return i.refuse(),
    })
}

pub(super) fn mul(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let Some(part) = i.one_of(&["lo", "hi", "wide"]) else {
        return i.refuse();
    };
    let ty = i.ty()?;
    if part == 2 {
        i.dst(wider(i, ty)?)?;
        i.src(ty)?;
        i.src(ty)?;
    } else {
        i.binary(ty)?;
    }
    Ok(match (part, ty) {
        (0, U16 | S16) => map2(|a: u16, b: u16| a.wrapping_mul(b)),
        (0, U32 | S32) => map2(|a: u32, b: u32| a.wrapping_mul(b)),
        (0, U64 | S64) => map2(|a: u64, b: u64| a.wrapping_mul(b)),
        (1, U16) => map2(multiply::mul_hi_u16),
        (1, S16) => map2(multiply::mul_hi_s16),
        (1, U32) => map2(multiply::mul_hi_u32),
        (1, S32) => map2(multiply::mul_hi_s32),
        (1, U64) => map2(multiply::mul_hi_u64),
        (1, S64) => map2(multiply::mul_hi_s64),
        (2, U16) => map2(multiply::mul_wide_u16),
        (2, S16) => map2(multiply::mul_wide_s16),
        (2, U32) => map2(multiply::mul_wide_u32),
        (2, S32) => map2(multiply::mul_wide_s32),
        _ => return i.refuse(),
    })
}

pub(super) fn mad(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    if i.has("cc") {
        return super::carry::mad(i, false);
    }
    let Some(part) = i.one_of(&["lo", "hi", "wide"]) else {
        return i.refuse();
    };
    let sat = i.flag("sat");
    let ty = i.ty()?;
    if part == 2 {
        let wide = wider(i, ty)?;
        i.dst(wide)?;
        i.src(ty)?;
        i.src(ty)?;
        i.src(wide)?;
    } else {
        i.ternary(ty)?;
    }
    Ok(match (part, ty, sat) {
        (1, S32, true) => map3(multiply::mad_hi_sat_s32),
        (0, U16 | S16, false) => map3(|a: u16, b: u16, c: u16| a.wrapping_mul(b).wrapping_add(c)),
        (0, U32 | S32, false) => map3(|a: u32, b: u32, c: u32| a.wrapping_mul(b).wrapping_add(c)),
        (0, U64 | S64, false) => map3(|a: u64, b: u64, c: u64| a.wrapping_mul(b).wrapping_add(c)),
        (1, U16, false) => map3(|a, b, c| multiply::mul_hi_u16(a, b).wrapping_add(c)),
        (1, S16, false) => map3(|a, b, c| multiply::mul_hi_s16(a, b).wrapping_add(c)),
        (1, U32, false) => map3(|a, b, c| multiply::mul_hi_u32(a, b).wrapping_add(c)),
        (1, S32, false) => map3(|a, b, c| multiply::mul_hi_s32(a, b).wrapping_add(c)),
        (1, U64, false) => map3(|a, b, c| multiply::mul_hi_u64(a, b).wrapping_add(c)),
        (1, S64, false) => map3(|a, b, c| multiply::mul_hi_s64(a, b).wrapping_add(c)),
        (2, U16, false) => map3(|a, b, c| multiply::mul_wide_u16(a, b).wrapping_add(c)),
        (2, S16, false) => map3(|a, b, c| multiply::mul_wide_s16(a, b).wrapping_add(c)),
        (2, U32, false) => map3(|a, b, c| multiply::mul_wide_u32(a, b).wrapping_add(c)),
        (2, S32, false) => map3(|a, b, c| multiply::mul_wide_s32(a, b).wrapping_add(c)),
        _ => return i.refuse(),
    })
}

fn wider(i: &Instr<'_, '_, '_>, ty: Type) -> Result<Type> {
    Ok(match ty {
        U16 => U32,
        S16 => S32,
        U32 => U64,
        S32 => S64,
        _ => return i.refuse(),
    })
}

pub(super) fn mul24(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let part = i.one_of(&["lo", "hi"]);
    let ty = binary(i)?;
    use multiply::{Part, mul24_s32, mul24_u32};
    Ok(match (part, ty) {
        (Some(0), U32) => map2(|a, b| mul24_u32(Part::Lo, a, b)),
        (Some(1), U32) => map2(|a, b| mul24_u32(Part::Hi, a, b)),
        (Some(0), S32) => map2(|a, b| mul24_s32(Part::Lo, a, b)),
        (Some(1), S32) => map2(|a, b| mul24_s32(Part::Hi, a, b)),
        _ => return i.refuse(),
    })
}

pub(super) fn mad24(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let part = i.one_of(&["lo", "hi"]);
    let sat = i.flag("sat");
    let ty = ternary(i)?;
    use multiply::{Part, mad24_s32, mad24_u32};
    Ok(match (part, ty, sat) {
        (Some(0), U32, false) => map3(|a, b, c| mad24_u32(Part::Lo, a, b, c)),
        (Some(1), U32, false) => map3(|a, b, c| mad24_u32(Part::Hi, a, b, c)),
        (Some(0), S32, false) => map3(|a, b, c| mad24_s32(Part::Lo, false, a, b, c)),
        (Some(1), S32, false) => map3(|a, b, c| mad24_s32(Part::Hi, false, a, b, c)),
        (Some(1), S32, true) => map3(|a, b, c| mad24_s32(Part::Hi, true, a, b, c)),
        _ => return i.refuse(),
    })
}

pub(super) fn min_or_max(i: &mut Instr<'_, '_, '_>, is_max: bool) -> Result<Exec> {
    let relu = i.flag("relu");
    let ty = binary(i)?;
    Ok(match (ty, is_max, relu) {
        (U16x2, false, false) => map2(|a, b| halves(a, b, u16::min)),
        (U16x2, true, false) => map2(|a, b| halves(a, b, u16::max)),
        (S16x2, false, false) => map2(|a, b| halves(a, b, |a, b| (a as i16).min(b as i16) as u16)),
        (S16x2, true, false) => map2(|a, b| halves(a, b, |a, b| (a as i16).max(b as i16) as u16)),
        (S16x2, false, true) => {
            map2(|a, b| halves(a, b, |a, b| (a as i16).min(b as i16).max(0) as u16))
        }
        (S16x2, true, true) => {
            map2(|a, b| halves(a, b, |a, b| (a as i16).max(b as i16).max(0) as u16))
        }
        (S32, false, true) => map2(|a: i32, b: i32| a.min(b).max(0)),
        (S32, true, true) => map2(|a: i32, b: i32| a.max(b).max(0)),
        (_, _, true) => return i.refuse(),
        (_, false, false) => typed!(i, ty, map2,
            [U16 => u16, S16 => i16, U32 => u32, S32 => i32, U64 => u64, S64 => i64], (|a, b| a.min(b))),
        (_, true, false) => typed!(i, ty, map2,
            [U16 => u16, S16 => i16, U32 => u32, S32 => i32, U64 => u64, S64 => i64], (|a, b| a.max(b))),
    })
}
