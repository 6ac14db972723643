//! From parsed module to program: names to addresses and registers, instructions to their semantics.
//!
//! What the machine does not know is refused here, with opcode and line; a decoded program runs.

pub mod emit;
mod flow;
pub mod function;
pub mod instr;
pub mod layout;
mod liveness;
mod operands;
pub mod scope;

use super::Result;
use super::ast::Module;
use crate::exec::program::Program;

pub use layout::Image;

/// Takes device memory for a variable of so many bytes, aligned; `None`: there is none left.
pub type Allocate<'f> = &'f mut dyn FnMut(u64, u64) -> Option<u64>;

/// A decoded module, and what its global and constant variables hold at first.
///
/// # Errors
/// The first thing in the module that is wrong, or that this machine does not have.
pub fn decode(module: &Module<'_>, allocate: Allocate<'_>) -> Result<(Program, Vec<Image>)> {
    let layout = layout::layout(module, allocate)?;
    let mut program = Program {
        files: module
            .files
            .iter()
            .map(|(n, path)| (*n, (*path).to_owned()))
            .collect(),
        ..Program::default()
    };
    let mut constants = scope::Constants::default();
    for function in &module.functions {
        if function.body.is_some() {
            function::decode(function, &layout, &mut constants, &mut program)?;
        }
    }
    program.constants = constants.lines;
    Ok((program, layout.images))
}
