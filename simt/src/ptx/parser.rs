//! Tokens to module: directives, variables and functions (PTX ISA, "Directives").

use super::ast::*;
use super::cursor::Parser;
use super::lexer::{Token, tokens};
use super::types::Space;
use super::{Result, error};
use std::collections::HashMap;

/// A parsed text.
///
/// # Errors
/// The first thing that is not PTX, with its line.
pub fn parse(source: &str) -> Result<Module<'_>> {
    let tokens = tokens(source)?;
    let parser = Parser {
        tokens,
        at: 0,
        strides: HashMap::new(),
    };
    parser.module()
}

impl<'a> Parser<'a> {
    fn module(mut self) -> Result<Module<'a>> {
        let mut module = Module::default();
        let mut versioned = false;
        loop {
            let line = self.line();
            match self.peek() {
                Token::End => break,
                Token::Punct(b';') => self.skip(1),
                Token::Dot("version") => {
                    self.skip(1);
                    module.version = self.version()?;
                    versioned = true;
                }
                Token::Dot("target") => {
                    self.skip(1);
                    module.target = self.word()?;
                    while self.accept(b',') {
                        self.word()?;
                    }
                }
                Token::Dot("address_size") => {
                    self.skip(1);
                    if self.small()? != 64 {
                        return error(line, ".address_size: only 64-bit addresses are supported");
                    }
                }
                Token::Dot("file") => {
                    self.skip(1);
                    let number = self.small()?;
                    let Token::Text(path) = self.next() else {
                        return error(line, ".file without a path");
                    };
                    while self.accept(b',') {
                        self.small_or_long()?;
                    }
                    module.files.push((number, path));
                }
                Token::Dot("section") => self.section()?,
                Token::Dot("pragma") => self.skip_to_semicolon(),
                Token::Dot("alias") => {
                    self.skip(1);
                    let name = self.word()?;
                    self.punct(b',')?;
                    module.aliases.push((name, self.word()?));
                    self.punct(b';')?;
                }
                Token::Dot(_) => self.declaration(&mut module)?,
                Token::Punct(b'@') if self.is_punct_at(1, b'@') => self.skip_line(line),
                _ => return self.unexpected("a directive"),
            }
        }
        if !versioned {
            return error(1, "not PTX: no .version");
        }
        Ok(module)
    }

    fn version(&mut self) -> Result<(u32, u32)> {
        let line = self.line();
        if let Token::Decimal(_, text) = self.next()
            && let Some((major, minor)) = text.split_once('.')
            && let (Ok(major), Ok(minor)) = (major.parse(), minor.parse())
        {
            return Ok((major, minor));
        }
        error(line, ".version without a number such as 8.8")
    }

    /// A number of a `.file`'s time stamp or size, which nothing here uses.
    fn small_or_long(&mut self) -> Result<()> {
        self.integer().map(drop)
    }

    fn skip_line(&mut self, line: u32) {
        while self.peek() != Token::End && self.line() == line {
            self.skip(1);
        }
    }

    pub(super) fn skip_to_semicolon(&mut self) {
        while !matches!(self.next(), Token::Punct(b';') | Token::End) {}
    }

    /// DWARF, which says nothing about what the program does.
    pub(super) fn section(&mut self) -> Result<()> {
        let line = self.line();
        while !matches!(self.peek(), Token::Punct(b'{') | Token::End) {
            self.skip(1);
        }
        let mut depth = 0u32;
        loop {
            match self.next() {
                Token::Punct(b'{') => depth += 1,
                Token::Punct(b'}') if depth <= 1 => return Ok(()),
                Token::Punct(b'}') => depth -= 1,
                Token::End => return error(line, ".section without an end"),
                _ => {}
            }
        }
    }

    fn declaration(&mut self, module: &mut Module<'a>) -> Result<()> {
        let linkage = self.linkage();
        match self.peek() {
            Token::Dot("entry" | "func") => {
                let function = self.function(linkage)?;
                // A definition takes the place of its declaration.
                let same = |f: &&mut Function| f.name == function.name;
                match module.functions.iter_mut().find(same) {
                    Some(old) if function.body.is_some() && old.body.is_some() => {
                        error(function.line, format!("{} is defined twice", function.name))
                    }
                    Some(old) => {
                        if function.body.is_some() {
                            *old = function;
                        }
                        Ok(())
                    }
                    None => {
                        module.functions.push(function);
                        Ok(())
                    }
                }
            }
            Token::Dot(_) => {
                let before = module.variables.len();
                self.variables(linkage, &mut module.variables)?;
                for new in before..module.variables.len() {
                    let variable = &module.variables[new];
                    let shown =
                        matches!(variable.space, Space::Global | Space::Const | Space::Shared);
                    if !shown {
                        return error(
                            variable.line,
                            "a variable of a module is global, const or shared",
                        );
                    }
                }
                Ok(())
            }
            _ => self.unexpected("a declaration"),
        }
    }

    fn linkage(&mut self) -> Linkage {
        let linkage = match self.peek() {
            Token::Dot("visible") => Linkage::Visible,
            Token::Dot("extern") => Linkage::Extern,
            Token::Dot("weak") => Linkage::Weak,
            Token::Dot("common") => Linkage::Common,
            _ => return Linkage::Module,
        };
        self.skip(1);
        linkage
    }

    fn function(&mut self, linkage: Linkage) -> Result<Function<'a>> {
        let line = self.line();
        let is_entry = self.next() == Token::Dot("entry");
        self.attributes()?;
        let returns = if !is_entry && self.is_punct_at(0, b'(') {
            self.parameters()?
        } else {
            Vec::new()
        };
        let name = self.word()?;
        let params = if self.is_punct_at(0, b'(') {
            self.parameters()?
        } else {
            Vec::new()
        };
        let limits = self.limits()?;
        let body = if self.accept(b';') {
            None
        } else {
            self.punct(b'{')?;
            Some(self.body(0)?)
        };
        Ok(Function {
            linkage,
            is_entry,
            name,
            returns,
            params,
            limits,
            body,
            line,
        })
    }

    /// The directives between a function's head and its body.
    fn limits(&mut self) -> Result<Limits> {
        let mut limits = Limits::default();
        loop {
            let Token::Dot(name) = self.peek() else {
                return Ok(limits);
            };
            match name {
                "maxntid" => limits.max_threads = Some(self.extent()?),
                "reqntid" => limits.required_threads = Some(self.extent()?),
                "reqnctapercluster" => limits.required_cluster = Some(self.extent()?),
                "maxnreg" => limits.max_registers = Some(self.extent()?[0]),
                // Hints for a compiler, with nothing to obey here.
                "minnctapersm" | "maxnctapersm" | "maxclusterrank" => drop(self.extent()?),
                "noreturn" | "explicitcluster" | "blocksareclusters" => self.skip(1),
                "pragma" => self.skip_to_semicolon(),
                "abi_preserve" | "abi_preserve_control" => drop(self.extent()?),
                _ => return self.unexpected("a directive of a function"),
            }
        }
    }

    /// The one to three numbers after a directive.
    fn extent(&mut self) -> Result<[u32; 3]> {
        self.skip(1);
        let mut extent = [1; 3];
        extent[0] = self.small()?;
        for value in &mut extent[1..] {
            if !self.accept(b',') {
                break;
            }
            *value = self.small()?;
        }
        Ok(extent)
    }

    /// `( .param .b32 a, .reg .b64 b )`, also unnamed `_` or of a prototype.
    pub(super) fn parameters(&mut self) -> Result<Vec<Variable<'a>>> {
        self.punct(b'(')?;
        let mut parameters = Vec::new();
        while !self.accept(b')') {
            let line = self.line();
            let (space, ty, vector, align) = self.head()?;
            if !matches!(space, Space::Param | Space::Reg) {
                return error(line, "a parameter is .param or .reg");
            }
            let mut parameter = self.declarator(Linkage::Module, space, ty, vector, align)?;
            parameter.line = line;
            parameters.push(parameter);
            if !self.accept(b',') && !self.is_punct_at(0, b')') {
                return self.unexpected("`,` or `)`");
            }
        }
        Ok(parameters)
    }
}
