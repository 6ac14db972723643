//! Lines of text and JSON, with errors that name file and line.

use super::{DataError, Result};
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The lines of a UTF-8 text that are not blank, with their numbers (from 1). A byte order mark at
/// the start and carriage returns at line ends are dropped.
pub struct Lines {
    path: PathBuf,
    reader: BufReader<Box<dyn Read>>,
    line: usize,
    buffer: Vec<u8>,
}

impl Lines {
    /// The lines of the file `path`; of the standard input where it is `-`.
    pub fn open(path: &Path) -> Result<Lines> {
        if path == Path::new("-") {
            return Ok(Lines::new(std::io::stdin(), Path::new("<stdin>")));
        }
        let file = File::open(path).map_err(DataError::io("open", path))?;
        Ok(Lines::new(file, path))
    }

    /// The lines of `reader`; `path` is what errors call it.
    pub fn new(reader: impl Read + 'static, path: &Path) -> Lines {
        Lines {
            path: path.to_path_buf(),
            reader: BufReader::with_capacity(1 << 18, Box::new(reader)),
            line: 0,
            buffer: Vec::new(),
        }
    }

    /// What errors call the text.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error on line `line` of this text.
    pub fn error(&self, line: usize, message: impl Into<String>) -> DataError {
        DataError::line(&self.path, line, message)
    }

    /// The next line that is not blank, without white space around it.
    pub fn next_line(&mut self) -> Result<Option<(usize, &str)>> {
        loop {
            self.buffer.clear();
            self.line += 1;
            let read = self.reader.read_until(b'\n', &mut self.buffer);
            if read.map_err(DataError::io("read", &self.path))? == 0 {
                return Ok(None);
            }
            if self.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.buffer.drain(..3);
            }
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        match std::str::from_utf8(&self.buffer) {
            Ok(text) => Ok(Some((self.line, text.trim()))),
            Err(error) => Err(self.error(
                self.line,
                format!("byte {} is not UTF-8 text", error.valid_up_to() + 1),
            )),
        }
    }
}

/// Reads `text`, one JSON object, as a `T`. The error says what is wrong; `example` shows what was
/// expected.
pub fn parse<T: DeserializeOwned>(text: &str, example: &str) -> std::result::Result<T, String> {
    serde_json::from_str(text).map_err(|error| {
        let column = error.column();
        let full = error.to_string();
        // The position is said once, by the caller's line and our column.
        let what = full.split(" at line ").next().unwrap_or(&full);
        match error.classify() {
            serde_json::error::Category::Data => format!("{what}; expected {example}"),
            _ => format!("broken JSON at column {column}: {what}; expected {example}"),
        }
    })
}

/// Why `id` cannot name a query or product, if so: it must stand alone in a TREC file.
pub(crate) fn check_id(id: &str) -> std::result::Result<(), String> {
    if id.is_empty() {
        return Err("`id` is empty; expected a name without white space".into());
    }
    // A byte order mark, U+FEFF, would be dropped where the id starts a file.
    if id.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}') {
        return Err(format!(
            "`id` {id:?} holds white space; expected a name without"
        ));
    }
    Ok(())
}

/// Why `value` cannot be the text of field `field`, if so.
pub(crate) fn check_text(field: &str, value: &str) -> std::result::Result<(), String> {
    if value.trim().is_empty() {
        return Err(format!("`{field}` is empty; expected some text"));
    }
    Ok(())
}
