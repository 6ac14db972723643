//! One file per command.

pub mod options;
pub mod place;
pub mod profile;
pub mod run;

/// Why a command did not succeed.
#[derive(Debug)]
pub enum Error {
    /// It was called wrongly.
    Usage(String),
    /// It failed, and the process ends with the code.
    Failed(String, u8),
}

/// What a command gives.
pub type Result<T> = std::result::Result<T, Error>;
