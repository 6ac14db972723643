//! Control flow (PTX ISA, "Control Flow Instructions"), but for calls.

use super::facts::Effect;
use super::fault::Fault;
use super::program::{Exec, Inst, NONE, Step};
use super::warp::Warp;
use super::{Entry, For};
use crate::ptx::Result;
use crate::ptx::decode::emit::Raw;
use crate::ptx::decode::instr::{Flow, Instr};
use crate::ptx::types::Type;
use std::collections::HashMap;

pub const TABLE: &[Entry] = &[
    Entry("bra", For::All, branch),
    Entry("ret", For::All, leave),
    Entry("exit", For::All, exit),
    Entry("trap", For::All, |_| Ok(|w, _, _| w.fail(Fault::Trap))),
    Entry("brkpt", For::All, |_| Ok(|w, _, _| w.fail(Fault::Trap))),
];

/// An instruction without an effect here.
pub fn nothing(_: &mut Warp, _: &Inst, _: u32) -> Step {
    Step::Next
}

fn branch(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.flag("uni");
    i.flow = Flow::Branch(i.label()?);
    Ok(|w, i, lanes| {
        let target = i.imm as u32;
        if lanes == w.active {
            w.pc = target;
            return Step::Jump;
        }
        w.diverge(lanes, target, w.pc + 1, (i.imm >> 32) as u32)
    })
}

/// `brx.idx index, table`
pub fn table_branch<'a>(
    i: &mut Instr<'_, 'a, '_>,
    tables: &HashMap<&'a str, Vec<&'a str>>,
) -> Result<Exec> {
    use crate::ptx::ast::Operand;
    if !i.flag("idx") {
        return i.refuse();
    }
    i.flag("uni");
    i.src(Type::U32)?;
    let table = match i.operand()? {
        Operand::Name(name, None) => tables.get(name),
        _ => None,
    };
    let Some(table) = table else {
        return i.error("expected the label of a .branchtargets");
    };
    let labels: Option<Vec<u32>> = table
        .iter()
        .map(|l| i.scope.labels.get(l).copied())
        .collect();
    let Some(labels) = labels else {
        return i.error("unknown label in .branchtargets");
    };
    i.flow = Flow::Table(labels);
    Ok(|w, i, lanes| {
        // SAFETY: the decoder checked that the operand is a row of 32 bits.
        let index = unsafe { *w.row::<u32>(i.places[0]) };
        let first = index[lanes.trailing_zeros() as usize];
        let same = super::lanes::lanes_where(|l| index[l] == first) & lanes;
        let target = w.program().targets[i.imm as u32 as usize]
            .get(first as usize)
            .copied();
        let Some(target) = target else {
            return w.fail(Fault::IllegalTarget(first.into()));
        };
        if same == w.active {
            w.pc = target;
            return Step::Jump;
        }
        // Threads with other targets come back to this instruction, the guarded-off ones pass it.
        let rest = lanes & !same;
        let other = if rest != 0 { w.pc } else { w.pc + 1 };
        let passing = w.active & !lanes;
        if rest != 0 && passing != 0 {
            // Three ways: first part those that the guard holds back.
            let meet = w.join_at((i.imm >> 32) as u32);
            w.save();
            w.join = meet;
            w.add(w.pc + 1, passing);
            w.active &= !passing;
            w.save();
        }
        w.diverge(same, target, other, (i.imm >> 32) as u32)
    })
}

fn leave(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.flag("uni");
    i.flow = Flow::Leave;
    i.facts.effect = Effect::Return;
    Ok(|w, _, lanes| w.leave_call(lanes))
}

fn exit(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.flow = Flow::Leave;
    i.facts.effect = Effect::Exit;
    Ok(|w, _, lanes| w.exit(lanes))
}

/// The return of a body that runs off its end.
pub fn implied_return(line: u32) -> Raw {
    let mut raw = Raw::implied(|w, _, lanes| w.leave_call(lanes), Vec::new(), 0, line);
    raw.guard = NONE;
    raw.flow = Flow::Leave;
    raw.facts.effect = Effect::Return;
    raw
}

/// A place where threads that parted meet.
pub fn meet(w: &mut Warp, _: &Inst, _: u32) -> Step {
    w.meet()
}
