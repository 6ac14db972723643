//! Calls. A callee's returns and parameters lie at the start of its local frame, right behind the
//! caller's, so that a call is some copies of local memory around a jump.

use super::facts::{Class, Facts};
use super::fault::Fault;
use super::frame::{frame_copy, frame_load, frame_store_value};
use super::program::{Exec, Inst, NONE, Step};
use super::warp::Warp;
use crate::memory::FUNCTION_WINDOW;
use crate::ptx::Result;
use crate::ptx::ast::{Instruction, Operand, Variable};
use crate::ptx::decode::emit::Raw;
use crate::ptx::decode::function::Callees;
use crate::ptx::decode::instr::Instr;
use crate::ptx::decode::scope::{Scope, Symbol};
use crate::ptx::types::Type;

/// Deepest nesting of calls.
const DEPTH: u32 = 4096;
/// Added to offsets that count from the end of the caller's frame, whose size is only known when the
/// whole function has been decoded: see [`frame_offset`].
pub const OUTGOING: u64 = 1 << 32;

/// An offset in a thread's local memory from one in the caller's frame or behind it.
#[inline(always)]
pub fn frame_offset(w: &Warp, offset: u64) -> u64 {
    let base = u64::from(w.local_base) + (offset & 0xffff_ffff);
    if offset & OUTGOING == 0 {
        base
    } else {
        base + u64::from(w.frame_sizes().1)
    }
}

/// The instructions of a call: copies of arguments, the jump, copies of results.
pub fn decode<'a>(
    source: &'a Instruction<'a>,
    scope: &mut Scope<'a, '_>,
    callees: &mut Callees<'_, 'a>,
) -> Result<Vec<Raw>> {
    let mut i = Instr::new(source, scope);
    i.flag("uni");
    let no_operands: &[Operand<'a>] = &[];
    let list = |operand: Option<&'a Operand<'a>>| match operand {
        Some(Operand::List(list)) => Some(&list[..]),
        _ => None,
    };
    let operands = &source.operands[..];
    let (results, rest) = match list(operands.first()) {
        Some(results) => (results, &operands[1..]),
        None => (no_operands, operands),
    };
    let Some((Operand::Name(callee, None), rest)) = rest.split_first() else {
        return i.error("expected a function");
    };
    let (arguments, rest) = match list(rest.first()) {
        Some(arguments) => (arguments, &rest[1..]),
        None => (no_operands, rest),
    };

    let register = i.scope.find_register(callee);
    let (exec, returns, params): (Exec, &[Variable], &[Variable]) = if let Some(register) = register
    {
        let Some(Operand::Name(table, None)) = rest.first() else {
            return i.error("an indirect call without .callprototype or .calltargets");
        };
        let (returns, params) = match (callees.prototypes.get(table), callees.tables.get(table)) {
            (Some((returns, params)), _) => (&returns[..], &params[..]),
            (None, Some(names)) => {
                match names.first().and_then(|n| callees.layout.functions.get(n)) {
                    Some(function) => (&function.returns[..], &function.params[..]),
                    None => return i.error("unknown function in .calltargets"),
                }
            }
            _ => return i.error(format_args!("unknown prototype {table}")),
        };
        i.push(register, false);
        (indirect, returns, params)
    } else {
        let Some(function) = callees.layout.functions.get(callee) else {
            return i.error(format_args!("unknown function {callee}"));
        };
        let exec = match callees.layout.indices.get(callee) {
            Some(index) => {
                i.imm = u64::from(*index);
                direct as Exec
            }
            None => match super::builtin::find(callee) {
                Some(builtin) => builtin,
                None => return i.error(format_args!("function {callee} is not defined")),
            },
        };
        (exec, &function.returns[..], &function.params[..])
    };
    if results.len() != returns.len() || arguments.len() != params.len() {
        return i.error(format_args!(
            "{} results and {} arguments for {} and {}",
            results.len(),
            arguments.len(),
            returns.len(),
            params.len()
        ));
    }

    let line = source.line;
    let callee_index = callees.layout.indices.get(callee).copied();
    let mut at = 0u64;
    let mut place = |variable: &Variable<'_>| {
        let offset = at.next_multiple_of(u64::from(variable.align.max(1)));
        at = offset + variable.bytes();
        offset | OUTGOING
    };
    let mut before = Vec::new();
    let mut after = Vec::new();
    for (operand, variable) in results.iter().zip(returns) {
        let offset = place(variable);
        match frame_symbol(i.scope, operand) {
            Some(own) => after.push(frame_copy(offset, own, variable.bytes() as u32, line)),
            None => match operand {
                Operand::Name("_", None) => {}
                Operand::Name(name, None) if i.scope.find_register(name).is_some() => {
                    let register = i.scope.find_register(name).unwrap_or(0);
                    let ty = i.scope.registers[register as usize].ty;
                    after.push(frame_load(register, ty, offset, line)?);
                }
                _ => return i.error("expected a parameter or a register for a result"),
            },
        }
    }
    for (operand, variable) in arguments.iter().zip(params) {
        let offset = place(variable);
        match frame_symbol(i.scope, operand) {
            Some(own) => before.push(frame_copy(own, offset, variable.bytes() as u32, line)),
            None => {
                let mut value = Instr::new(source, i.scope);
                let ty = match variable.ty.bits() {
                    8 => Type::B16,
                    _ => variable.ty,
                };
                value.src_of(operand, ty)?;
                let used = value.uses[0];
                before.push(frame_store_value(used, ty, offset, line)?);
            }
        }
    }
    callees.calls.outgoing = callees.calls.outgoing.max(at.next_multiple_of(16) as u32);
    match callee_index {
        _ if register.is_some() => callees.calls.through_pointers = true,
        Some(index) => callees.calls.direct.push(index),
        None => {}
    }
    i.uses.truncate(1);
    let mut call = Raw::implied(exec, i.uses, i.imm, line);
    call.facts = Facts::of(Class::Control);
    call.parts = register.is_some() || source.guard.is_some();
    before.push(call);
    before.append(&mut after);
    Ok(before)
}

/// The offset of a `.param` variable of the caller's frame.
fn frame_symbol(scope: &Scope<'_, '_>, operand: &Operand<'_>) -> Option<u64> {
    match operand {
        Operand::Name(name, None) => match scope.find_symbol(name)? {
            Symbol::FrameParam(at) => Some(at),
            _ => None,
        },
        _ => None,
    }
}

fn direct(w: &mut Warp, i: &Inst, lanes: u32) -> Step {
    enter(w, i.imm as usize, lanes)
}

fn indirect(w: &mut Warp, i: &Inst, lanes: u32) -> Step {
    // SAFETY: the decoder took a register of 64 bits.
    let targets = unsafe { *w.row::<u64>(i.places[0]) };
    let first = targets[lanes.trailing_zeros() as usize];
    let index = first.wrapping_sub(FUNCTION_WINDOW);
    if index >= w.program().functions.len() as u64 {
        return w.fail(Fault::IllegalTarget(first));
    }
    let same = super::lanes::lanes_where(|l| targets[l] == first) & lanes;
    let others = lanes & !same;
    if others != 0 {
        // They call in their turn, and all meet behind the call.
        let join = w.join_at(w.pc + 1);
        w.save();
        w.join = join;
        w.add(w.pc, others);
        w.active &= !others;
        w.save();
    }
    enter(w, index as usize, same)
}

fn enter(w: &mut Warp, index: usize, lanes: u32) -> Step {
    let (frame, local) = w.frame_sizes();
    if w.depth() >= DEPTH {
        return w.fail(Fault::StackOverflow);
    }
    let rest = w.active & !lanes;
    if rest != 0 {
        let join = w.join_at(w.pc + 1);
        w.save();
        w.join = join;
        w.add(w.pc + 1, rest);
        w.active = lanes;
    }
    let join = w.new_join(w.pc + 1, true);
    w.join = join;
    w.frame_base += frame;
    w.local_base += local;
    // The frame is read through the launch, which the warp does not own.
    let program = std::sync::Arc::clone(&w.block().launch().program);
    let function = &program.functions[index];
    if w.local_base + function.local > w.local_stride {
        return w.fail(Fault::StackOverflow);
    }
    w.enter(function);
    w.pc = function.start;
    w.save();
    Step::Jump
}

impl Warp {
    /// Bytes of registers and of local memory of the function that runs.
    pub fn frame_sizes(&self) -> (u32, u32) {
        let functions = &self.program().functions;
        let at = functions.partition_point(|f| f.start <= self.pc);
        functions[at - 1..at]
            .first()
            .map_or((0, 0), |f| (f.frame, f.local))
    }

    /// Whether the running function has been called by another.
    pub fn is_called(&self) -> bool {
        let mut at = self.join;
        while at != NONE && !self.joins[at as usize].is_call {
            at = self.joins[at as usize].parent;
        }
        at != NONE
    }

    /// How deep the running split's calls are nested, at most.
    fn depth(&self) -> u32 {
        (self.joins.len() - self.free_joins.len()) as u32
    }
}
