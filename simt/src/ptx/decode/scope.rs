//! Names of a function: registers, variables and labels, by block.

use crate::exec::program::{CONSTANT, Line, Place};
use crate::exec::special::Special;
use crate::ptx::ast::Variable;
use crate::ptx::types::{Space, Type};
use crate::ptx::{Result, error};
use std::collections::HashMap;

/// A virtual register; while a function is decoded, a [`Place`] without [`CONSTANT`] is its index.
#[derive(Debug, Clone, Copy)]
pub struct Register {
    pub ty: Type,
}

impl Register {
    /// Bytes of 32 lanes: predicates are 32 bits.
    pub fn bytes(self) -> u32 {
        row_bytes(self.ty.bits())
    }
}

/// Bytes of a row of 32 lanes of that many bits.
pub fn row_bytes(bits: u32) -> u32 {
    match bits {
        1 => 4,
        _ => bits.max(16) * 4,
    }
}

/// Where a name of a variable leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symbol {
    /// An absolute device address.
    Global(u64),
    Const(u64),
    /// Offsets in bytes.
    Shared(u64),
    /// From the start of the function's local memory.
    Local(u64),
    /// A parameter of the entry, from the start of its parameters.
    EntryParam(u64),
    /// A parameter that lies in the function's local memory.
    FrameParam(u64),
    /// A function's address.
    Function(u64),
}

impl Symbol {
    /// The space that the symbol's address belongs to.
    pub fn space(self) -> Space {
        match self {
            Symbol::Global(_) => Space::Global,
            Symbol::Const(_) => Space::Const,
            Symbol::Shared(_) => Space::Shared,
            Symbol::Local(_) => Space::Local,
            Symbol::EntryParam(_) | Symbol::FrameParam(_) => Space::Param,
            Symbol::Function(_) => Space::Generic,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Name {
    Register(u32),
    Family { id: u32, count: u32, ty: Type },
    Symbol(Symbol),
}

/// The rows of constants that a program's instructions read, each value once.
#[derive(Debug, Default)]
pub struct Constants {
    pub lines: Vec<Line>,
    known: HashMap<(u128, u32), Place>,
}

impl Constants {
    /// The place of a row of `value` in 32 lanes of `bits` (1: a predicate).
    pub fn place(&mut self, value: u128, bits: u32) -> Place {
        if let Some(place) = self.known.get(&(value, bits)) {
            return *place;
        }
        let start = self.lines.len() * 64;
        if bits == 1 {
            let mut line = [0; 64];
            let lanes = if value & 1 != 0 { !0u32 } else { 0 };
            line[..4].copy_from_slice(&lanes.to_le_bytes());
            self.lines.push(Line(line));
        } else {
            let bytes = bits.max(16) as usize / 8;
            let row: Vec<u8> = value.to_le_bytes()[..bytes].repeat(32);
            for chunk in row.chunks_exact(64) {
                let mut line = [0; 64];
                line.copy_from_slice(chunk);
                self.lines.push(Line(line));
            }
        }
        let place = start as u32 | CONSTANT;
        self.known.insert((value, bits), place);
        place
    }
}

/// Everything that names in a function's body can mean.
pub struct Scope<'a, 'm> {
    pub module: &'m HashMap<&'a str, Symbol>,
    pub constants: &'m mut Constants,
    pub registers: Vec<Register>,
    pub specials: HashMap<(Special, u32), u32>,
    blocks: Vec<HashMap<&'a str, Name>>,
    members: HashMap<(u32, u32), u32>,
    families: u32,
    /// Labels of the whole function, by name, to their number.
    pub labels: HashMap<&'a str, u32>,
    /// Bytes of local memory taken.
    pub local: u64,
}

impl<'a, 'm> Scope<'a, 'm> {
    /// A scope with the names of a module only.
    pub fn new(module: &'m HashMap<&'a str, Symbol>, constants: &'m mut Constants) -> Self {
        Scope {
            module,
            constants,
            registers: Vec::new(),
            specials: HashMap::new(),
            blocks: vec![HashMap::new()],
            members: HashMap::new(),
            families: 0,
            labels: HashMap::new(),
            local: 0,
        }
    }

    /// Begins a block, whose names hide those outside.
    pub fn push(&mut self) {
        self.blocks.push(HashMap::new());
    }

    /// Ends it.
    pub fn pop(&mut self) {
        self.blocks.pop();
    }

    fn insert(&mut self, name: &'a str, what: Name) {
        if let Some(block) = self.blocks.last_mut() {
            block.insert(name, what);
        }
    }

    /// A new register without a name.
    pub fn register(&mut self, ty: Type) -> u32 {
        self.registers.push(Register { ty });
        self.registers.len() as u32 - 1
    }

    /// Names a place in memory.
    pub fn name_symbol(&mut self, name: &'a str, symbol: Symbol) {
        self.insert(name, Name::Symbol(symbol));
    }

    /// Takes local memory, and gives its offset.
    pub fn take_local(&mut self, bytes: u64, align: u32) -> u64 {
        let start = self.local.next_multiple_of(u64::from(align.max(1)));
        self.local = start + bytes;
        start
    }

    /// A declaration in a body.
    ///
    /// # Errors
    /// Spaces that a body cannot declare, and registers of types there are none of.
    pub fn declare(&mut self, variable: &Variable<'a>) -> Result<()> {
        let name = variable.name;
        match variable.space {
            Space::Reg => {
                if variable.vector != 1 {
                    return error(variable.line, "vector registers are not supported");
                }
                let ty = variable.ty;
                if !matches!(ty.bits(), 1 | 8 | 16 | 32 | 64 | 128) {
                    return error(variable.line, format!("a register of type .{}", ty.name()));
                }
                match variable.family {
                    Some(count) => {
                        self.families += 1;
                        let id = self.families;
                        self.insert(name, Name::Family { id, count, ty });
                    }
                    None => {
                        let register = self.register(ty);
                        self.insert(name, Name::Register(register));
                    }
                }
                Ok(())
            }
            Space::Local | Space::Param => {
                let bytes = variable.bytes();
                if bytes > 1 << 20 {
                    return error(
                        variable.line,
                        format!("{name}: more than 1 MiB of local memory"),
                    );
                }
                let offset = self.take_local(bytes, variable.align);
                let symbol = match variable.space {
                    Space::Local => Symbol::Local(offset),
                    _ => Symbol::FrameParam(offset),
                };
                self.name_symbol(name, symbol);
                Ok(())
            }
            // The module has laid them out already.
            Space::Shared | Space::Global | Space::Const => match self.module.get(name) {
                Some(symbol) => {
                    self.name_symbol(name, *symbol);
                    Ok(())
                }
                None => error(variable.line, format!("{name} has no place in memory")),
            },
            Space::Generic => error(variable.line, format!("{name} has no state space")),
        }
    }

    /// The register of that name.
    pub fn find_register(&mut self, name: &str) -> Option<u32> {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        for block in self.blocks.iter().rev() {
            match block.get(name) {
                Some(Name::Register(register)) => return Some(*register),
                Some(Name::Symbol(_)) => return None,
                _ => {}
            }
            if let Some(&Name::Family { id, count, ty }) = block.get(stem) {
                let number: u32 = name[stem.len()..].parse().ok()?;
                if number >= count {
                    return None;
                }
                if let Some(register) = self.members.get(&(id, number)) {
                    return Some(*register);
                }
                let register = self.register(ty);
                self.members.insert((id, number), register);
                return Some(register);
            }
        }
        None
    }

    /// The variable or function of that name.
    pub fn find_symbol(&self, name: &str) -> Option<Symbol> {
        for block in self.blocks.iter().rev() {
            match block.get(name) {
                Some(Name::Symbol(symbol)) => return Some(*symbol),
                Some(_) => return None,
                None => {}
            }
        }
        self.module.get(name).copied()
    }

    /// The register that is filled with a special register's value when the frame is entered.
    pub fn special(&mut self, special: Special, bits: u32) -> u32 {
        if let Some(register) = self.specials.get(&(special, bits)) {
            return *register;
        }
        let ty = match bits {
            1 => Type::Pred,
            16 => Type::B16,
            32 => Type::B32,
            _ => Type::B64,
        };
        let register = self.register(ty);
        self.specials.insert((special, bits), register);
        register
    }
}
