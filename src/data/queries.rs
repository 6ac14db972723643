//! Queries to search for, without judgements.

use super::jsonl::{self, Lines};
use super::titles::TitleFormat;
use super::{DataError, Result};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

const EXAMPLE: &str = r#"{"id": "…", "query": "…"}"#;

/// A query.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Query {
    /// Its name in TREC files; no white space.
    pub id: String,
    /// What the shopper typed; not empty.
    pub query: String,
    /// The kind of query, where the file says.
    #[serde(default)]
    pub kind: Option<String>,
    /// Where it stands in its file, from 1.
    #[serde(skip)]
    pub line: usize,
}

/// Reads queries: JSON Lines of `id` and `query` where the first line that is not blank starts with
/// `{` (triplets are such lines; other fields are ignored), else one query a line whose id is the
/// line's number. The standard input where `path` is `-`.
///
/// # Errors
/// [`DataError`] naming file and line: broken JSON, absent or empty field, an id that came before,
/// text that is not UTF-8; or a file without queries.
pub fn read_queries(path: &Path) -> Result<Vec<Query>> {
    let mut lines = Lines::open(path)?;
    let mut format = TitleFormat::Auto;
    let mut queries = Vec::new();
    let mut first_lines = HashMap::new();
    while let Some((line, text)) = lines.next_line()? {
        format = format.resolve(text);
        let query = match format {
            TitleFormat::Json => parse(text, line),
            _ => Ok(Query {
                id: line.to_string(),
                query: text.to_string(),
                kind: None,
                line,
            }),
        };
        let query = query.map_err(|message| lines.error(line, message))?;
        if let Some(first) = first_lines.insert(query.id.clone(), line) {
            let message = format!(
                "id `{}` is already on line {first}; expected each id once",
                query.id
            );
            return Err(lines.error(line, message));
        }
        queries.push(query);
    }
    if queries.is_empty() {
        return Err(DataError::file(
            lines.path(),
            "no queries; expected one a line",
        ));
    }
    Ok(queries)
}

fn parse(text: &str, line: usize) -> std::result::Result<Query, String> {
    let query: Query = jsonl::parse(text, EXAMPLE)?;
    jsonl::check_id(&query.id)?;
    jsonl::check_text("query", &query.query)?;
    Ok(Query { line, ..query })
}
