//! f16 and bf16, one a register and packed in pairs (PTX ISA, "Half Precision Floating-Point
//! Instructions").

use super::facts::Class;
use super::float::{Operation, modifiers};
use super::lanes::{map1, with1, with2, with3};
use super::program::Exec;
use crate::numeric::approx;
use crate::numeric::half::{Half, Modifiers, packed};
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type::{self, *};

/// In `aux`: `.ftz`, `.sat`, `.relu`.
const FTZ: u32 = 1;
const SAT: u32 = 2;
const RELU: u32 = 4;

#[inline(always)]
fn mode(aux: u32) -> Modifiers {
    Modifiers {
        ftz: aux & FTZ != 0,
        sat: aux & SAT != 0,
        relu: aux & RELU != 0,
    }
}

use Half::{Bf16 as B, F16 as H};

/// `add`, `sub`, `mul`, `fma`
pub fn arithmetic(
    i: &mut Instr<'_, '_, '_>,
    ty: Type,
    operation: Operation,
    m: Modifiers,
) -> Result<Exec> {
    let bit = |flag, bit| if flag { bit } else { 0 };
    i.aux = bit(m.ftz, FTZ) | bit(m.sat, SAT) | bit(m.relu, RELU);
    use Operation::*;
    Ok(match (ty, operation) {
        (F16, Add) => with2(|m, a, b| H.add(mode(m), a, b)),
        (F16, Sub) => with2(|m, a, b| H.sub(mode(m), a, b)),
        (F16, Mul) => with2(|m, a, b| H.mul(mode(m), a, b)),
        (F16, Fma) => with3(|m, a, b, c| H.fma(mode(m), a, b, c)),
        (Bf16, Add) => with2(|m, a, b| B.add(mode(m), a, b)),
        (Bf16, Sub) => with2(|m, a, b| B.sub(mode(m), a, b)),
        (Bf16, Mul) => with2(|m, a, b| B.mul(mode(m), a, b)),
        (Bf16, Fma) => with3(|m, a, b, c| B.fma(mode(m), a, b, c)),
        (F16x2, Add) => with2(|m, a, b| packed([a, b], |[a, b]| H.add(mode(m), a, b))),
        (F16x2, Sub) => with2(|m, a, b| packed([a, b], |[a, b]| H.sub(mode(m), a, b))),
        (F16x2, Mul) => with2(|m, a, b| packed([a, b], |[a, b]| H.mul(mode(m), a, b))),
        (F16x2, Fma) => with3(|m, a, b, c| packed([a, b, c], |[a, b, c]| H.fma(mode(m), a, b, c))),
        (Bf16x2, Add) => with2(|m, a, b| packed([a, b], |[a, b]| B.add(mode(m), a, b))),
        (Bf16x2, Sub) => with2(|m, a, b| packed([a, b], |[a, b]| B.sub(mode(m), a, b))),
        (Bf16x2, Mul) => with2(|m, a, b| packed([a, b], |[a, b]| B.mul(mode(m), a, b))),
        (Bf16x2, Fma) => with3(|m, a, b, c| packed([a, b, c], |[a, b, c]| B.fma(mode(m), a, b, c))),
        _ => return i.refuse(),
    })
}

/// `neg`, `abs`
pub fn neg_or_abs(i: &mut Instr<'_, '_, '_>, ty: Type, ftz: bool, is_neg: bool) -> Result<Exec> {
    i.aux = ftz.into();
    Ok(match (ty, is_neg) {
        (F16, true) => with1(|m, a| H.neg(m != 0, a)),
        (F16, false) => with1(|m, a| H.abs(m != 0, a)),
        (Bf16, true) => with1(|m, a| B.neg(m != 0, a)),
        (Bf16, false) => with1(|m, a| B.abs(m != 0, a)),
        (F16x2, true) => with1(|m, a| packed([a], |[a]| H.neg(m != 0, a))),
        (F16x2, false) => with1(|m, a| packed([a], |[a]| H.abs(m != 0, a))),
        (Bf16x2, true) => with1(|m, a| packed([a], |[a]| B.neg(m != 0, a))),
        (Bf16x2, false) => with1(|m, a| packed([a], |[a]| B.abs(m != 0, a))),
        _ => return i.refuse(),
    })
}

/// `min`, `max`
pub fn min_or_max(i: &mut Instr<'_, '_, '_>, ty: Type, is_max: bool) -> Result<Exec> {
    Ok(match (ty, is_max) {
        (F16, false) => with2(|m, a, b| H.min(modifiers(m), a, b)),
        (F16, true) => with2(|m, a, b| H.max(modifiers(m), a, b)),
        (Bf16, false) => with2(|m, a, b| B.min(modifiers(m), a, b)),
        (Bf16, true) => with2(|m, a, b| B.max(modifiers(m), a, b)),
        (F16x2, false) => with2(|m, a, b| packed([a, b], |[a, b]| H.min(modifiers(m), a, b))),
        (F16x2, true) => with2(|m, a, b| packed([a, b], |[a, b]| H.max(modifiers(m), a, b))),
        (Bf16x2, false) => with2(|m, a, b| packed([a, b], |[a, b]| B.min(modifiers(m), a, b))),
        (Bf16x2, true) => with2(|m, a, b| packed([a, b], |[a, b]| B.max(modifiers(m), a, b))),
        _ => return i.refuse(),
    })
}

/// `ex2.approx`
pub fn ex2(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.facts.class = Class::Special;
    let approx = i.flag("approx");
    i.flag("ftz");
    let ty = i.ty()?;
    i.unary(ty)?;
    Ok(match (ty, approx) {
        (F16, true) => map1(approx::ex2_f16),
        (F16x2, true) => map1(|a| packed([a], |[a]| approx::ex2_f16(a))),
        (Bf16, true) => map1(approx::ex2_bf16),
        (Bf16x2, true) => map1(|a| packed([a], |[a]| approx::ex2_bf16(a))),
        _ => return i.refuse(),
    })
}

/// `tanh.approx`
pub fn tanh(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.facts.class = Class::Special;
    let approx = i.flag("approx");
    let ty = i.ty()?;
    i.unary(ty)?;
    Ok(match (ty, approx) {
        (F16, true) => map1(|a| approx::tanh_half(H, a)),
        (F16x2, true) => map1(|a| packed([a], |[a]| approx::tanh_half(H, a))),
        (Bf16, true) => map1(|a| approx::tanh_half(B, a)),
        (Bf16x2, true) => map1(|a| packed([a], |[a]| approx::tanh_half(B, a))),
        _ => return i.refuse(),
    })
}
