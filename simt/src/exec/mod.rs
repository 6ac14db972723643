//! The executor: warps of 32 lanes in structure-of-arrays registers.
//!
//! An instruction family is one file here: a table of opcodes, and for each a function that takes an
//! instruction's modifiers and operands and answers with the code that executes it. What a family
//! does not take is refused when the program is loaded.

// A lane is an index into many rows at once; iterators over them would hide which lanes meet.
#![allow(clippy::needless_range_loop)]

mod access;
mod address;
mod async_copy;
mod asynchronous;
mod atomic;
mod atomic_vector;
mod barrier;
pub mod block;
mod builtin;
mod bulk;
mod bulk_copy;
mod bulk_start;
mod bulk_value;
pub(crate) mod call;
mod carry;
pub(crate) mod cluster;
pub(crate) mod control;
mod convert;
mod data;
mod diverge;
pub mod facts;
pub mod fault;
mod float;
pub(crate) mod frame;
pub mod grid;
mod half;
mod integer;
mod integer_arithmetic;
mod lanes;
mod lookup;
mod matrix;
mod matrix_operand;
mod matrix_queue;
mod matrix_rare;
mod mbarrier;
mod mbarrier_object;
pub mod mbarrier_wait;
mod memory;
mod misc;
mod operand;
pub mod pieces;
mod pool;
mod predicate;
mod printf;
pub mod program;
mod reach;
mod reduction;
mod select;
pub(crate) mod special;
pub(crate) mod stack;
mod sync;
pub(crate) mod tensor_map;
mod tensor_map_change;
pub mod touch;
mod video;
mod wait;
pub mod warp;
mod warp_wide;
mod warpgroup;
mod wmma;
mod wmma_fragment;
mod wmma_product;

use crate::ptx::ast::Instruction;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type;
use crate::ptx::{Result, error};
use facts::Class;
use program::Exec;
pub(crate) use warpgroup::AT_ONCE;

/// Takes an instruction's modifiers and operands, and gives its semantics.
pub type Decode = for<'i, 'a, 'm> fn(&mut Instr<'i, 'a, 'm>) -> Result<Exec>;

/// Which instructions of an opcode an entry of a table is for, by their last type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    All,
    /// Floating point, packed as well.
    Floats,
    /// Everything else.
    Others,
}

/// An opcode of a family.
pub struct Entry(pub &'static str, pub For, pub Decode);

/// Families, and the class that most of each one's instructions are of.
const FAMILIES: &[(Class, &[Entry])] = &[
    (Class::Control, control::TABLE),
    (Class::Other, memory::TABLE),
    (Class::Other, address::TABLE),
    (Class::Integer, integer::TABLE),
    (Class::Integer, carry::TABLE),
    (Class::Predicate, predicate::TABLE),
    (Class::Predicate, select::TABLE),
    (Class::F32, float::TABLE),
    (Class::Convert, convert::TABLE),
    (Class::Move, data::TABLE),
    (Class::Atomic, atomic::TABLE),
    (Class::Warp, warp_wide::TABLE),
    (Class::Barrier, sync::TABLE),
    (Class::AsyncCopy, async_copy::TABLE),
    (Class::Other, matrix::TABLE),
    (Class::Tensor, warpgroup::TABLE),
    (Class::Barrier, mbarrier::TABLE),
    (Class::Other, cluster::TABLE),
    (Class::Tensor, wmma::TABLE),
    (Class::Other, tensor_map_change::TABLE),
    (Class::Other, stack::TABLE),
    (Class::Integer, video::TABLE),
    (Class::Other, misc::TABLE),
];

/// The decoder of an instruction, and its class as far as the family and the type tell.
pub fn find(source: &Instruction<'_>) -> Result<(Class, Decode)> {
    let last = source.modifiers.iter().rev().find_map(|m| Type::parse(m));
    let kind = match last {
        Some(ty) if ty.is_float() => For::Floats,
        _ => For::Others,
    };
    let mut known = false;
    for (class, table) in FAMILIES {
        for Entry(opcode, types, decode) in *table {
            if *opcode == source.opcode {
                known = true;
                if *types == For::All || *types == kind {
                    return Ok((Class::of(*class, last), *decode));
                }
            }
        }
    }
    let problem = if known {
        "this type is not supported"
    } else {
        "unknown instruction"
    };
    error(source.line, format!("{}: {problem}", source.opcode))
}

/// Every opcode that some family takes, sorted.
pub fn opcodes() -> Vec<&'static str> {
    let entries = FAMILIES.iter().flat_map(|(_, table)| table.iter());
    let mut opcodes: Vec<_> = entries.map(|e| e.0).collect();
    opcodes.extend(["brx", "call"]);
    opcodes.sort_unstable();
    opcodes.dedup();
    opcodes
}
