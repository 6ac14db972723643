//! Integer arithmetic and bits (PTX ISA, "Integer Arithmetic Instructions", "Logic and Shift
//! Instructions").

use super::integer_arithmetic::{add_or_sub, mad, mad24, min_or_max, mul, mul24};
use super::lanes::{map1, map2, map3, map4, typed, with1, with2, with3};
use super::{Entry, For};
use crate::numeric::bits::{dot, field, logic, multiply, permute, shift};
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type::{self, *};

pub const TABLE: &[Entry] = &[
    Entry("add", For::Others, |i| add_or_sub(i, false)),
    Entry("sub", For::Others, |i| add_or_sub(i, true)),
    Entry("mul", For::Others, mul),
    Entry("mad", For::Others, mad),
    Entry("mul24", For::All, mul24),
    Entry("mad24", For::All, mad24),
    Entry("sad", For::All, |i| {
        let ty = ternary(i)?;
        Ok(match ty {
            U16 => map3(multiply::sad_u16),
            S16 => map3(multiply::sad_s16),
            U32 => map3(multiply::sad_u32),
            S32 => map3(multiply::sad_s32),
            U64 => map3(multiply::sad_u64),
            S64 => map3(multiply::sad_s64),
            _ => return i.refuse(),
        })
    }),
    Entry("div", For::Others, |i| {
        let ty = binary(i)?;
        Ok(match ty {
            U16 => map2(|a: u16, b: u16| a.checked_div(b).unwrap_or(!0)),
            S16 => map2(|a: i16, b: i16| if b == 0 { -1 } else { a.wrapping_div(b) }),
            U32 => map2(|a: u32, b: u32| a.checked_div(b).unwrap_or(!0)),
            S32 => map2(|a: i32, b: i32| if b == 0 { -1 } else { a.wrapping_div(b) }),
            U64 => map2(multiply::div_u64),
            S64 => map2(multiply::div_s64),
            _ => return i.refuse(),
        })
    }),
    Entry("rem", For::All, |i| {
        let ty = binary(i)?;
        Ok(match ty {
            U16 => map2(|a: u16, b: u16| a.checked_rem(b).unwrap_or(a)),
            S16 => map2(|a: i16, b: i16| if b == 0 { a } else { a.wrapping_rem(b) }),
            U32 => map2(|a: u32, b: u32| a.checked_rem(b).unwrap_or(a)),
            S32 => map2(|a: i32, b: i32| if b == 0 { a } else { a.wrapping_rem(b) }),
            U64 => map2(multiply::rem_u64),
            S64 => map2(multiply::rem_s64),
            _ => return i.refuse(),
        })
    }),
    Entry("abs", For::Others, |i| {
        let ty = unary(i)?;
        Ok(typed!(i, ty, map1, [S16 => i16, S32 => i32, S64 => i64], (|a| a.wrapping_abs())))
    }),
    Entry("neg", For::Others, |i| {
        let ty = unary(i)?;
        Ok(typed!(i, ty, map1, [S16 => i16, S32 => i32, S64 => i64], (|a| a.wrapping_neg())))
    }),
    Entry("min", For::Others, |i| min_or_max(i, false)),
    Entry("max", For::Others, |i| min_or_max(i, true)),
    Entry("popc", For::All, |i| {
        let ty = to_u32(i)?;
        Ok(typed!(i, ty, map1, [B32 => u32, B64 => u64], (|a| a.count_ones())))
    }),
    Entry("clz", For::All, |i| {
        let ty = to_u32(i)?;
        Ok(typed!(i, ty, map1, [B32 => u32, B64 => u64], (|a| a.leading_zeros())))
    }),
    Entry("brev", For::All, |i| {
        let ty = unary(i)?;
        Ok(typed!(i, ty, map1, [B32 => u32, B64 => u64], (|a| a.reverse_bits())))
    }),
    Entry("bfind", For::All, |i| {
        i.aux = i.flag("shiftamt").into();
        let ty = to_u32(i)?;
        Ok(match ty {
            U32 => with1(|m, a| field::bfind_u32(m != 0, a)),
            S32 => with1(|m, a| field::bfind_s32(m != 0, a)),
            U64 => with1(|m, a| field::bfind_u64(m != 0, a)),
            S64 => with1(|m, a| field::bfind_s64(m != 0, a)),
            _ => return i.refuse(),
        })
    }),
    Entry("fns", For::All, |i| {
        let ty = i.ty()?;
        i.ternary(ty)?;
        Ok(typed!(i, ty, map3, [B32 => u32], (|a, b, c| field::fns(a, b, c as i32))))
    }),
    Entry("bfe", For::All, |i| {
        let ty = i.ty()?;
        i.unary(ty)?;
        i.src(U32)?;
        i.src(U32)?;
        Ok(match ty {
            U32 => map3(field::bfe_u32),
            S32 => map3(field::bfe_s32),
            U64 => map3(field::bfe_u64),
            S64 => map3(field::bfe_s64),
            _ => return i.refuse(),
        })
    }),
    Entry("bfi", For::All, |i| {
        let ty = i.ty()?;
        i.binary(ty)?;
        i.src(U32)?;
        i.src(U32)?;
        Ok(match ty {
            B32 => map4(field::bfi32),
            B64 => map4(field::bfi64),
            _ => return i.refuse(),
        })
    }),
    Entry("szext", For::All, |i| {
        i.aux = take_overlong(i)?;
        let ty = i.ty()?;
        i.unary(ty)?;
        i.src(U32)?;
        Ok(match ty {
            U32 => with2(|m, a, b| field::szext_u32(overlong(m), a, b)),
            S32 => with2(|m, a, b| field::szext_s32(overlong(m), a, b)),
            _ => return i.refuse(),
        })
    }),
    Entry("bmsk", For::All, |i| {
        i.aux = take_overlong(i)?;
        let ty = i.ty()?;
        i.binary(ty)?;
        Ok(typed!(i, ty, with2, [B32 => u32], (|m, a, b| field::bmsk(overlong(m), a, b))))
    }),
    Entry("dp4a", For::All, |i| {
        let (a, b) = (i.ty()?, i.ty()?);
        i.ternary(B32)?;
        use dot::Packed::*;
        Ok(match (a, b) {
            (U32, U32) => map3(|a, b, c| dot::dp4a(Unsigned, Unsigned, a, b, c)),
            (U32, S32) => map3(|a, b, c| dot::dp4a(Unsigned, Signed, a, b, c)),
            (S32, U32) => map3(|a, b, c| dot::dp4a(Signed, Unsigned, a, b, c)),
            (S32, S32) => map3(|a, b, c| dot::dp4a(Signed, Signed, a, b, c)),
            _ => return i.refuse(),
        })
    }),
    Entry("dp2a", For::All, |i| {
        let Some(part) = i.one_of(&["lo", "hi"]) else {
            return i.refuse();
        };
        let (a, b) = (i.ty()?, i.ty()?);
        if !matches!((a, b), (U32 | S32, U32 | S32)) {
            return i.refuse();
        }
        i.aux = part as u32 | u32::from(a == S32) << 1 | u32::from(b == S32) << 2;
        i.ternary(B32)?;
        Ok(with3(|m, a, b, c| {
            let part = if m & 1 == 0 {
                multiply::Part::Lo
            } else {
                multiply::Part::Hi
            };
            let sign = |bit| {
                if m & bit == 0 {
                    dot::Packed::Unsigned
                } else {
                    dot::Packed::Signed
                }
            };
            dot::dp2a(part, sign(2), sign(4), a, b, c)
        }))
    }),
    Entry("and", For::All, |i| {
        let ty = i.ty()?;
        if ty == Pred {
            return super::predicate::logic(i, |w, i, m| {
                super::predicate::combine(w, i, m, |a, b| a & b)
            });
        }
        i.binary(ty)?;
        Ok(typed!(i, ty, map2, [B16 => u16, B32 => u32, B64 => u64], (|a, b| a & b)))
    }),
    Entry("or", For::All, |i| {
        let ty = i.ty()?;
        if ty == Pred {
            return super::predicate::logic(i, |w, i, m| {
                super::predicate::combine(w, i, m, |a, b| a | b)
            });
        }
        i.binary(ty)?;
        Ok(typed!(i, ty, map2, [B16 => u16, B32 => u32, B64 => u64], (|a, b| a | b)))
    }),
    Entry("xor", For::All, |i| {
        let ty = i.ty()?;
        if ty == Pred {
            return super::predicate::logic(i, |w, i, m| {
                super::predicate::combine(w, i, m, |a, b| a ^ b)
            });
        }
        i.binary(ty)?;
        Ok(typed!(i, ty, map2, [B16 => u16, B32 => u32, B64 => u64], (|a, b| a ^ b)))
    }),
    Entry("not", For::All, |i| {
        let ty = i.ty()?;
        if ty == Pred {
            return super::predicate::not(i);
        }
        i.unary(ty)?;
        Ok(typed!(i, ty, map1, [B16 => u16, B32 => u32, B64 => u64], (|a| !a)))
    }),
    Entry("cnot", For::All, |i| {
        let ty = unary(i)?;
        Ok(match ty {
            B16 => map1(|a: u16| logic::cnot(a.into()) as u16),
            B32 => map1(|a: u32| logic::cnot(a.into()) as u32),
            B64 => map1(logic::cnot),
            _ => return i.refuse(),
        })
    }),
    Entry("lop3", For::All, |i| {
        let ty = i.ty()?;
        if ty != B32 {
            return i.refuse();
        }
        if i.has("and") || i.has("or") {
            return super::lookup::with_predicate(i);
        }
        i.ternary(ty)?;
        let table = i.immediate()?;
        if !(0..256).contains(&table) {
            return i.error("a truth table has 8 bits");
        }
        i.aux = table as u32;
        Ok(match table {
            0xc0 => map3(|a: u32, b: u32, _: u32| a & b),
            0x96 => map3(|a: u32, b: u32, c: u32| a ^ b ^ c),
            0xf8 => map3(|a: u32, b: u32, c: u32| a | (b & c)),
            0xea => map3(|a: u32, b: u32, c: u32| (a & b) | c),
            _ => with3(|table, a, b, c| logic::lop3(a, b, c, table as u8)),
        })
    }),
    Entry("shl", For::All, |i| {
        let ty = i.ty()?;
        i.unary(ty)?;
        i.src(U32)?;
        Ok(match ty {
            B16 => map2(shift::shl16),
            B32 => map2(shift::shl32),
            B64 => map2(shift::shl64),
            _ => return i.refuse(),
        })
    }),
    Entry("shr", For::All, |i| {
        let ty = i.ty()?;
        i.unary(ty)?;
        i.src(U32)?;
        Ok(match ty {
            B16 | U16 => map2(shift::shr16),
            S16 => map2(shift::sar16),
            B32 | U32 => map2(shift::shr32),
            S32 => map2(shift::sar32),
            B64 | U64 => map2(shift::shr64),
            S64 => map2(shift::sar64),
            _ => return i.refuse(),
        })
    }),
    Entry("shf", For::All, |i| {
        let left = match i.one_of(&["l", "r"]) {
            Some(index) => index == 0,
            None => return i.refuse(),
        };
        let mode = take_overlong(i)?;
        let ty = i.ty()?;
        i.ternary(ty)?;
        use shift::Overlong::{Clamp, Wrap};
        Ok(match (ty, left, overlong(mode)) {
            (B32, true, Clamp) => map3(|a, b, c| shift::shf_l(Clamp, a, b, c)),
            (B32, true, Wrap) => map3(|a, b, c| shift::shf_l(Wrap, a, b, c)),
            (B32, false, Clamp) => map3(|a, b, c| shift::shf_r(Clamp, a, b, c)),
            (B32, false, Wrap) => map3(|a, b, c| shift::shf_r(Wrap, a, b, c)),
            _ => return i.refuse(),
        })
    }),
    Entry("prmt", For::All, |i| {
        let ty = i.ty()?;
        use permute::{Permute::*, prmt};
        let mode = i.one_of(&["f4e", "b4e", "rc8", "ecl", "ecr", "rc16"]);
        i.ternary(ty)?;
        if ty != B32 {
            return i.refuse();
        }
        Ok(match mode {
            None => map3(|a, b, c| prmt(Bytes, a, b, c)),
            Some(0) => map3(|a, b, c| prmt(F4e, a, b, c)),
            Some(1) => map3(|a, b, c| prmt(B4e, a, b, c)),
            Some(2) => map3(|a, b, c| prmt(Rc8, a, b, c)),
            Some(3) => map3(|a, b, c| prmt(Ecl, a, b, c)),
            Some(4) => map3(|a, b, c| prmt(Ecr, a, b, c)),
            Some(_) => map3(|a, b, c| prmt(Rc16, a, b, c)),
        })
    }),
];

pub(super) fn unary(i: &mut Instr<'_, '_, '_>) -> Result<Type> {
    let ty = i.ty()?;
    i.unary(ty)?;
    Ok(ty)
}

pub(super) fn binary(i: &mut Instr<'_, '_, '_>) -> Result<Type> {
    let ty = i.ty()?;
    i.binary(ty)?;
    Ok(ty)
}

pub(super) fn ternary(i: &mut Instr<'_, '_, '_>) -> Result<Type> {
    let ty = i.ty()?;
    i.ternary(ty)?;
    Ok(ty)
}

/// `d, a` with `d` of 32 bits whatever the type.
fn to_u32(i: &mut Instr<'_, '_, '_>) -> Result<Type> {
    let ty = i.ty()?;
    i.dst(U32)?;
    i.src(ty)?;
    Ok(ty)
}

fn take_overlong(i: &mut Instr<'_, '_, '_>) -> Result<u32> {
    match i.one_of(&["clamp", "wrap"]) {
        Some(mode) => Ok(mode as u32),
        None => i.refuse(),
    }
}

fn overlong(mode: u32) -> shift::Overlong {
    if mode == 0 {
        shift::Overlong::Clamp
    } else {
        shift::Overlong::Wrap
    }
}

/// `f` on the low and the high halves.
pub(super) fn halves(a: u32, b: u32, f: impl Fn(u16, u16) -> u16) -> u32 {
    u32::from(f(a as u16, b as u16)) | u32::from(f((a >> 16) as u16, (b >> 16) as u16)) << 16
}
