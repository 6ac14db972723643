//! `mma.sync` on the registers of a warp (ISA, "Multiply-and-Accumulate Instruction: mma").
//!
//! A register operand is `[u32; 32]`, one word for each lane; operands are slices of them in the
//! order of the instruction's vector expression. `d` holds C on entry and D on return.

mod double;
mod float;
mod integer;
mod quad;
mod tiles;

pub use double::mma_f64;
pub use float::{mma_f16, mma_f32};
pub use integer::{BitOperation, mma_b1, mma_s32};
pub use quad::{Accumulator, mma_quad};
