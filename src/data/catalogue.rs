//! The products.

use super::titles::{TitleFormat, Titles};
use super::{DataError, Result};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

/// A product.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Item {
    /// Its name in triplets, index and TREC files; no white space.
    pub id: String,
    /// What is embedded; not empty.
    pub title: String,
}

/// All products, in the order of their file.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    items: Vec<Item>,
    by_id: HashMap<String, usize>,
}

impl Catalogue {
    /// The products in file order.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Number of products.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are no products.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Position of the product `id` in [`Catalogue::items`].
    pub fn index_of(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// The product `id`.
    pub fn get(&self, id: &str) -> Option<&Item> {
        self.index_of(id).map(|index| &self.items[index])
    }
}

/// Reads a catalogue: JSON Lines of `{"id": …, "title": …}`; other fields are ignored.
///
/// # Errors
/// [`DataError`] naming file and line: broken JSON, absent or empty field, an id that came before,
/// text that is not UTF-8; or a file without products.
pub fn read_catalogue(path: &Path) -> Result<Catalogue> {
    let mut titles = Titles::open(path, TitleFormat::Json)?;
    let mut catalogue = Catalogue::default();
    let mut lines = Vec::new();
    while let Some(item) = titles.next() {
        let item = item?;
        let line = titles.line();
        if let Some(first) = catalogue
            .by_id
            .insert(item.id.clone(), catalogue.items.len())
        {
            let message = format!(
                "id `{}` is already on line {}; expected each id once",
                item.id, lines[first]
            );
            return Err(DataError::line(path, line, message));
        }
        catalogue.items.push(item);
        lines.push(line);
    }
    if catalogue.is_empty() {
        return Err(DataError::file(
            path,
            "no products; expected one JSON object a line",
        ));
    }
    Ok(catalogue)
}
