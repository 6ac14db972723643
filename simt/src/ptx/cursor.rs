//! The parser's place among the tokens of a text.

use super::expression::describe;
use super::lexer::{Spanned, Token};
use super::{Result, error};
use std::collections::HashMap;

/// The parser's place in the text.
pub(super) struct Parser<'a> {
    pub(super) tokens: Vec<Spanned<'a>>,
    pub(super) at: usize,
    /// Bytes of an element of each array that has been declared.
    pub(super) strides: HashMap<&'a str, u32>,
}

impl<'a> Parser<'a> {
    pub(super) fn peek_at(&self, ahead: usize) -> Token<'a> {
        let last = self.tokens.len() - 1;
        self.tokens[(self.at + ahead).min(last)].token
    }

    pub(super) fn peek(&self) -> Token<'a> {
        self.peek_at(0)
    }

    pub(super) fn line(&self) -> u32 {
        self.tokens[self.at.min(self.tokens.len() - 1)].line
    }

    pub(super) fn skip(&mut self, count: usize) {
        self.at = (self.at + count).min(self.tokens.len() - 1);
    }

    pub(super) fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.skip(1);
        token
    }

    pub(super) fn is_punct_at(&self, ahead: usize, c: u8) -> bool {
        self.peek_at(ahead) == Token::Punct(c)
    }

    /// Passes `c` where it is next.
    pub(super) fn accept(&mut self, c: u8) -> bool {
        let found = self.is_punct_at(0, c);
        if found {
            self.skip(1);
        }
        found
    }

    pub(super) fn accept_dot(&mut self, name: &str) -> bool {
        let found = self.peek() == Token::Dot(name);
        if found {
            self.skip(1);
        }
        found
    }

    pub(super) fn punct(&mut self, c: u8) -> Result<()> {
        if self.accept(c) {
            return Ok(());
        }
        self.unexpected(&format!("`{}`", c as char))
    }

    pub(super) fn word(&mut self) -> Result<&'a str> {
        match self.peek() {
            Token::Word(word) => {
                self.skip(1);
                Ok(word)
            }
            _ => self.unexpected("a name"),
        }
    }

    pub(super) fn unexpected<T>(&self, expected: &str) -> Result<T> {
        let found = describe(self.peek());
        error(self.line(), format!("expected {expected}, found {found}"))
    }
}
