//! What can go wrong while a kernel runs.

use crate::ptx::types::Space;
use std::fmt;

/// Why a warp stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// `bytes` at `address` are not in any allocation of that space.
    IllegalAddress {
        space: Space,
        address: u64,
        bytes: u32,
    },
    /// `address` is no multiple of the access's size.
    Misaligned {
        space: Space,
        address: u64,
        bytes: u32,
    },
    /// `trap`
    Trap,
    /// A failed device-side `assert`, which has been printed.
    Assert,
    /// Calls nested deeper than the stack holds.
    StackOverflow,
    /// An indirect branch or call to what is no target.
    IllegalTarget(u64),
    /// What is at a shared address is no mbarrier, or one that does not allow what is asked of it.
    Mbarrier { address: u64, problem: &'static str },
    /// A tensor map or a copy's operands are not what the instruction needs.
    Operand(&'static str),
    /// Threads wait for one another in a ring.
    Deadlock,
    /// The launch ran longer than `SIMT_TIMEOUT`.
    Timeout,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::IllegalAddress {
                space,
                address,
                bytes,
            } => {
                write!(
                    f,
                    "illegal address: {bytes} bytes at {address:#x} ({space:?})"
                )
            }
            Fault::Misaligned {
                space,
                address,
                bytes,
            } => {
                write!(
                    f,
                    "misaligned address: {bytes} bytes at {address:#x} ({space:?})"
                )
            }
            Fault::Trap => f.write_str("trap"),
            Fault::Assert => f.write_str("assertion failed"),
            Fault::StackOverflow => f.write_str("stack overflow"),
            Fault::IllegalTarget(target) => write!(f, "jump to {target:#x}, which is no target"),
            Fault::Mbarrier { address, problem } => {
                write!(f, "mbarrier at {address:#x}: {problem}")
            }
            Fault::Operand(problem) => f.write_str(problem),
            Fault::Deadlock => f.write_str("threads wait for one another in a ring"),
            Fault::Timeout => f.write_str("timed out"),
        }
    }
}

/// A fault and where it happened.
#[derive(Debug, Clone)]
pub struct Report {
    pub fault: Fault,
    pub kernel: String,
    pub ptx_line: u32,
    /// `.loc` line, 0 where there is none.
    pub source_line: u32,
    pub block: [u32; 3],
    /// First thread of the warp, linear in its block.
    pub warp: u32,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y, z] = self.block;
        write!(
            f,
            "{} in {} at PTX line {}, source line {}, block ({x}, {y}, {z}), warp {}",
            self.fault, self.kernel, self.ptx_line, self.source_line, self.warp
        )
    }
}
