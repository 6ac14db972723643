//! PTX, the virtual instruction set (PTX ISA 6.0 to 9.x): from text to a decoded program.
//!
//! [`lexer`] → [`parser`] → [`ast`] is only about how the language is written; [`decode`] gives names,
//! types and instructions their meaning, and refuses what this machine does not have.

pub mod ast;
mod cursor;
mod declarator;
pub mod decode;
mod expression;
pub mod lexer;
pub mod link;
pub mod parser;
mod statement;
pub mod types;

use std::fmt;

/// What is wrong with a PTX text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Line of the PTX text, from 1.
    pub line: u32,
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for Error {}

/// The result of a step from text to program.
pub type Result<T> = std::result::Result<T, Error>;

/// An [`Error`] as the result of a function.
pub fn error<T>(line: u32, message: impl Into<String>) -> Result<T> {
    Err(Error {
        line,
        message: message.into(),
    })
}
