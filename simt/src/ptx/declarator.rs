//! Variables: space, alignment, type, name, size and initial value (PTX ISA, "State Spaces, Types, and
//! Variables").

use super::ast::*;
use super::cursor::Parser;
use super::lexer::Token;
use super::types::{Space, Type};
use super::{Result, error};

impl<'a> Parser<'a> {
    /// `.shared .align 16 .b8 a[4], b;` and the like.
    pub(super) fn variables(
        &mut self,
        linkage: Linkage,
        into: &mut Vec<Variable<'a>>,
    ) -> Result<()> {
        let (space, ty, vector, align) = self.head()?;
        loop {
            into.push(self.declarator(linkage, space, ty, vector, align)?);
            if !self.accept(b',') {
                return self.punct(b';');
            }
        }
    }

    /// Space, alignment, vector and type of a declaration, in the orders that compilers write.
    pub(super) fn head(&mut self) -> Result<(Space, Type, u32, Option<u32>)> {
        let (mut space, mut ty, mut vector, mut align) = (None, None, 1, None);
        while let Token::Dot(name) = self.peek() {
            let line = self.line();
            self.skip(1);
            match name {
                "align" => {
                    let bytes = self.small()?;
                    if !bytes.is_power_of_two() {
                        return error(line, format!(".align {bytes} is no power of two"));
                    }
                    // After `.ptr` it is the pointer's promise, not the parameter's place.
                    if ty.is_none() {
                        align = Some(bytes);
                    }
                }
                "v2" => vector = 2,
                "v4" => vector = 4,
                "v8" => vector = 8,
                "ptr" => {}
                "attribute" => self.parenthesised()?,
                _ => match (Type::parse(name), Space::parse(name)) {
                    (Some(found), _) => ty = Some(found),
                    (None, Some(found)) => space = space.or(Some(found)),
                    _ => return error(line, format!("unknown .{name} in a declaration")),
                },
            }
        }
        match (space, ty) {
            (Some(space), Some(ty)) => Ok((space, ty, vector, align)),
            _ => self.unexpected("a state space and a type"),
        }
    }

    pub(super) fn attributes(&mut self) -> Result<()> {
        while self.accept_dot("attribute") {
            self.parenthesised()?;
        }
        Ok(())
    }

    pub(super) fn parenthesised(&mut self) -> Result<()> {
        self.punct(b'(')?;
        let mut depth = 1;
        while depth > 0 {
            match self.next() {
                Token::Punct(b'(') => depth += 1,
                Token::Punct(b')') => depth -= 1,
                Token::End => return self.unexpected("`)`"),
                _ => {}
            }
        }
        Ok(())
    }

    /// The name, size and initial value of one variable.
    pub(super) fn declarator(
        &mut self,
        linkage: Linkage,
        space: Space,
        ty: Type,
        vector: u32,
        align: Option<u32>,
    ) -> Result<Variable<'a>> {
        let line = self.line();
        let name = match self.peek() {
            Token::Word(_) => self.word()?,
            _ => "_",
        };
        let mut family = None;
        if self.accept(b'<') {
            family = Some(self.small()?);
            self.punct(b'>')?;
        }
        let mut elements = Some(1u64);
        let mut is_array = false;
        while self.accept(b'[') {
            is_array = true;
            if self.accept(b']') {
                elements = None;
                continue;
            }
            let line = self.line();
            let Ok(dimension) = u64::try_from(self.integer()?) else {
                return error(line, "an array of a negative size");
            };
            elements = elements.and_then(|n| n.checked_mul(dimension));
            if elements.is_none_or(|n| n > 1 << 40) {
                return error(line, "an array too large");
            }
            self.punct(b']')?;
        }
        if is_array {
            self.strides.insert(name, ty.bytes() * vector);
        }
        let mut init = Vec::new();
        if self.accept(b'=') {
            self.initialiser(&mut init, 0)?;
            if is_array && elements.is_none() {
                elements = Some(init.len() as u64);
            }
        }
        Ok(Variable {
            linkage,
            space,
            ty,
            vector,
            align: align.unwrap_or(ty.bytes() * vector),
            name,
            elements,
            family,
            init,
            line,
        })
    }

    fn initialiser(&mut self, into: &mut Vec<Init<'a>>, depth: u32) -> Result<()> {
        if depth > 8 {
            return error(self.line(), "an initialiser nested too deep");
        }
        if self.accept(b'{') {
            while !self.accept(b'}') {
                self.initialiser(into, depth + 1)?;
                if !self.accept(b',') && !self.is_punct_at(0, b'}') {
                    return self.unexpected("`,` or `}`");
                }
            }
            return Ok(());
        }
        if let Token::Word(word) = self.peek() {
            self.skip(1);
            let generic = word == "generic" && self.accept(b'(');
            let name = if generic { self.word()? } else { word };
            if generic {
                self.punct(b')')?;
            }
            let plus = if self.is_punct_at(0, b'+') || self.is_punct_at(0, b'-') {
                self.integer()?
            } else {
                0
            };
            into.push(Init::Address {
                name,
                plus,
                generic,
            });
            return Ok(());
        }
        into.push(Init::Number(self.number()?));
        Ok(())
    }
}
