//! The executor: warps of 32 lanes in structure-of-arrays registers.
//!
//! An instruction family is one file here: a table of opcodes, and for each a function that takes an
//! instruction's modifiers and operands and answers with the code that executes it. What a family
//! does not take is refused when the program is loaded.

// A lane is an index into many rows at once; iterators over them would hide which lanes meet.
#![allow(clippy::needless_range_loop)]

mod access;
mod async_copy;
mod asynchronous;
mod atomic;
mod atomic_vector;
mod barrier;
mod block;
mod builtin;
mod bulk;
mod bulk_copy;
mod bulk_value;
pub(crate) mod call;
mod carry;
mod cluster;
pub(crate) mod control;
mod convert;
mod data;
mod diverge;
pub mod fault;
mod float;
pub mod grid;
mod half;
mod integer;
mod lanes;
mod lookup;
mod matrix;
mod matrix_queue;
mod matrix_rare;
mod mbarrier;
pub(crate) mod memory;
mod misc;
mod pool;
mod predicate;
mod printf;
pub mod program;
mod reach;
mod reduction;
pub(crate) mod special;
mod sync;
pub(crate) mod tensor_map;
mod video;
pub mod warp;
mod warp_wide;
mod warpgroup;
mod wmma;

use crate::ptx::ast::Instruction;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type;
use crate::ptx::{Result, error};
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

const FAMILIES: &[&[Entry]] = &[
    control::TABLE,
    memory::TABLE,
    integer::TABLE,
    carry::TABLE,
    predicate::TABLE,
    float::TABLE,
    convert::TABLE,
    data::TABLE,
    atomic::TABLE,
    warp_wide::TABLE,
    sync::TABLE,
    async_copy::TABLE,
    matrix::TABLE,
    warpgroup::TABLE,
    mbarrier::TABLE,
    cluster::TABLE,
    wmma::TABLE,
    video::TABLE,
    misc::TABLE,
];

/// The decoder of an instruction.
pub fn find(source: &Instruction<'_>) -> Result<Decode> {
    let last = source.modifiers.iter().rev().find_map(|m| Type::parse(m));
    let kind = match last {
        Some(ty) if ty.is_float() => For::Floats,
        _ => For::Others,
    };
    let mut known = false;
    for Entry(opcode, types, decode) in FAMILIES.iter().copied().flatten() {
        if *opcode == source.opcode {
            known = true;
            if *types == For::All || *types == kind {
                return Ok(*decode);
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
    let mut opcodes: Vec<_> = FAMILIES.iter().copied().flatten().map(|e| e.0).collect();
    opcodes.extend(["brx", "call"]);
    opcodes.sort_unstable();
    opcodes.dedup();
    opcodes
}
