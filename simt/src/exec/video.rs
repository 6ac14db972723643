//! Scalar video instructions (PTX ISA, "Scalar Video Instructions"): integers from parts of registers.

use super::program::{Exec, Inst, NONE, Step};
use super::warp::Warp;
use super::{Entry, For};
use crate::numeric::bits::shift::Overlong;
use crate::numeric::bits::video::{Destination, Operation, Selector, Sign, finish, video};
use crate::numeric::compare::Comparison;
use crate::ptx::Result;
use crate::ptx::ast::Operand;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type::{self, *};

pub const TABLE: &[Entry] = &[
    Entry("vadd", For::All, |i| decode(i, 0)),
    Entry("vsub", For::All, |i| decode(i, 1)),
    Entry("vabsdiff", For::All, |i| decode(i, 2)),
    Entry("vmin", For::All, |i| decode(i, 3)),
    Entry("vmax", For::All, |i| decode(i, 4)),
    Entry("vshl", For::All, |i| decode(i, SHIFT_LEFT)),
    Entry("vshr", For::All, |i| decode(i, SHIFT_RIGHT)),
    Entry("vset", For::All, |i| decode(i, SET)),
    Entry("vmad", For::All, multiply_add),
];

/// Numbers of operations that take a mode.
const SHIFT_LEFT: u32 = 5;
const SHIFT_RIGHT: u32 = 6;
const SET: u32 = 7;

/// In `aux`: signs of D, A and B, `.sat`, and shifts that wrap; the operation; parts of A, B and D; what
/// becomes of the result; the comparison.
const D_SIGNED: u32 = 1;
const A_SIGNED: u32 = 2;
const B_SIGNED: u32 = 4;
const SATURATES: u32 = 8;
const WRAPS: u32 = 16;
const OPERATION_SHIFT: u32 = 5;
const A_SHIFT: u32 = 8;
const B_SHIFT: u32 = 11;
const D_SHIFT: u32 = 14;
const DESTINATION_SHIFT: u32 = 17;
const COMPARISON_SHIFT: u32 = 20;
/// Of `vmad`: one is added, and the shift of the result.
const PLUS_ONE: u32 = 1 << 22;
const SCALE_SHIFT: u32 = 24;

const PARTS: [&str; 6] = ["b0", "b1", "b2", "b3", "h0", "h1"];
const DESTINATIONS: [&str; 3] = ["add", "min", "max"];
const MERGE: u32 = 4;
const COMPARISONS: [(&str, Comparison); 6] = [
    ("eq", Comparison::Eq),
    ("ne", Comparison::Ne),
    ("lt", Comparison::Lt),
    ("le", Comparison::Le),
    ("gt", Comparison::Gt),
    ("ge", Comparison::Ge),
];

/// The part of a number: 0 is the whole register, then [`PARTS`].
fn selector(number: u32) -> Selector {
    match number {
        0 => Selector::Word,
        1..=4 => Selector::Byte(number - 1),
        _ => Selector::Half(number - 5),
    }
}

/// A register's name without its part, and the part's number.
fn split<'a>(i: &Instr<'_, '_, '_>, operand: &Operand<'a>) -> Result<(Operand<'a>, u32)> {
    match operand {
        Operand::Name(name, Some(part)) => match PARTS.iter().position(|p| p == part) {
            Some(index) => Ok((Operand::Name(name, None), index as u32 + 1)),
            None => i.error(format_args!("a register has no part .{part}")),
        },
        other => Ok((other.clone(), 0)),
    }
}

fn take_sign(i: &mut Instr<'_, '_, '_>, bit: u32) -> Result<Type> {
    let ty = i.ty()?;
    match ty {
        S32 => i.aux |= bit,
        U32 => {}
        _ => return i.refuse(),
    }
    Ok(ty)
}

/// `d{.part}, a{.part}, b{.part}{, c}` of all but `vmad`.
fn decode(i: &mut Instr<'_, '_, '_>, operation: u32) -> Result<Exec> {
    i.aux = operation << OPERATION_SHIFT;
    if operation != SET {
        take_sign(i, D_SIGNED)?;
    }
    take_sign(i, A_SIGNED)?;
    let b = take_sign(i, B_SIGNED)?;
    if i.flag("sat") {
        i.aux |= SATURATES;
    }
    match operation {
        SHIFT_LEFT | SHIFT_RIGHT => match i.one_of(&["clamp", "wrap"]) {
            Some(mode) if b == U32 => i.aux |= if mode == 1 { WRAPS } else { 0 },
            _ => return i.refuse(),
        },
        SET => match i.one_of(&COMPARISONS.map(|(name, _)| name)) {
            Some(index) => i.aux |= (index as u32) << COMPARISON_SHIFT,
            None => return i.refuse(),
        },
        _ => {}
    }
    let second = i.one_of(&DESTINATIONS).map(|index| index as u32 + 1);
    let operand = i.operand()?;
    let (d, part) = split(i, operand)?;
    i.dst_of(&d, B32)?;
    i.aux |= part << D_SHIFT;
    take_source(i, A_SHIFT)?;
    take_source(i, B_SHIFT)?;
    let destination = match (second, part) {
        (Some(_), 1..) => return i.refuse(),
        (Some(second), 0) => second,
        (None, 1..) => MERGE,
        (None, 0) => 0,
    };
    i.aux |= destination << DESTINATION_SHIFT;
    if destination != 0 {
        i.src(B32)?;
    }
    Ok(run)
}

fn take_source(i: &mut Instr<'_, '_, '_>, shift: u32) -> Result<()> {
    let operand = i.operand()?;
    let (register, part) = split(i, operand)?;
    i.aux |= part << shift;
    i.src_of(&register, B32)
}

fn sign(aux: u32, bit: u32) -> Sign {
    match aux & bit {
        0 => Sign::Unsigned,
        _ => Sign::Signed,
    }
}

/// C of every lane, 0 where there is none.
unsafe fn third(w: &Warp, i: &Inst) -> [u32; 32] {
    match i.places[3] {
        NONE => [0; 32],
        // SAFETY: the decoder took a row of 32 bits.
        place => unsafe { *w.row::<u32>(place) },
    }
}

fn run(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    let part = |shift| selector(i.aux >> shift & 7);
    let mode = match i.aux & WRAPS {
        0 => Overlong::Clamp,
        _ => Overlong::Wrap,
    };
    let operation = match i.aux >> OPERATION_SHIFT & 7 {
        0 => Operation::Add,
        1 => Operation::Sub,
        2 => Operation::AbsDiff,
        3 => Operation::Min,
        4 => Operation::Max,
        SHIFT_LEFT => Operation::Shl(mode),
        SHIFT_RIGHT => Operation::Shr(mode),
        _ => Operation::Set(COMPARISONS[(i.aux >> COMPARISON_SHIFT & 7) as usize].1),
    };
    let destination = match i.aux >> DESTINATION_SHIFT & 7 {
        0 => Destination::Plain,
        1 => Destination::Add,
        2 => Destination::Min,
        3 => Destination::Max,
        _ => Destination::Merge(part(D_SHIFT)),
    };
    // SAFETY: the decoder took rows of 32 bits.
    unsafe {
        let (a, b, c) = (
            w.row::<u32>(i.places[1]),
            w.row::<u32>(i.places[2]),
            third(w, i),
        );
        let out: [u32; 32] = std::array::from_fn(|lane| {
            video(
                operation,
                sign(i.aux, D_SIGNED),
                i.aux & SATURATES != 0,
                destination,
                part(A_SHIFT).extract(sign(i.aux, A_SIGNED), a[lane]),
                part(B_SHIFT).extract(sign(i.aux, B_SIGNED), b[lane]),
                c[lane],
            )
        });
        w.put(i.places[0], mask, &out);
    }
    Step::Next
}

/// `vmad.dtype.atype.btype{.sat}{.shr7,.shr15} d, a, b, c`, with `.po` one more. Operands that are negated
/// are refused: the parser has no such operand.
fn multiply_add(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    take_sign(i, D_SIGNED)?;
    take_sign(i, A_SIGNED)?;
    take_sign(i, B_SIGNED)?;
    if i.flag("po") {
        i.aux |= PLUS_ONE;
    }
    if i.flag("sat") {
        i.aux |= SATURATES;
    }
    let scale = match i.one_of(&["shr7", "shr15"]) {
        Some(0) => 7,
        Some(_) => 15,
        None => 0,
    };
    i.aux |= scale << SCALE_SHIFT;
    i.dst(B32)?;
    take_source(i, A_SHIFT)?;
    take_source(i, B_SHIFT)?;
    i.src(B32)?;
    Ok(|w, i, mask| {
        let part = |shift| selector(i.aux >> shift & 7);
        // The result is signed where a factor is.
        let c_sign = sign(i.aux, A_SIGNED | B_SIGNED);
        // SAFETY: the decoder took rows of 32 bits.
        unsafe {
            let (a, b, c) = (
                w.row::<u32>(i.places[1]),
                w.row::<u32>(i.places[2]),
                third(w, i),
            );
            let out: [u32; 32] = std::array::from_fn(|lane| {
                let a = part(A_SHIFT).extract(sign(i.aux, A_SIGNED), a[lane]);
                let b = part(B_SHIFT).extract(sign(i.aux, B_SIGNED), b[lane]);
                let c = Selector::Word.extract(c_sign, c[lane]);
                let one = i128::from(i.aux & PLUS_ONE != 0);
                let sum = i128::from(a) * i128::from(b) + i128::from(c) + one;
                let scaled = sum >> (i.aux >> SCALE_SHIFT & 31);
                let value = scaled.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
                let saturates = i.aux & SATURATES != 0;
                finish(
                    sign(i.aux, D_SIGNED),
                    saturates,
                    Destination::Plain,
                    value,
                    0,
                )
            });
            w.put(i.places[0], mask, &out);
        }
        Step::Next
    })
}
