//! The bodies of functions: labels, instructions and their operands (PTX ISA, "Instruction Operands").

use super::ast::*;
use super::cursor::Parser;
use super::expression::describe;
use super::lexer::Token;
use super::{Result, error};

/// How deep blocks and operands may nest: deeper is no program, and would end the host's stack.
const DEPTH: u32 = 64;

impl<'a> Parser<'a> {
    /// Statements up to the closing brace, which is passed.
    pub(super) fn body(&mut self, depth: u32) -> Result<Vec<Statement<'a>>> {
        if depth > DEPTH {
            return error(self.line(), "blocks nested too deep");
        }
        let mut body = Vec::new();
        loop {
            let line = self.line();
            match self.peek() {
                Token::Punct(b'}') => {
                    self.skip(1);
                    return Ok(body);
                }
                Token::Punct(b'{') => {
                    self.skip(1);
                    body.push(Statement::Block(self.body(depth + 1)?));
                }
                Token::Punct(b';') => self.skip(1),
                Token::Word(label) if self.is_punct_at(1, b':') => {
                    self.skip(2);
                    body.push(self.labelled(label)?);
                }
                Token::Word(_) | Token::Punct(b'@') => {
                    body.push(Statement::Instruction(self.instruction()?));
                }
                Token::Dot("loc") => body.push(self.loc(line)?),
                Token::Dot("pragma") => self.skip_to_semicolon(),
                Token::Dot("section") => self.section()?,
                Token::Dot(_) => {
                    let mut variables = Vec::new();
                    self.variables(Linkage::Module, &mut variables)?;
                    body.extend(variables.into_iter().map(Statement::Variable));
                }
                _ => return self.unexpected("a statement"),
            }
        }
    }

    /// A label, or the list or prototype that it names.
    fn labelled(&mut self, label: &'a str) -> Result<Statement<'a>> {
        let line = self.line();
        if self.accept_dot("branchtargets") || self.accept_dot("calltargets") {
            let mut names = vec![self.word()?];
            while self.accept(b',') {
                names.push(self.word()?);
            }
            self.punct(b';')?;
            return Ok(Statement::Targets { label, names, line });
        }
        if self.accept_dot("callprototype") {
            let returns = if self.is_punct_at(0, b'(') {
                self.parameters()?
            } else {
                Vec::new()
            };
            self.word()?;
            let params = if self.is_punct_at(0, b'(') {
                self.parameters()?
            } else {
                Vec::new()
            };
            self.skip_to_semicolon();
            return Ok(Statement::Prototype {
                label,
                returns,
                params,
            });
        }
        Ok(Statement::Label(label))
    }

    /// `.loc file line column[, function_name label[+n], inlined_at file line column]`, without `;`.
    fn loc(&mut self, at: u32) -> Result<Statement<'a>> {
        self.skip(1);
        let file = self.small()?;
        let line = self.small()?;
        self.small()?;
        while self.line() == at && self.peek() != Token::End && self.accept(b',') {
            while self.line() == at && !matches!(self.peek(), Token::Punct(b',') | Token::End) {
                self.skip(1);
            }
        }
        Ok(Statement::Loc { file, line })
    }

    fn instruction(&mut self) -> Result<Instruction<'a>> {
        let line = self.line();
        let guard = if self.accept(b'@') {
            let negated = self.accept(b'!');
            Some(Guard {
                register: self.word()?,
                negated,
            })
        } else {
            None
        };
        let opcode = self.word()?;
        let mut modifiers = Vec::new();
        while let Token::Dot(name) = self.peek() {
            modifiers.push(name);
            self.skip(1);
        }
        let mut operands = Vec::new();
        while !self.accept(b';') {
            let operand = self.operand(0)?;
            operands.push(match operand {
                // `a[2]` is an element where memory is read or written, its address elsewhere.
                Operand::NamePlus(name, plus)
                    if matches!(opcode, "ld" | "ldu" | "st" | "atom" | "red") =>
                {
                    Operand::Address {
                        base: Box::new(Operand::Name(name, None)),
                        plus,
                        parts: Vec::new(),
                    }
                }
                operand => operand,
            });
            if !self.accept(b',') && !self.is_punct_at(0, b';') {
                return self.unexpected("`,` or `;`");
            }
        }
        Ok(Instruction {
            guard,
            opcode,
            modifiers,
            operands,
            line,
        })
    }

    fn operand(&mut self, depth: u32) -> Result<Operand<'a>> {
        if depth > DEPTH {
            return error(self.line(), "operands nested too deep");
        }
        let operand = match self.peek() {
            Token::Punct(b'{') => {
                self.skip(1);
                Operand::Vector(self.operands(b'}', depth)?)
            }
            Token::Punct(b'(')
                if matches!(self.peek_at(1), Token::Word(_) | Token::Punct(b')')) =>
            {
                self.skip(1);
                Operand::List(self.operands(b')', depth)?)
            }
            Token::Punct(b'[') => {
                self.skip(1);
                self.address(depth)?
            }
            Token::Punct(b'!') if matches!(self.peek_at(1), Token::Word(_)) => {
                self.skip(1);
                Operand::Not(Box::new(self.name()?))
            }
            Token::Word(_) => self.name()?,
            Token::Int(..)
            | Token::Decimal(..)
            | Token::F32(_)
            | Token::F64(_)
            | Token::Punct(b'-' | b'+' | b'~' | b'!' | b'(') => Operand::Number(self.number()?),
            other => {
                return error(
                    self.line(),
                    format!("expected an operand, found {}", describe(other)),
                );
            }
        };
        if self.is_punct_at(0, b'|') {
            self.skip(1);
            let second = self.operand(depth + 1)?;
            return Ok(Operand::Pair(Box::new(operand), Box::new(second)));
        }
        Ok(operand)
    }

    fn operands(&mut self, end: u8, depth: u32) -> Result<Vec<Operand<'a>>> {
        let mut operands = Vec::new();
        while !self.accept(end) {
            operands.push(self.operand(depth + 1)?);
            if !self.accept(b',') && !self.is_punct_at(0, end) {
                return self.unexpected("`,` or the end of the list");
            }
        }
        Ok(operands)
    }

    /// A name, with its component or the bytes added to it.
    fn name(&mut self) -> Result<Operand<'a>> {
        let name = self.word()?;
        if let Token::Dot(part) = self.peek() {
            self.skip(1);
            return Ok(Operand::Name(name, Some(part)));
        }
        if self.is_punct_at(0, b'+') || self.is_punct_at(0, b'-') {
            return Ok(Operand::NamePlus(name, self.integer()?));
        }
        if let Some(stride) = self.strides.get(name).copied()
            && self.accept(b'[')
        {
            let line = self.line();
            let bytes = self.integer()?.checked_mul(i64::from(stride));
            self.punct(b']')?;
            return match bytes {
                Some(bytes) => Ok(Operand::NamePlus(name, bytes)),
                None => error(line, format!("an element of {name} beyond all memory")),
            };
        }
        Ok(Operand::Name(name, None))
    }

    /// What follows `[`.
    fn address(&mut self, depth: u32) -> Result<Operand<'a>> {
        let base = match self.peek() {
            Token::Word(_) => {
                let name = self.word()?;
                match self.peek() {
                    Token::Dot(part) => {
                        self.skip(1);
                        Operand::Name(name, Some(part))
                    }
                    _ => Operand::Name(name, None),
                }
            }
            _ => Operand::Number(self.number()?),
        };
        let mut plus = 0;
        if self.is_punct_at(0, b'+') || self.is_punct_at(0, b'-') {
            plus = self.integer()?;
        }
        let mut parts = Vec::new();
        while self.accept(b',') {
            parts.push(self.operand(depth + 1)?);
        }
        self.punct(b']')?;
        Ok(Operand::Address {
            base: Box::new(base),
            plus,
            parts,
        })
    }
}
