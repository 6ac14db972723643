//! Query-CoT-item triplets, the training and test data (Tang et al., section 3.2).

use super::jsonl::{self, Lines};
use super::{Catalogue, DataError, Result};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::path::Path;

const EXAMPLE: &str = r#"{"id": "…", "kind": "…", "query": "…", "cot": "…", "items": ["…"]} (`kind`, `cot` optional)"#;

/// The kind of queries that match their products' titles by their words; every other kind is hard.
pub const PLAIN: &str = "plain";

/// A query, the thought that bridges it to its products, and these products.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Triplet {
    /// Its name in TREC files; no white space.
    pub id: String,
    /// The kind of query, any word: `qa`, `alternative`, `negative`, `knowledge`, `plain`, …;
    /// `other` where the file does not say.
    #[serde(default = "other")]
    pub kind: String,
    /// What the shopper typed; not empty.
    pub query: String,
    /// The gold thought: keywords, comma-separated. Query-item pairs for RL have none.
    #[serde(default)]
    pub cot: Option<String>,
    /// A longer thought, for larger budgets.
    #[serde(default)]
    pub cot_long: Option<String>,
    /// Ids of every relevant product; at least one, each once.
    pub items: Vec<String>,
    /// How relevant every product is, in the order of `items`; absent: 1 each.
    #[serde(default)]
    pub grades: Option<Vec<u32>>,
    /// Test queries: whether training holds queries of the same product family.
    #[serde(default)]
    pub block_in_training: Option<bool>,
}

fn other() -> String {
    "other".to_string()
}

impl Triplet {
    /// Whether the query is of any kind but [`PLAIN`].
    pub fn is_hard(&self) -> bool {
        self.kind != PLAIN
    }
}

/// Reads triplets from JSON Lines; fields not in [`Triplet`] are ignored. With a catalogue, every
/// item must be in it.
///
/// # Errors
/// [`DataError`] naming file and line: broken JSON, absent or empty field, an id that came before,
/// an item twice or not in the catalogue, text that is not UTF-8; or a file without triplets.
pub fn read_triplets(path: &Path, catalogue: Option<&Catalogue>) -> Result<Vec<Triplet>> {
    let mut lines = Lines::open(path)?;
    let mut triplets = Vec::new();
    let mut first_lines = HashMap::new();
    while let Some((line, text)) = lines.next_line()? {
        let triplet = jsonl::parse::<Triplet>(text, EXAMPLE)
            .and_then(|triplet| check(&triplet, catalogue).map(|()| triplet))
            .map_err(|message| DataError::line(path, line, message))?;
        if let Some(first) = first_lines.insert(triplet.id.clone(), line) {
            let message = format!(
                "id `{}` is already on line {first}; expected each id once",
                triplet.id
            );
            return Err(DataError::line(path, line, message));
        }
        triplets.push(triplet);
    }
    if triplets.is_empty() {
        return Err(DataError::file(
            path,
            "no triplets; expected one JSON object a line",
        ));
    }
    Ok(triplets)
}

fn check(triplet: &Triplet, catalogue: Option<&Catalogue>) -> std::result::Result<(), String> {
    jsonl::check_id(&triplet.id)?;
    jsonl::check_text("kind", &triplet.kind)?;
    jsonl::check_text("query", &triplet.query)?;
    for (field, cot) in [("cot", &triplet.cot), ("cot_long", &triplet.cot_long)] {
        if let Some(cot) = cot {
            jsonl::check_text(field, cot)?;
        }
    }
    if triplet.items.is_empty() {
        return Err("`items` is empty; expected at least one product id".into());
    }
    if let Some(grades) = &triplet.grades
        && grades.len() != triplet.items.len()
    {
        return Err(format!(
            "`grades` has {} numbers; expected one for each of the {} items",
            grades.len(),
            triplet.items.len()
        ));
    }
    let mut seen = HashSet::new();
    for item in &triplet.items {
        if !seen.insert(item) {
            return Err(format!("item `{item}` is there twice; expected once"));
        }
        if catalogue.is_some_and(|catalogue| catalogue.index_of(item).is_none()) {
            return Err(format!(
                "item `{item}` is not in the catalogue; expected one of its ids"
            ));
        }
    }
    Ok(())
}
