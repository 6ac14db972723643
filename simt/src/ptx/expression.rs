//! Constant expressions (PTX ISA, "Constant Expressions").

use super::ast::Number;
use super::cursor::Parser;
use super::lexer::Token;
use super::types::Type;
use super::{Result, error};

/// How deep parentheses and signs may nest: deeper is no program, and would end the host's stack.
const DEPTH: u32 = 64;

impl<'a> Parser<'a> {
    /// A constant expression.
    pub(super) fn number(&mut self) -> Result<Number> {
        self.binary(0, 0)
    }

    /// A constant expression that has to be an integer.
    pub(super) fn integer(&mut self) -> Result<i64> {
        let line = self.line();
        match self.number()? {
            Number::Int(value) => Ok(value),
            _ => error(line, "expected an integer"),
        }
    }

    /// An integer that has to fit into 32 bits without a sign.
    pub(super) fn small(&mut self) -> Result<u32> {
        let line = self.line();
        let value = self.integer()?;
        u32::try_from(value).or_else(|_| error(line, format!("{value} is out of range")))
    }

    fn binary(&mut self, level: usize, depth: u32) -> Result<Number> {
        /// Operators by rising binding; each is one or two characters.
        const LEVELS: [&[&str]; 9] = [
            &["||"],
            &["&&"],
            &["|"],
            &["^"],
            &["&"],
            &["==", "!="],
            &["<<", ">>"],
            &["+", "-"],
            &["*", "/"],
        ];
        let Some(operators) = LEVELS.get(level) else {
            return self.unary(depth);
        };
        let mut left = self.binary(level + 1, depth)?;
        'more: loop {
            for operator in *operators {
                let bytes = operator.as_bytes();
                let longer = bytes.len() == 1
                    && matches!(bytes[0], b'|' | b'&')
                    && self.is_punct_at(1, bytes[0]);
                let here = bytes
                    .iter()
                    .enumerate()
                    .all(|(i, c)| self.is_punct_at(i, *c));
                if here && !longer {
                    let line = self.line();
                    self.skip(bytes.len());
                    let right = self.binary(level + 1, depth)?;
                    left = match (left, right) {
                        (Number::Int(a), Number::Int(b)) => {
                            Number::Int(apply(operator, a, b).map_or_else(
                                || error(line, "division by zero in a constant"),
                                Ok,
                            )?)
                        }
                        _ => return error(line, "arithmetic on floating-point constants"),
                    };
                    continue 'more;
                }
            }
            return Ok(left);
        }
    }

    fn unary(&mut self, depth: u32) -> Result<Number> {
        let line = self.line();
        if depth > DEPTH {
            return error(line, "a constant nested too deep");
        }
        match self.next() {
            Token::Int(value, _) => Ok(Number::Int(value as i64)),
            Token::F32(bits) => Ok(Number::F32(bits)),
            Token::F64(bits) => Ok(Number::F64(bits)),
            Token::Decimal(value, _) => Ok(Number::F64(value.to_bits())),
            Token::Punct(b'+') => self.unary(depth + 1),
            Token::Punct(b'-') => Ok(match self.unary(depth + 1)? {
                Number::Int(value) => Number::Int(value.wrapping_neg()),
                Number::F32(bits) => Number::F32(bits ^ 1 << 31),
                Number::F64(bits) => Number::F64(bits ^ 1 << 63),
            }),
            Token::Punct(sign @ (b'~' | b'!')) => match self.unary(depth + 1)? {
                Number::Int(value) if sign == b'~' => Ok(Number::Int(!value)),
                Number::Int(value) => Ok(Number::Int((value == 0).into())),
                _ => error(line, "a bit operation on a floating-point constant"),
            },
            Token::Punct(b'(') => {
                if let Token::Dot(name) = self.peek() {
                    self.skip(1);
                    self.punct(b')')?;
                    if !matches!(Type::parse(name), Some(Type::S64 | Type::U64)) {
                        return error(line, format!("a cast to .{name}"));
                    }
                    return self.unary(depth + 1);
                }
                let value = self.binary(0, depth + 1)?;
                self.punct(b')')?;
                Ok(value)
            }
            other => error(
                line,
                format!("expected a constant, found {}", describe(other)),
            ),
        }
    }
}

fn apply(operator: &str, a: i64, b: i64) -> Option<i64> {
    Some(match operator {
        "||" => (a != 0 || b != 0).into(),
        "&&" => (a != 0 && b != 0).into(),
        "|" => a | b,
        "^" => a ^ b,
        "&" => a & b,
        "==" => (a == b).into(),
        "!=" => (a != b).into(),
        "<<" => a.wrapping_shl(b as u32),
        ">>" => a.wrapping_shr(b as u32),
        "+" => a.wrapping_add(b),
        "-" => a.wrapping_sub(b),
        "*" => a.wrapping_mul(b),
        _ => a.checked_div(b)?,
    })
}

/// A token for an error message.
pub(super) fn describe(token: Token<'_>) -> String {
    match token {
        Token::Word(word) => format!("`{word}`"),
        Token::Dot(name) => format!("`.{name}`"),
        Token::Int(value, _) => format!("`{value}`"),
        Token::Decimal(_, text) => format!("`{text}`"),
        Token::F32(_) | Token::F64(_) => "a number".into(),
        Token::Text(_) => "a string".into(),
        Token::Punct(c) => format!("`{}`", c as char),
        Token::End => "the end".into(),
    }
}
