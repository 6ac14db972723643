//! One instruction while it is decoded: its modifiers and operands are taken one by one, and what
//! nobody took is refused.

use super::scope::{Scope, Symbol};
use crate::exec::facts::Facts;
use crate::exec::program::{NONE, Place};
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::Type;
use crate::ptx::{Result, error};

/// Where control may go from an instruction, besides the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Flow {
    #[default]
    Next,
    /// To a label.
    Branch(u32),
    /// To one of some labels.
    Table(Vec<u32>),
    /// Out of the function.
    Leave,
}

/// Results that come later than at their instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deferred {
    #[default]
    No,
    /// The instruction's destinations are written later.
    Starts,
    /// That happens here at the latest.
    Lands,
}

/// How an address operand is formed; its base register is the operand's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The space of the variable that it names, if it names one.
    pub symbol: Option<Symbol>,
    /// Width of the base register: 0 (none), 32 or 64.
    pub bits: u32,
}

/// An operand's place and whether the instruction writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    pub place: Place,
    pub is_write: bool,
}

/// An instruction that is being decoded.
pub struct Instr<'i, 'a, 'm> {
    pub opcode: &'a str,
    pub line: u32,
    modifiers: Vec<Option<&'a str>>,
    pub(super) operands: &'i [Operand<'a>],
    pub scope: &'i mut Scope<'a, 'm>,
    pub uses: Vec<Use>,
    /// Operands go to the program's lists even where there are few.
    pub in_list: bool,
    pub aux: u32,
    pub imm: u64,
    pub flow: Flow,
    pub deferred: Deferred,
    /// The class comes from the family, the rest from the instruction's decoder.
    pub facts: Facts,
    pub has_guard: bool,
    /// The next address has parts after its base, which whoever set this has looked at.
    pub has_parts: bool,
}

impl<'i, 'a, 'm> Instr<'i, 'a, 'm> {
    /// An instruction of which nothing has been taken yet.
    pub fn new(source: &'i Instruction<'a>, scope: &'i mut Scope<'a, 'm>) -> Self {
        Instr {
            opcode: source.opcode,
            line: source.line,
            modifiers: source.modifiers.iter().copied().map(Some).collect(),
            operands: &source.operands,
            scope,
            uses: Vec::new(),
            in_list: false,
            aux: 0,
            imm: 0,
            flow: Flow::Next,
            deferred: Deferred::No,
            facts: Facts::default(),
            has_guard: source.guard.is_some(),
            has_parts: false,
        }
    }

    /// An error that names the instruction.
    pub fn error<T>(&self, message: impl std::fmt::Display) -> Result<T> {
        error(self.line, format!("{}: {message}", self.opcode))
    }

    /// The refusal of a combination that PTX or this machine does not have.
    pub fn refuse<T>(&self) -> Result<T> {
        self.error("this combination of modifiers and types is not supported")
    }

    /// Refuses what was not taken.
    pub fn finish(&self) -> Result<()> {
        if let Some(left) = self.modifiers.iter().flatten().next() {
            return self.error(format_args!("unsupported modifier .{left}"));
        }
        if !self.operands.is_empty() {
            return self.error("too many operands");
        }
        Ok(())
    }

    // Modifiers

    /// Takes a modifier, wherever it stands.
    pub fn flag(&mut self, name: &str) -> bool {
        match self.modifiers.iter_mut().find(|m| **m == Some(name)) {
            Some(modifier) => {
                *modifier = None;
                true
            }
            None => false,
        }
    }

    /// Takes the first modifier that is one of `names`, and gives its index there.
    pub fn one_of(&mut self, names: &[&str]) -> Option<usize> {
        let is_one = |m: &&mut Option<&str>| m.is_some_and(|m| names.contains(&m));
        let taken = self.modifiers.iter_mut().find(is_one)?.take()?;
        names.iter().position(|name| *name == taken)
    }

    /// Takes the first modifier that `accept` makes something of.
    pub fn modifier<T>(&mut self, accept: impl Fn(&'a str) -> Option<T>) -> Option<T> {
        for modifier in &mut self.modifiers {
            if let Some(found) = modifier.and_then(&accept) {
                *modifier = None;
                return Some(found);
            }
        }
        None
    }

    /// Whether a modifier is there; it is not taken.
    pub fn has(&self, name: &str) -> bool {
        self.modifiers.contains(&Some(name))
    }

    /// Takes the first type.
    pub fn ty(&mut self) -> Result<Type> {
        match self.modifier(Type::parse) {
            Some(ty) => Ok(ty),
            None => self.error("a type is missing"),
        }
    }

    // Operands

    /// How many operands are left.
    pub fn left(&self) -> usize {
        self.operands.len()
    }

    /// The next operand, not taken.
    pub fn peek(&self) -> Option<&'i Operand<'a>> {
        self.operands.first()
    }

    /// Takes the next operand.
    pub fn operand(&mut self) -> Result<&'i Operand<'a>> {
        match self.operands.split_first() {
            Some((first, rest)) => {
                self.operands = rest;
                Ok(first)
            }
            None => self.error("too few operands"),
        }
    }

    /// The operand that was taken last.
    pub fn last(&self) -> Place {
        self.uses.last().map_or(NONE, |last| last.place)
    }

    /// Records an operand's place.
    pub fn push(&mut self, place: Place, is_write: bool) {
        self.uses.push(Use { place, is_write });
    }
}
