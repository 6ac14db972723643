//! Text to tokens (PTX ISA, "Syntax").

use super::{Result, error};

/// A token; text is borrowed from the source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Token<'a> {
    /// An identifier, also `%r1`, `$L__BB0_1` and `_`.
    Word(&'a str),
    /// A directive or modifier, without its dot: `global`, `L2::128B`.
    Dot(&'a str),
    /// An integer; `true` where it is written with the suffix `U`.
    Int(u64, bool),
    /// A decimal fraction, as in `.version 8.8`.
    Decimal(f64, &'a str),
    /// `0f3F800000`: the bits of an f32.
    F32(u32),
    /// `0d3FF0000000000000`: the bits of an f64.
    F64(u64),
    Text(&'a str),
    Punct(u8),
    End,
}

/// A token and its line, from 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spanned<'a> {
    pub token: Token<'a>,
    pub line: u32,
}

/// All tokens of a text, with [`Token::End`] last.
///
/// # Errors
/// A character that PTX does not have, an unfinished comment or string, a number out of range.
pub fn tokens(source: &str) -> Result<Vec<Spanned<'_>>> {
    let mut lexer = Lexer {
        source,
        bytes: source.as_bytes(),
        at: 0,
        line: 1,
    };
    let mut tokens = Vec::with_capacity(source.len() / 4);
    loop {
        lexer.skip_blanks()?;
        let line = lexer.line;
        let token = lexer.next()?;
        tokens.push(Spanned { token, line });
        if token == Token::End {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    bytes: &'a [u8],
    at: usize,
    line: u32,
}

impl<'a> Lexer<'a> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn skip_blanks(&mut self) -> Result<()> {
        loop {
            match self.peek(0) {
                b'\n' => {
                    self.line += 1;
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b'/' if self.peek(1) == b'/' => {
                    while self.at < self.bytes.len() && self.peek(0) != b'\n' {
                        self.at += 1;
                    }
                }
                b'/' if self.peek(1) == b'*' => {
                    let first = self.line;
                    self.at += 2;
                    while !(self.peek(0) == b'*' && self.peek(1) == b'/') {
                        if self.at >= self.bytes.len() {
                            return error(first, "a comment without an end");
                        }
                        self.line += u32::from(self.peek(0) == b'\n');
                        self.at += 1;
                    }
                    self.at += 2;
                }
                // A text handed over with its C terminator.
                0 if self.at < self.bytes.len() => self.at = self.bytes.len(),
                _ => return Ok(()),
            }
        }
    }

    /// Moves on while `accept` holds, and gives what was passed.
    fn take(&mut self, accept: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        while self.at < self.bytes.len() && accept(self.bytes[self.at]) {
            self.at += 1;
        }
        &self.source[start..self.at]
    }

    fn next(&mut self) -> Result<Token<'a>> {
        let Some(&first) = self.bytes.get(self.at) else {
            return Ok(Token::End);
        };
        match first {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | b'%' => {
                self.at += 1;
                let rest = self.take(is_word).len();
                Ok(Token::Word(&self.source[self.at - rest - 1..self.at]))
            }
            b'.' => {
                self.at += 1;
                let start = self.at;
                loop {
                    self.take(is_word);
                    if self.peek(0) == b':' && self.peek(1) == b':' && is_word(self.peek(2)) {
                        self.at += 2;
                    } else {
                        break;
                    }
                }
                if start == self.at {
                    return error(self.line, "a dot without a name");
                }
                Ok(Token::Dot(&self.source[start..self.at]))
            }
            b'0'..=b'9' => self.number(),
            b'"' => {
                self.at += 1;
                let start = self.at;
                while self.peek(0) != b'"' {
                    if self.at >= self.bytes.len() || self.peek(0) == b'\n' {
                        return error(self.line, "a string without an end");
                    }
                    self.at += if self.peek(0) == b'\\' { 2 } else { 1 };
                }
                let end = self.at.min(self.bytes.len());
                self.at += 1;
                match self.source.get(start..end) {
                    Some(text) => Ok(Token::Text(text)),
                    None => error(self.line, "a string without an end"),
                }
            }
            b',' | b';' | b':' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'<' | b'>' | b'+'
            | b'-' | b'*' | b'/' | b'=' | b'@' | b'!' | b'|' | b'&' | b'^' | b'~' | b'?' => {
                self.at += 1;
                Ok(Token::Punct(first))
            }
            _ => {
                let character = self.source[self.at..].chars().next().unwrap_or('?');
                error(self.line, format!("unexpected character {character:?}"))
            }
        }
    }

    fn number(&mut self) -> Result<Token<'a>> {
        let line = self.line;
        let out_of_range = |_| super::Error {
            line,
            message: "a number out of range".into(),
        };
        let prefix = (self.peek(0), self.peek(1) | 0x20);
        let (radix, skip) = match prefix {
            (b'0', b'f') => {
                self.at += 2;
                let digits = self.take(|c| c.is_ascii_hexdigit());
                let bits = u32::from_str_radix(digits, 16).map_err(out_of_range)?;
                return Ok(Token::F32(bits));
            }
            (b'0', b'd') => {
                self.at += 2;
                let digits = self.take(|c| c.is_ascii_hexdigit());
                let bits = u64::from_str_radix(digits, 16).map_err(out_of_range)?;
                return Ok(Token::F64(bits));
            }
            (b'0', b'x') => (16, 2),
            (b'0', b'b') => (2, 2),
            _ => (10, 0),
        };
        let start = self.at;
        self.at += skip;
        let digits = self.take(|c| c.is_ascii_hexdigit() && (radix == 16 || c.is_ascii_digit()));
        if radix == 10 {
            let fraction = self.peek(0) == b'.' && self.peek(1).is_ascii_digit();
            let exponent = self.peek(0) | 0x20 == b'e';
            if fraction || exponent {
                if fraction {
                    self.at += 1;
                    self.take(|c| c.is_ascii_digit());
                }
                if self.peek(0) | 0x20 == b'e' {
                    self.at += 1;
                    if matches!(self.peek(0), b'+' | b'-') {
                        self.at += 1;
                    }
                    self.take(|c| c.is_ascii_digit());
                }
                let text = &self.source[start..self.at];
                return match text.parse() {
                    Ok(value) => Ok(Token::Decimal(value, text)),
                    Err(_) => error(line, format!("not a number: {text}")),
                };
            }
        }
        let octal = radix == 10 && digits.len() > 1 && digits.starts_with('0');
        let radix = if octal { 8 } else { radix };
        let value = u64::from_str_radix(digits, radix).map_err(out_of_range)?;
        let unsigned = self.peek(0) | 0x20 == b'u';
        if unsigned {
            self.at += 1;
        }
        Ok(Token::Int(value, unsigned))
    }
}

fn is_word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'_' | b'$' | b'%')
}
