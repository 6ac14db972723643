//! What can be wrong with a file.

use std::io;
use std::path::{Path, PathBuf};

/// An error of a data file. Its text is one line that names the file, the line where there is one,
/// what is wrong and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system refused: no such file, no permission, disk full.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A line of a text file is not what its format asks for.
    #[error("{}:{line}: {message}", path.display())]
    Line {
        path: PathBuf,
        line: usize,
        message: String,
    },
    /// A file as a whole is not what its format asks for.
    #[error("{}: {message}", path.display())]
    File { path: PathBuf, message: String },
}

impl DataError {
    /// For `map_err`: the operating system's error on `path` while doing `action` ("read", "write").
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataError {
        let path = path.to_path_buf();
        move |source| DataError::Io {
            action,
            path,
            source,
        }
    }

    /// Line `line` (from 1) of `path` is wrong.
    pub fn line(path: &Path, line: usize, message: impl Into<String>) -> DataError {
        DataError::Line {
            path: path.to_path_buf(),
            line,
            message: message.into(),
        }
    }

    /// The file `path` is wrong.
    pub fn file(path: &Path, message: impl Into<String>) -> DataError {
        DataError::File {
            path: path.to_path_buf(),
            message: message.into(),
        }
    }
}
