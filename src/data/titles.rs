//! Titles as a stream, for embedding more products than fit in memory.

use super::catalogue::Item;
use super::jsonl::{self, Lines};
use super::{DataError, Result};
use std::io::Read;
use std::path::Path;

const EXAMPLE: &str = r#"{"id": "…", "title": "…"}"#;

/// How titles and queries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TitleFormat {
    /// JSON Lines of `id` and `title`.
    Json,
    /// One title a line; its id is the line's number, from 1.
    Plain,
    /// [`TitleFormat::Json`] where the first line that is not blank starts with `{`, else plain.
    Auto,
}

impl TitleFormat {
    /// What [`TitleFormat::Auto`] is where the first line is `line`.
    pub(super) fn resolve(self, line: &str) -> TitleFormat {
        match self {
            TitleFormat::Auto if line.starts_with('{') => TitleFormat::Json,
            TitleFormat::Auto => TitleFormat::Plain,
            known => known,
        }
    }
}

/// An iterator over the products of a file or pipe. Blank lines are skipped. Ids are not checked for
/// duplicates, which would need memory for all of them.
pub struct Titles {
    lines: Lines,
    format: TitleFormat,
    line: usize,
    failed: bool,
}

impl Titles {
    /// The titles of the file `path`; of the standard input where it is `-`.
    pub fn open(path: &Path, format: TitleFormat) -> Result<Titles> {
        Ok(Titles::from_lines(Lines::open(path)?, format))
    }

    /// The titles of `reader`; `path` is what errors call it.
    pub fn new(reader: impl Read + 'static, path: &Path, format: TitleFormat) -> Titles {
        Titles::from_lines(Lines::new(reader, path), format)
    }

    fn from_lines(lines: Lines, format: TitleFormat) -> Titles {
        Titles {
            lines,
            format,
            line: 0,
            failed: false,
        }
    }

    /// What errors call the file or pipe.
    pub fn path(&self) -> &Path {
        self.lines.path()
    }

    /// The line, from 1, of the item that came last.
    pub fn line(&self) -> usize {
        self.line
    }

    fn read(&mut self) -> Result<Option<Item>> {
        let Some((line, text)) = self.lines.next_line()? else {
            return Ok(None);
        };
        self.line = line;
        self.format = self.format.resolve(text);
        if self.format == TitleFormat::Plain {
            return Ok(Some(Item {
                id: line.to_string(),
                title: text.to_string(),
            }));
        }
        let item = jsonl::parse::<Item>(text, EXAMPLE).and_then(|item| {
            jsonl::check_id(&item.id)?;
            jsonl::check_text("title", &item.title)?;
            Ok(item)
        });
        item.map(Some)
            .map_err(|message| DataError::line(self.lines.path(), line, message))
    }
}

impl Iterator for Titles {
    type Item = Result<Item>;

    /// The next product; after an error, none.
    fn next(&mut self) -> Option<Result<Item>> {
        if self.failed {
            return None;
        }
        let item = self.read();
        self.failed = item.is_err();
        item.transpose()
    }
}
