//! `simt profile FILE [--lines N]`

use super::{Error, Result};
use simt::count::record::Line;
use simt::count::table;
use std::ffi::OsString;
use std::io::Write;

/// Lines that are shown of each record.
const LINES: usize = 10;

/// Prints the records of a file.
///
/// # Errors
/// Wrong usage, a file that cannot be read, or a line that is no record.
pub fn profile(arguments: &[OsString]) -> Result<()> {
    let mut path = None;
    let mut lines = LINES;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--lines" {
            let count = rest.next().and_then(|n| n.to_str()?.parse().ok());
            lines = count.ok_or_else(|| Error::Usage("--lines needs a number".to_owned()))?;
        } else if path.replace(argument).is_some() {
            return Err(Error::Usage("expected one file".to_owned()));
        }
    }
    let path = path.ok_or_else(|| Error::Usage("expected a file of records".to_owned()))?;
    let shown = path.to_string_lossy();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::Failed(format!("{shown}: {error}"), 1))?;
    let mut out = std::io::stdout().lock();
    for (index, line) in text.lines().enumerate() {
        let line = Line::parse(line)
            .map_err(|error| Error::Failed(format!("{shown}:{}: {error}", index + 1), 1))?;
        let shown = match line {
            Line::Launch(record) => table::table(&record, lines),
            Line::Range(record) => table::range(&record),
        };
        // Who closes the pipe has seen enough.
        if writeln!(out, "{shown}").is_err() {
            return Ok(());
        }
    }
    Ok(())
}
