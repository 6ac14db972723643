//! Floating-point arithmetic (PTX ISA, "Floating-Point Instructions", "Half Precision Floating-Point
//! Instructions").

use super::facts::{Class, Work};
use super::half;
use super::lanes::{map1, map2, map3, with1, with2, with3};
use super::program::Exec;
use super::{Entry, For};
use crate::numeric::minmax::{
    MinMax, copysign_f32, copysign_f64, max_f32, max_f64, min_f32, min_f64,
};
use crate::numeric::rounding::Rounding;
use crate::numeric::single::{canonical, flush, saturate};
use crate::numeric::{approx, double, single};
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type::*;

pub const TABLE: &[Entry] = &[
    Entry("add", For::Floats, |i| arithmetic(i, Operation::Add)),
    Entry("sub", For::Floats, |i| arithmetic(i, Operation::Sub)),
    Entry("mul", For::Floats, |i| arithmetic(i, Operation::Mul)),
    Entry("fma", For::Floats, |i| arithmetic(i, Operation::Fma)),
    Entry("mad", For::Floats, |i| arithmetic(i, Operation::Fma)),
    Entry("div", For::Floats, div),
    Entry("rcp", For::Floats, rcp),
    Entry("sqrt", For::Floats, sqrt),
    Entry("rsqrt", For::Floats, |i| {
        i.facts.class = Class::Special;
        let approx = i.flag("approx");
        let ftz = i.flag("ftz");
        let ty = i.ty()?;
        i.unary(ty)?;
        Ok(match (ty, approx, ftz) {
            (F32, true, false) => map1(|a| approx::rsqrt(false, a)),
            (F32, true, true) => map1(|a| approx::rsqrt(true, a)),
            (F64, true, false) => map1(approx::rsqrt_f64),
            (F64, true, true) => map1(approx::rsqrt_gross_f64),
            _ => return i.refuse(),
        })
    }),
    Entry("neg", For::Floats, |i| {
        let ftz = i.flag("ftz");
        let ty = i.ty()?;
        i.unary(ty)?;
        Ok(match (ty, ftz) {
            (F32, false) => map1(|a: u32| a ^ 1 << 31),
            (F32, true) => map1(|a: f32| -flush(a)),
            (F64, false) => map1(|a: u64| a ^ 1 << 63),
            _ => half::neg_or_abs(i, ty, ftz, true)?,
        })
    }),
    Entry("abs", For::Floats, |i| {
        let ftz = i.flag("ftz");
        let ty = i.ty()?;
        i.unary(ty)?;
        Ok(match (ty, ftz) {
            (F32, false) => map1(|a: u32| a & !(1 << 31)),
            (F32, true) => map1(|a: f32| flush(a).abs()),
            (F64, false) => map1(|a: u64| a & !(1 << 63)),
            _ => half::neg_or_abs(i, ty, ftz, false)?,
        })
    }),
    Entry("min", For::Floats, |i| min_or_max(i, false)),
    Entry("max", For::Floats, |i| min_or_max(i, true)),
    Entry("copysign", For::Floats, |i| {
        let ty = i.ty()?;
        i.binary(ty)?;
        Ok(match ty {
            F32 => map2(copysign_f32),
            F64 => map2(copysign_f64),
            _ => return i.refuse(),
        })
    }),
    Entry("sin", For::Floats, |i| approximate(i, approx::sin)),
    Entry("cos", For::Floats, |i| approximate(i, approx::cos)),
    Entry("lg2", For::Floats, |i| approximate(i, approx::lg2)),
    Entry("ex2", For::Floats, |i| {
        if !i.has("f32") {
            return half::ex2(i);
        }
        approximate(i, approx::ex2)
    }),
    Entry("tanh", For::Floats, |i| {
        if !i.has("f32") {
            return half::tanh(i);
        }
        match take_approx(i)? {
            false => Ok(map1(approx::tanh)),
            true => i.refuse(),
        }
    }),
];

/// `.approx{.ftz}.f32 d, a` by `f(ftz, a)`.
fn approximate<F: Fn(bool, f32) -> f32 + Copy + 'static>(
    i: &mut Instr<'_, '_, '_>,
    f: F,
) -> Result<Exec> {
    Ok(if take_approx(i)? {
        map1(move |a| f(true, a))
    } else {
        map1(move |a| f(false, a))
    })
}

/// `.approx{.ftz}.f32 d, a`; `true`: `.ftz`.
fn take_approx(i: &mut Instr<'_, '_, '_>) -> Result<bool> {
    i.facts.class = Class::Special;
    let approx = i.flag("approx");
    let ftz = i.flag("ftz");
    let ty = i.ty()?;
    i.unary(ty)?;
    if ty == F32 && approx {
        Ok(ftz)
    } else {
        i.refuse()
    }
}

/// Arithmetic that all floating-point types have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Add,
    Sub,
    Mul,
    Fma,
}

/// In `aux`: the rounding mode, and bits for `.ftz` and `.sat`.
const FTZ: u32 = 8;
const SAT: u32 = 16;

fn take_rounding(i: &mut Instr<'_, '_, '_>) -> Option<u32> {
    i.one_of(&["rn", "rz", "rm", "rp"]).map(|r| r as u32)
}

#[inline(always)]
fn rounding(aux: u32) -> Rounding {
    match aux & 3 {
        0 => Rounding::Rn,
        1 => Rounding::Rz,
        2 => Rounding::Rm,
        _ => Rounding::Rp,
    }
}

/// `.ftz` on an operand, where it is said.
#[inline(always)]
fn before(aux: u32, x: f32) -> f32 {
    if aux & FTZ != 0 { flush(x) } else { x }
}

/// `.ftz` and `.sat` on a result.
#[inline(always)]
fn after(aux: u32, x: f32) -> f32 {
    let x = if aux & FTZ != 0 { flush(x) } else { x };
    if aux & SAT != 0 { saturate(x) } else { x }
}

fn arithmetic(i: &mut Instr<'_, '_, '_>, operation: Operation) -> Result<Exec> {
    let round = take_rounding(i);
    let ftz = i.flag("ftz");
    let sat = i.flag("sat");
    let relu = i.flag("relu");
    let ty = i.ty()?;
    if operation == Operation::Fma {
        i.ternary(ty)?
    } else {
        i.binary(ty)?
    }
    let operations = if operation == Operation::Fma { 2 } else { 1 };
    i.facts.work = match ty {
        F32 => Work::F32(operations),
        F32x2 => Work::F32(2 * operations),
        F64 => Work::F64(operations),
        F16x2 | Bf16x2 => Work::Half(2 * operations),
        _ => Work::Half(operations),
    };
    if !matches!(ty, F32 | F64 | F32x2) {
        if round.is_some_and(|r| r != 0) {
            return i.refuse();
        }
        return half::arithmetic(
            i,
            ty,
            operation,
            crate::numeric::half::Modifiers { ftz, sat, relu },
        );
    }
    if relu || (ty == F64 && (ftz || sat)) {
        return i.refuse();
    }
    let aux = round.unwrap_or(0) | if ftz { FTZ } else { 0 } | if sat { SAT } else { 0 };
    i.aux = aux;
    use Operation::*;
    const NEAREST_FTZ: u32 = FTZ;
    Ok(match (ty, operation, aux) {
        (F32, Add, 0) => map2(|a: f32, b: f32| canonical(a + b)),
        (F32, Sub, 0) => map2(|a: f32, b: f32| canonical(a - b)),
        (F32, Mul, 0) => map2(|a: f32, b: f32| canonical(a * b)),
        (F32, Fma, 0) => map3(|a: f32, b: f32, c: f32| canonical(a.mul_add(b, c))),
        (F32, Add, NEAREST_FTZ) => map2(|a, b| flush(canonical(flush(a) + flush(b)))),
        (F32, Sub, NEAREST_FTZ) => map2(|a, b| flush(canonical(flush(a) - flush(b)))),
        (F32, Mul, NEAREST_FTZ) => map2(|a, b| flush(canonical(flush(a) * flush(b)))),
        (F32, Fma, NEAREST_FTZ) => {
            map3(|a, b, c| flush(canonical(flush(a).mul_add(flush(b), flush(c)))))
        }
        (F32, Add, _) => {
            with2(|m, a, b| after(m, single::add(rounding(m), before(m, a), before(m, b))))
        }
        (F32, Sub, _) => {
            with2(|m, a, b| after(m, single::sub(rounding(m), before(m, a), before(m, b))))
        }
        (F32, Mul, _) => {
            with2(|m, a, b| after(m, single::mul(rounding(m), before(m, a), before(m, b))))
        }
        (F32, Fma, _) => with3(|m, a, b, c| {
            after(
                m,
                single::fma(rounding(m), before(m, a), before(m, b), before(m, c)),
            )
        }),
        (F32x2, Add, _) if !sat => with2(|m, a, b| {
            pairs(
                [a, b],
                |[a, b]| single::add(rounding(m), before(m, a), before(m, b)),
                m,
            )
        }),
        (F32x2, Sub, _) if !sat => with2(|m, a, b| {
            pairs(
                [a, b],
                |[a, b]| single::sub(rounding(m), before(m, a), before(m, b)),
                m,
            )
        }),
        (F32x2, Mul, _) if !sat => with2(|m, a, b| {
            pairs(
                [a, b],
                |[a, b]| single::mul(rounding(m), before(m, a), before(m, b)),
                m,
            )
        }),
        (F32x2, Fma, _) if !sat => with3(|m, a, b, c| {
            pairs(
                [a, b, c],
                |[a, b, c]| single::fma(rounding(m), before(m, a), before(m, b), before(m, c)),
                m,
            )
        }),
        (F64, Add, 0) => map2(|a, b| double::add(Rounding::Rn, a, b)),
        (F64, Sub, 0) => map2(|a, b| double::sub(Rounding::Rn, a, b)),
        (F64, Mul, 0) => map2(|a, b| double::mul(Rounding::Rn, a, b)),
        (F64, Fma, 0) => map3(|a, b, c| double::fma(Rounding::Rn, a, b, c)),
        (F64, Add, _) => with2(|m, a, b| double::add(rounding(m), a, b)),
        (F64, Sub, _) => with2(|m, a, b| double::sub(rounding(m), a, b)),
        (F64, Mul, _) => with2(|m, a, b| double::mul(rounding(m), a, b)),
        (F64, Fma, _) => with3(|m, a, b, c| double::fma(rounding(m), a, b, c)),
        _ => return i.refuse(),
    })
}

/// `.f32x2`: an operation on the low and on the high singles of 64-bit registers.
#[inline(always)]
fn pairs<const N: usize>(registers: [u64; N], f: impl Fn([f32; N]) -> f32, aux: u32) -> u64 {
    let low = after(aux, f(registers.map(|r| f32::from_bits(r as u32))));
    let high = after(aux, f(registers.map(|r| f32::from_bits((r >> 32) as u32))));
    u64::from(low.to_bits()) | u64::from(high.to_bits()) << 32
}

fn div(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.facts.class = Class::Special;
    let approx = i.one_of(&["approx", "full"]);
    let round = take_rounding(i);
    let ftz = i.flag("ftz");
    let ty = i.ty()?;
    i.binary(ty)?;
    i.aux = round.unwrap_or(0) | if ftz { FTZ } else { 0 };
    Ok(match (ty, approx, round, ftz) {
        (F32, Some(0), None, false) => map2(|a, b| approx::div(false, a, b)),
        (F32, Some(0), None, true) => map2(|a, b| approx::div(true, a, b)),
        (F32, Some(1), None, false) => map2(|a, b| approx::div_full(false, a, b)),
        (F32, Some(1), None, true) => map2(|a, b| approx::div_full(true, a, b)),
        (F32, None, Some(0), false) => map2(|a: f32, b: f32| canonical(a / b)),
        (F32, None, Some(_), _) => {
            with2(|m, a, b| after(m, single::div(rounding(m), before(m, a), before(m, b))))
        }
        (F64, None, Some(_), false) => with2(|m, a, b| double::div(rounding(m), a, b)),
        _ => return i.refuse(),
    })
}

fn rcp(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.facts.class = Class::Special;
    let approx = i.flag("approx");
    let round = take_rounding(i);
    let ftz = i.flag("ftz");
    let ty = i.ty()?;
    i.unary(ty)?;
    i.aux = round.unwrap_or(0) | if ftz { FTZ } else { 0 };
    Ok(match (ty, approx, round, ftz) {
        (F32, true, None, false) => map1(|a| approx::rcp(false, a)),
        (F32, true, None, true) => map1(|a| approx::rcp(true, a)),
        (F32, false, Some(_), _) => with1(|m, a| after(m, single::rcp(rounding(m), before(m, a)))),
        (F64, true, None, true) => map1(approx::rcp_f64),
        (F64, false, Some(_), false) => with1(|m, a| double::rcp(rounding(m), a)),
        _ => return i.refuse(),
    })
}

fn sqrt(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.facts.class = Class::Special;
    let approx = i.flag("approx");
    let round = take_rounding(i);
    let ftz = i.flag("ftz");
    let ty = i.ty()?;
    i.unary(ty)?;
    i.aux = round.unwrap_or(0) | if ftz { FTZ } else { 0 };
    Ok(match (ty, approx, round, ftz) {
        (F32, true, None, false) => map1(|a| approx::sqrt(false, a)),
        (F32, true, None, true) => map1(|a| approx::sqrt(true, a)),
        (F32, false, Some(0), false) => map1(|a| single::sqrt(Rounding::Rn, a)),
        (F32, false, Some(_), _) => with1(|m, a| after(m, single::sqrt(rounding(m), before(m, a)))),
        (F64, false, Some(_), false) => with1(|m, a| double::sqrt(rounding(m), a)),
        _ => return i.refuse(),
    })
}

/// In `aux`: modifiers of `min` and `max`.
pub const MINMAX_FTZ: u32 = 1;
pub const MINMAX_NAN: u32 = 2;
pub const MINMAX_XORSIGN: u32 = 4;

/// The modifiers that `aux` holds.
#[inline(always)]
pub fn modifiers(aux: u32) -> MinMax {
    MinMax {
        ftz: aux & MINMAX_FTZ != 0,
        nan: aux & MINMAX_NAN != 0,
        xorsign_abs: aux & MINMAX_XORSIGN != 0,
    }
}

fn min_or_max(i: &mut Instr<'_, '_, '_>, is_max: bool) -> Result<Exec> {
    let bit = |flag, bit| if flag { bit } else { 0 };
    let xorsign = i.flag("xorsign");
    i.aux = bit(i.flag("ftz"), MINMAX_FTZ)
        | bit(i.flag("NaN"), MINMAX_NAN)
        | bit(xorsign, MINMAX_XORSIGN);
    if xorsign && !i.flag("abs") {
        return i.refuse();
    }
    let ty = i.ty()?;
    i.binary(ty)?;
    if i.left() == 1 && ty == F32 {
        i.src(ty)?;
        return Ok(if is_max {
            with3(|m, a, b, c| max_f32(modifiers(m), max_f32(modifiers(m), a, b), c))
        } else {
            with3(|m, a, b, c| min_f32(modifiers(m), min_f32(modifiers(m), a, b), c))
        });
    }
    let plain = i.aux == 0;
    Ok(match (ty, is_max) {
        (F32, false) if plain => map2(|a, b| min_f32(MinMax::default(), a, b)),
        (F32, true) if plain => map2(|a, b| max_f32(MinMax::default(), a, b)),
        (F32, false) => with2(|m, a, b| min_f32(modifiers(m), a, b)),
        (F32, true) => with2(|m, a, b| max_f32(modifiers(m), a, b)),
        (F64, false) if plain => map2(|a, b| min_f64(MinMax::default(), a, b)),
        (F64, true) if plain => map2(|a, b| max_f64(MinMax::default(), a, b)),
        _ => return half::min_or_max(i, ty, is_max),
    })
}
