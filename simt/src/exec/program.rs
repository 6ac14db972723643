//! The decoded program that warps execute.

use super::facts::Facts;
use super::special::Special;
use super::warp::Warp;
use crate::ptx::ast::Limits;

/// Where an operand of an instruction lies: bytes from the start of the register frame, or, with
/// [`CONSTANT`] set, from the start of the program's constants.
pub type Place = u32;

/// Marks a [`Place`] among the constants.
pub const CONSTANT: Place = 1 << 31;
/// No operand.
pub const NONE: Place = Place::MAX;

/// What the warp does after an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Goes on with the next instruction.
    Next,
    /// Goes on at `warp.pc`, which the instruction has set.
    Jump,
    /// The running threads have changed: choose what runs.
    Switch,
    /// `warp.fault` says what went wrong.
    Fault,
}

/// Executes one instruction for the lanes in the mask, which is never empty.
///
/// # Safety
/// The instruction's places lie within the warp's frame and the program's constants, as the decoder
/// that made the instruction guarantees.
pub type Exec = unsafe fn(&mut Warp, &Inst, u32) -> Step;

/// A decoded instruction: one cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct Inst {
    pub exec: Exec,
    /// The predicate that guards the instruction, or [`NONE`].
    pub guard: Place,
    /// XORed to the guard's lanes: all ones where it is negated.
    pub flip: u32,
    /// Operands as written, destinations first. Where there are more than six they are in
    /// [`Program::lists`] from `list` on, all of them.
    pub places: [Place; 6],
    pub list: u32,
    /// Small facts for `exec`: flags, counts.
    pub aux: u32,
    /// An address offset, a jump target, a table of choices.
    pub imm: u64,
}

/// A row of the constant pool, the size of a register of 32 lanes of 32 bits.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct Line(pub [u8; 64]);

/// All functions of a module.
#[derive(Debug, Default)]
pub struct Program {
    pub code: Vec<Inst>,
    /// Of every instruction, what those who watch need to know.
    pub facts: Vec<Facts>,
    /// Line in the PTX text of every instruction.
    pub lines: Vec<u32>,
    /// `.loc` of every instruction: file number and line, 0 where there is none.
    pub sources: Vec<(u32, u32)>,
    pub lists: Vec<Place>,
    /// What instructions write, then what they read, for those who watch.
    pub operands: Vec<Place>,
    /// Of every instruction: where its operands begin, how many are written and how many read.
    pub spans: Vec<(u32, u16, u16)>,
    pub constants: Vec<Line>,
    /// Tables of `brx.idx`: program counters.
    pub targets: Vec<Vec<u32>>,
    pub functions: Vec<Function>,
    pub files: Vec<(u32, String)>,
    /// Bytes of a thread's local memory that functions take while they run.
    pub taken_local: u32,
}

/// Whom a function calls.
#[derive(Debug, Default, Clone)]
pub struct Calls {
    /// Indices of functions.
    pub direct: Vec<u32>,
    /// Any function may be called.
    pub through_pointers: bool,
    /// Most bytes of arguments and results of one call.
    pub outgoing: u32,
}

/// An entry or a function.
#[derive(Debug, Default, Clone)]
pub struct Function {
    pub name: String,
    pub is_entry: bool,
    /// First instruction.
    pub start: u32,
    /// Bytes of the register frame.
    pub frame: u32,
    /// Registers of 32 bits that a thread holds, for `cuFuncGetAttribute`.
    pub registers: u32,
    /// Bytes of local memory a thread needs for this function alone.
    pub local: u32,
    pub calls: Calls,
    /// Offset and size in bytes of each parameter, in order.
    pub params: Vec<(u32, u32)>,
    /// Bytes of all parameters.
    pub param_bytes: u32,
    /// Bytes of static shared memory of the module; dynamic shared memory follows.
    pub shared: u32,
    pub limits: Limits,
    /// Registers that are filled when the frame is entered.
    pub specials: Vec<(Special, Place, u32)>,
}

impl Program {
    /// The function or entry of that name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|f| f.name == name)
    }

    /// The places that an instruction writes, and those that it reads, its guard's among them.
    pub fn operands(&self, pc: usize) -> (&[Place], &[Place]) {
        let (first, writes, reads) = self.spans[pc];
        let (first, middle) = (first as usize, first as usize + usize::from(writes));
        let reads = middle..middle + usize::from(reads);
        (&self.operands[first..middle], &self.operands[reads])
    }

    /// Bytes of local memory that a thread needs which starts at a function. What recursion needs
    /// nobody knows: it gets a fixed room.
    pub fn stack(&self, function: usize) -> u32 {
        const RECURSION: u32 = 32 << 10;
        let mut known = vec![None; self.functions.len()];
        let mut recursive = false;
        let bytes = self.deepest(function, &mut known, &mut recursive);
        bytes.saturating_add(if recursive { RECURSION } else { 0 })
    }

    /// Bytes for a function and the deepest chain of calls below it. In `known` a function that is
    /// being looked at has 0: to come back to it is recursion.
    fn deepest(&self, at: usize, known: &mut [Option<u32>], recursive: &mut bool) -> u32 {
        if let Some(bytes) = known[at] {
            *recursive |= bytes == 0;
            return bytes;
        }
        known[at] = Some(0);
        let function = &self.functions[at];
        let mut below = function.calls.outgoing;
        for callee in &function.calls.direct {
            below = below.max(self.deepest(*callee as usize, known, recursive));
        }
        if function.calls.through_pointers {
            // A pointer may lead anywhere, also back.
            *recursive = true;
            let others = self.functions.iter().filter(|f| !f.is_entry);
            below = below.max(others.map(|f| f.local).max().unwrap_or(0));
        }
        // Never 0, which means something else.
        let bytes = function.local.saturating_add(below).max(16);
        known[at] = Some(bytes);
        bytes
    }
}
