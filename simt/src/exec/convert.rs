//! Conversions (PTX ISA, `cvt`, `cvt.pack`).

use super::lanes::{map1, map2, with1, with2, with3};
use super::program::Exec;
use super::{Entry, For};
use crate::numeric::format::{self, Format};
use crate::numeric::integer::{self, Integer};
use crate::numeric::narrow::{self, Saturation, bf16_rn, bf16_to_f32, f16_rn, f16_to_f32};
use crate::numeric::single::{self, flush};
use crate::numeric::{IntegerRounding, Rounding};
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type::{self, *};

pub const TABLE: &[Entry] = &[Entry("cvt", For::All, cvt)];

const TYPES: [Type; 15] = [
    U8, S8, U16, S16, U32, S32, U64, S64, F16, Bf16, F32, F64, Tf32, E4m3x2, E5m2x2,
];
const ROUNDINGS: [&str; 10] = [
    "rn", "rz", "rm", "rp", "rna", "rni", "rzi", "rmi", "rpi", "rs",
];

/// What `aux` holds: indices of the source and destination type and of the rounding, and flags.
const FROM: u32 = 0;
const TO: u32 = 4;
const ROUND: u32 = 8;
const SAT: u32 = 1 << 12;
const FTZ: u32 = 1 << 13;
const RELU: u32 = 1 << 14;
const SATFINITE: u32 = 1 << 15;

fn cvt(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    if i.flag("pack") {
        return pack(i);
    }
    let round = i.one_of(&ROUNDINGS);
    for (name, bit) in [
        ("sat", SAT),
        ("ftz", FTZ),
        ("relu", RELU),
        ("satfinite", SATFINITE),
    ] {
        if i.flag(name) {
            i.aux |= bit;
        }
    }
    let (to, from) = (i.ty()?, i.ty()?);
    if round == Some(9) {
        return i.refuse();
    }
    let is_integral = |ty: Type| ty.is_integer();
    let is_half = |ty| matches!(ty, F16 | Bf16);
    if matches!(to, F16x2 | Bf16x2 | E4m3x2 | E5m2x2) || matches!(from, E4m3x2 | E5m2x2) {
        return packed(i, to, from, round);
    }
    // Which rounding a pair of types needs, and which it may have.
    let fits = match (is_integral(to), is_integral(from)) {
        (true, true) => round.is_none() && i.aux & FTZ == 0,
        (true, false) => matches!(round, Some(5..9)),
        (false, true) => matches!(round, Some(0..4)),
        (false, false) => match round {
            None => to.bits() >= from.bits(),
            Some(0..4) => to.bits() < from.bits() || to == Tf32 || is_half(to) && is_half(from),
            Some(4) => to == Tf32,
            Some(5..9) => to == from,
            _ => false,
        },
    };
    let index = |ty| TYPES.iter().position(|t| *t == ty);
    let (Some(to_index), Some(from_index), true) = (index(to), index(from), fits) else {
        return i.refuse();
    };
    i.aux |= (from_index as u32) << FROM | (to_index as u32) << TO;
    i.aux |= (round.unwrap_or(0) as u32) << ROUND;

    let operand = i.operand()?;
    let to_bits = i.dst_wide(operand, to)?;
    let operand = i.operand()?;
    let from_bits = i.src_wide(operand, from)?;
    if to_bits > 64 || from_bits > 64 {
        return i.refuse();
    }
    let is_plain = i.aux & (SAT | FTZ | RELU | SATFINITE) == 0;
    let is_natural = to_bits == to.bits() && from_bits == from.bits().max(16);
    if is_plain
        && is_natural
        && let Some(exec) = fast(to, from, round)
    {
        return Ok(exec);
    }
    Ok(match (from_bits, to_bits) {
        (16, 16) => with1(|m, a: u16| general(m, a.into()) as u16),
        (16, 32) => with1(|m, a: u16| general(m, a.into()) as u32),
        (16, _) => with1(|m, a: u16| general(m, a.into())),
        (32, 16) => with1(|m, a: u32| general(m, a.into()) as u16),
        (32, 32) => with1(|m, a: u32| general(m, a.into()) as u32),
        (32, _) => with1(|m, a: u32| general(m, a.into())),
        (_, 16) => with1(|m, a: u64| general(m, a) as u16),
        (_, 32) => with1(|m, a: u64| general(m, a) as u32),
        _ => with1(general),
    })
}

/// Common conversions between registers of just the types' widths.
fn fast(to: Type, from: Type, round: Option<usize>) -> Option<Exec> {
    macro_rules! extend {
        ($($from:pat => $row:ty, $value:ty;)*) => {
            match (from, to.bits()) {
                $(
                    ($from, 16) => map1(|a: $row| a as $value as u16),
                    ($from, 32) => map1(|a: $row| a as $value as u32),
                    ($from, _) => map1(|a: $row| a as $value as u64),
                )*
                _ => return None,
            }
        };
    }
    Some(match (to, from, round) {
        (U16 | S16 | U32 | S32 | U64 | S64, _, None) if from.is_integer() => extend! {
            U8 => u16, u8;
            S8 => u16, i8;
            U16 => u16, u16;
            S16 => u16, i16;
            U32 => u32, u32;
            S32 => u32, i32;
            U64 | S64 => u64, u64;
        },
        (F32, S32, Some(0)) => map1(|a: i32| a as f32),
        (F32, U32, Some(0)) => map1(|a: u32| a as f32),
        (F64, S32, Some(_)) => map1(|a: i32| f64::from(a)),
        (F64, U32, Some(_)) => map1(|a: u32| f64::from(a)),
        (F32, S64, Some(0)) => map1(|a: i64| a as f32),
        (F32, U64, Some(0)) => map1(|a: u64| a as f32),
        (F64, S64, Some(0)) => map1(|a: i64| a as f64),
        (F64, U64, Some(0)) => map1(|a: u64| a as f64),
        // Casts saturate and turn NaN into 0, as the conversion does.
        (S32, F32, Some(6)) => map1(|a: f32| a as i32),
        (U32, F32, Some(6)) => map1(|a: f32| a as u32),
        (F32, F16, None) => map1(f16_to_f32),
        (F32, Bf16, None) => map1(bf16_to_f32),
        (F16, F32, Some(0)) => map1(f16_rn),
        (Bf16, F32, Some(0)) => map1(bf16_rn),
        (F64, F32, None) => map1(|a: f32| widen(a)),
        (F32, F64, Some(0)) => map1(|a: f64| single::canonical(a as f32)),
        (F32, F32, Some(5)) => map1(|a: f32| single::canonical(a.round_ties_even())),
        _ => return None,
    })
}

/// f32 to f64, NaN to the canonical one.
#[inline(always)]
fn widen(x: f32) -> f64 {
    if x.is_nan() {
        f64::from_bits(format::F64_NAN)
    } else {
        f64::from(x)
    }
}

fn rounding(m: u32) -> Rounding {
    match m >> ROUND & 15 {
        0 => Rounding::Rn,
        1 => Rounding::Rz,
        2 => Rounding::Rm,
        3 => Rounding::Rp,
        _ => Rounding::Rna,
    }
}

fn integer_rounding(m: u32) -> IntegerRounding {
    match m >> ROUND & 15 {
        5 => IntegerRounding::Rni,
        6 => IntegerRounding::Rzi,
        7 => IntegerRounding::Rmi,
        _ => IntegerRounding::Rpi,
    }
}

fn saturation(m: u32) -> Saturation {
    Saturation {
        sat: m & SAT != 0,
        relu: m & RELU != 0,
        satfinite: m & SATFINITE != 0,
    }
}

fn as_integer(ty: Type) -> Integer {
    Integer {
        bits: ty.bits(),
        signed: ty.is_signed(),
    }
}

fn as_format(ty: Type) -> Format {
    match ty {
        F16 => format::F16,
        Bf16 => format::BF16,
        F32 => format::F32,
        Tf32 => format::TF32,
        E4m3x2 => format::E4M3,
        E5m2x2 => format::E5M2,
        _ => format::F64,
    }
}

/// Any conversion of one value; the result is extended to 64 bits as its type asks.
fn general(m: u32, register: u64) -> u64 {
    let (from, to) = (
        TYPES[(m >> FROM & 15) as usize],
        TYPES[(m >> TO & 15) as usize],
    );
    if from.is_integer() {
        let value = as_integer(from).value(register);
        if to.is_integer() {
            if m & SAT != 0 {
                return integer::saturate(as_integer(to), value);
            }
            return as_integer(to).value(value as u64) as u64;
        }
        let sat = m & SAT != 0;
        return if from.is_signed() {
            integer::from_signed(as_format(to), rounding(m), sat, value as i64)
        } else {
            integer::from_unsigned(as_format(to), rounding(m), sat, value as u64)
        };
    }
    let flushed = |x: f32| if m & FTZ != 0 { flush(x) } else { x };
    let x = match from {
        F16 => f64::from(f16_to_f32(register as u16)),
        Bf16 => f64::from(bf16_to_f32(register as u16)),
        F64 => f64::from_bits(register),
        _ => f64::from(flushed(f32::from_bits(register as u32))),
    };
    if to.is_integer() {
        return integer::from_float(as_integer(to), integer_rounding(m), from == F64, x);
    }
    let x = if m >> ROUND & 15 >= 5 {
        integer::integral(integer_rounding(m), x)
    } else {
        x
    };
    match to {
        F64 if x.is_nan() => format::F64_NAN,
        F64 if m & SAT != 0 => x.clamp(0.0, 1.0).to_bits(),
        F64 => x.to_bits(),
        Tf32 => narrow::f32_to_tf32(rounding(m), saturation(m), x as f32).into(),
        F32 => {
            let code = narrow::narrow(format::F32, rounding(m), saturation(m), x);
            flushed(f32::from_bits(code)).to_bits().into()
        }
        _ => narrow::narrow(as_format(to), rounding(m), saturation(m), x).into(),
    }
}

/// Pairs in one register.
fn packed(i: &mut Instr<'_, '_, '_>, to: Type, from: Type, round: Option<usize>) -> Result<Exec> {
    if round.is_some_and(|r| r > 1) {
        return i.refuse();
    }
    i.aux |= (round.unwrap_or(0) as u32) << ROUND;
    let is_plain = i.aux == 0;
    i.dst(to)?;
    Ok(match (to, from) {
        (F16x2 | Bf16x2, F32) => {
            i.src(F32)?;
            i.src(F32)?;
            match (to, is_plain) {
                (F16x2, true) => map2(|a: f32, b: f32| pair(f16_rn(a), f16_rn(b))),
                (_, true) => map2(|a: f32, b: f32| pair(bf16_rn(a), bf16_rn(b))),
                (F16x2, _) => with2(|m, a: f32, b: f32| {
                    let code = |x| narrow::f32_to_f16(rounding(m), saturation(m), x);
                    pair(code(a), code(b))
                }),
                _ => with2(|m, a: f32, b: f32| {
                    let code = |x| narrow::f32_to_bf16(rounding(m), saturation(m), x);
                    pair(code(a), code(b))
                }),
            }
        }
        (E4m3x2 | E5m2x2, F32) => {
            i.src(F32)?;
            i.src(F32)?;
            match to {
                E4m3x2 => with2(|m, a: f32, b: f32| bytes(format::E4M3, m, a, b)),
                _ => with2(|m, a: f32, b: f32| bytes(format::E5M2, m, a, b)),
            }
        }
        (E4m3x2 | E5m2x2, F16x2) => {
            i.src(F16x2)?;
            match to {
                E4m3x2 => with1(|m, a: u32| {
                    bytes(
                        format::E4M3,
                        m,
                        f16_to_f32((a >> 16) as u16),
                        f16_to_f32(a as u16),
                    )
                }),
                _ => with1(|m, a: u32| {
                    bytes(
                        format::E5M2,
                        m,
                        f16_to_f32((a >> 16) as u16),
                        f16_to_f32(a as u16),
                    )
                }),
            }
        }
        (F16x2, E4m3x2 | E5m2x2) => {
            i.src(from)?;
            match from {
                E4m3x2 => with1(|m, a: u16| widened(format::E4M3, m, a)),
                _ => with1(|m, a: u16| widened(format::E5M2, m, a)),
            }
        }
        _ => return i.refuse(),
    })
}

#[inline(always)]
fn pair(high: u16, low: u16) -> u32 {
    u32::from(high) << 16 | u32::from(low)
}

fn bytes(format: Format, m: u32, high: f32, low: f32) -> u16 {
    let saturation = Saturation {
        satfinite: true,
        ..saturation(m)
    };
    let code = |x: f32| narrow::narrow(format, rounding(m), saturation, f64::from(x)) as u16;
    code(high) << 8 | code(low)
}

fn widened(format: Format, m: u32, codes: u16) -> u32 {
    let half = |code: u16| {
        let x = format.to_f32(u32::from(code));
        narrow::f32_to_f16(rounding(m), saturation(m), x)
    };
    pair(half(codes >> 8), half(codes & 0xff))
}

/// `cvt.pack.sat.to.s32{.b32} d, a, b{, c}`: `b` into the low bits, `a` above, `c` shifted up above both.
fn pack(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    if !i.flag("sat") {
        return i.refuse();
    }
    let (to, from) = (i.ty()?, i.ty()?);
    if from != S32 || !matches!(to, U16 | S16 | U8 | S8) {
        return i.refuse();
    }
    let index = TYPES.iter().position(|t| *t == to).unwrap_or(0);
    i.aux = index as u32;
    fn one(m: u32, x: i32) -> u32 {
        let to = as_integer(TYPES[m as usize]);
        integer::saturate(to, x.into()) as u32 & (!0 >> (32 - to.bits))
    }
    if to.bits() == 16 {
        i.binary(B32)?;
        return Ok(with2(|m, a: i32, b: i32| one(m, a) << 16 | one(m, b)));
    }
    if !i.flag("b32") {
        return i.refuse();
    }
    i.ternary(B32)?;
    Ok(with3(|m, a: i32, b: i32, c: u32| {
        c << 16 | one(m, a) << 8 | one(m, b)
    }))
}
