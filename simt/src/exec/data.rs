//! Moves between registers (PTX ISA, `mov`), special registers and packing.

use super::lanes::map1;
use super::program::{Exec, Step};
use super::special::Special;
use super::{Entry, For};
use crate::ptx::Result;
use crate::ptx::ast::Operand;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type::{self, *};

pub const TABLE: &[Entry] = &[
    Entry("mov", For::All, mov),
    Entry("movmatrix", For::All, super::matrix::transpose),
];

fn mov(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let ty = i.ty()?;
    if let Some(Operand::Vector(_)) = i.peek() {
        return unpack(i, ty);
    }
    i.dst(ty)?;
    match i.peek() {
        Some(Operand::Vector(_)) => return pack(i, ty),
        Some(Operand::Name(name, part)) => {
            if i.scope.find_register(name).is_none()
                && let Some(special) = Special::parse(name, *part).filter(|s| s.is_clock())
            {
                i.operand()?;
                return clock(i, special, ty);
            }
        }
        _ => {}
    }
    i.src(ty)?;
    Ok(match ty {
        Pred => |w, i, mask| {
            // SAFETY: the decoder took predicates.
            unsafe {
                let lanes = w.predicate(i.places[1]);
                w.put_predicate(i.places[0], mask, lanes);
            }
            Step::Next
        },
        _ => match ty.bits() {
            16 => map1(|a: u16| a),
            32 => map1(|a: u32| a),
            64 => map1(|a: u64| a),
            128 => map1(|a: u128| a),
            _ => return i.refuse(),
        },
    })
}

/// A clock moves on between two reads, so that it is read where the program says.
fn clock(i: &mut Instr<'_, '_, '_>, special: Special, ty: Type) -> Result<Exec> {
    use Special::*;
    const CLOCKS: [Special; 6] = [
        Clock,
        ClockHi,
        Clock64,
        GlobalTimer,
        GlobalTimerLo,
        GlobalTimerHi,
    ];
    i.aux = CLOCKS.iter().position(|c| *c == special).unwrap_or(0) as u32;
    Ok(match ty.bits() {
        32 => |w, i, mask| {
            let value = CLOCKS[i.aux as usize].value(w, 0) as u32;
            // SAFETY: the decoder took a row of 32 bits.
            unsafe { w.put(i.places[0], mask, &[value; 32]) };
            w.spin();
            Step::Next
        },
        64 => |w, i, mask| {
            let value = CLOCKS[i.aux as usize].value(w, 0);
            // SAFETY: the decoder took a row of 64 bits.
            unsafe { w.put(i.places[0], mask, &[value; 32]) };
            w.spin();
            Step::Next
        },
        _ => return i.refuse(),
    })
}

/// The type of one of `count` equal parts.
fn part(i: &Instr<'_, '_, '_>, ty: Type, count: usize) -> Result<Type> {
    let bits = ty.bits() as usize / count.max(1);
    Ok(match bits {
        8 if count == 4 => B8,
        16 => B16,
        32 => B32,
        64 => B64,
        _ => return i.refuse(),
    })
}

/// `mov.b64 d, {a, b}`: `a` is the low part.
fn pack(i: &mut Instr<'_, '_, '_>, ty: Type) -> Result<Exec> {
    use super::lanes::{map2, map4};
    let elements = i.elements()?;
    let part = part(i, ty, elements.len())?;
    elements
        .iter()
        .try_for_each(|operand| i.src_of(operand, part))?;
    Ok(match (ty.bits(), elements.len()) {
        (32, 2) => map2(|a: u16, b: u16| u32::from(a) | u32::from(b) << 16),
        (64, 2) => map2(|a: u32, b: u32| u64::from(a) | u64::from(b) << 32),
        (128, 2) => map2(|a: u64, b: u64| u128::from(a) | u128::from(b) << 64),
        (32, 4) => {
            map4(|a: u16, b: u16, c: u16, d: u16| u32::from_le_bytes([a, b, c, d].map(|x| x as u8)))
        }
        (64, 4) => map4(|a: u16, b: u16, c: u16, d: u16| {
            u64::from(a) | u64::from(b) << 16 | u64::from(c) << 32 | u64::from(d) << 48
        }),
        (128, 4) => map4(|a: u32, b: u32, c: u32, d: u32| {
            u128::from(a) | u128::from(b) << 32 | u128::from(c) << 64 | u128::from(d) << 96
        }),
        _ => return i.refuse(),
    })
}

/// `mov.b64 {a, b}, d`
fn unpack(i: &mut Instr<'_, '_, '_>, ty: Type) -> Result<Exec> {
    let elements = i.elements()?;
    let part = part(i, ty, elements.len())?;
    elements
        .iter()
        .try_for_each(|operand| i.dst_of(operand, part))?;
    i.src(ty)?;

    macro_rules! split {
        ($whole:ty, $part:ty, $count:literal, $bits:literal) => {
            |w, i, mask| {
                // SAFETY: the decoder took rows of these types.
                unsafe {
                    let whole = *w.row::<$whole>(i.places[$count]);
                    for index in 0..$count {
                        let out = std::array::from_fn(|l| (whole[l] >> (index * $bits)) as $part);
                        w.put(i.places[index], mask, &out);
                    }
                }
                Step::Next
            }
        };
    }
    Ok(match (ty.bits(), elements.len()) {
        (32, 2) => split!(u32, u16, 2, 16),
        (64, 2) => split!(u64, u32, 2, 32),
        (128, 2) => split!(u128, u64, 2, 64),
        (64, 4) => split!(u64, u16, 4, 16),
        (128, 4) => split!(u128, u32, 4, 32),
        (32, 4) => |w, i, mask| {
            // SAFETY: the decoder took a row of 32 bits and rows of 16.
            unsafe {
                let whole = *w.row::<u32>(i.places[4]);
                for index in 0..4 {
                    let out = std::array::from_fn(|l| u16::from((whole[l] >> (index * 8)) as u8));
                    w.put(i.places[index], mask, &out);
                }
            }
            Step::Next
        },
        _ => return i.refuse(),
    })
}
