//! An index on disk: a folder with the unit embeddings of all items, and optionally a graph for
//! approximate search.
//!
//! `items.npy` f32 `[items, hidden]`, `items.ids`, `items.json` (which model; see
//! [`EmbeddingSet`]), and `approximate.usearch` with `approximate.json` where a graph was built. The
//! folder is replaced as a whole, so the files always belong together.

use super::approximate::{ApproximateIndex, Graph};
use super::trec::RunEntry;
use super::{Result, RetrieveError, Scored};
use crate::data::embeddings::{EmbeddingSet, EmbeddingWriter, Origin};
use crate::data::{DataError, replace_folder};
use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Rows normalised and written at a time.
const CHUNK: usize = 1 << 14;

/// An opened index.
#[derive(Debug)]
pub struct Index {
    folder: PathBuf,
    items: EmbeddingSet,
}

impl Index {
    /// Writes the index `folder` of `embeddings`, scaled to unit length; with a graph where `graph`
    /// says how. What was there is replaced once the new index is complete.
    ///
    /// # Errors
    /// [`RetrieveError`] naming the id that is there twice, the item whose embedding is zero or not
    /// finite, or the file that cannot be written; a folder that holds anything but an index.
    pub fn create(
        folder: &Path,
        embeddings: &EmbeddingSet,
        graph: Option<&Graph>,
    ) -> Result<Index> {
        Index::check_replaceable(folder)?;
        check_unique(embeddings)?;
        replace_folder(folder, |folder| -> Result<()> {
            let items = write_unit_rows(folder, embeddings)?;
            if let Some(graph) = graph {
                let (hidden, rows) = (items.origin.hidden, items.matrix.data());
                ApproximateIndex::build(hidden, rows, graph)?.save(folder)?;
            }
            Ok(())
        })?;
        Index::open(folder)
    }

    /// Errors unless [`Index::create`] may write `folder`: it is replaced as a whole, so it must hold
    /// nothing but an index, or not be there.
    pub fn check_replaceable(folder: &Path) -> Result<()> {
        const OURS: [&str; 5] = [
            "items.npy",
            "items.ids",
            "items.json",
            "approximate.usearch",
            "approximate.json",
        ];
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(DataError::io("replace", folder)(error).into()),
        };
        for entry in entries {
            let name = entry.map_err(DataError::io("read", folder))?.file_name();
            if !OURS.iter().any(|ours| name == *ours) {
                let message =
                    format!("the folder holds {name:?}; expected a new, empty or index folder");
                return Err(DataError::file(folder, message).into());
            }
        }
        Ok(())
    }

    /// Opens the index `folder`; the embeddings are mapped, not read.
    ///
    /// # Errors
    /// [`RetrieveError`] naming the file that is absent or wrong.
    pub fn open(folder: &Path) -> Result<Index> {
        Ok(Index {
            folder: folder.to_path_buf(),
            items: EmbeddingSet::open(&items_path(folder))?,
        })
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.items.ids.len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.items.ids.is_empty()
    }

    /// Which model made the embeddings.
    pub fn origin(&self) -> &Origin {
        &self.items.origin
    }

    /// Id of every row.
    pub fn ids(&self) -> &[String] {
        &self.items.ids
    }

    /// Unit embeddings `[items, hidden]`.
    pub fn rows(&self) -> &[f32] {
        self.items.matrix.data()
    }

    /// Errors unless queries embedded by `origin` can be searched here.
    pub fn check_origin(&self, origin: &Origin) -> Result<()> {
        if self.origin() == origin {
            return Ok(());
        }
        let Origin { hidden, model } = self.origin();
        Err(RetrieveError::Embedding(format!(
            "{}: made by model {model} ({hidden} values a row), the queries by {} ({}); expected the \
             same model: index again",
            self.folder.display(),
            origin.model,
            origin.hidden
        )))
    }

    /// The graph for approximate search, `None` where the index has none.
    ///
    /// # Errors
    /// [`RetrieveError`] naming the file that is wrong or of another index.
    pub fn approximate(&self) -> Result<Option<ApproximateIndex>> {
        ApproximateIndex::open(&self.folder, self.len(), self.origin().hidden)
    }

    /// A query's hits with their ids, for a run.
    pub fn run_entries(&self, hits: &[Scored]) -> Vec<RunEntry> {
        let entry = |hit: &Scored| RunEntry {
            id: self.items.ids[hit.index as usize].clone(),
            score: hit.score,
        };
        hits.iter().map(entry).collect()
    }
}

/// A run names every document once, so an index does too.
fn check_unique(embeddings: &EmbeddingSet) -> Result<()> {
    let mut seen = HashSet::with_capacity(embeddings.ids.len());
    match embeddings.ids.iter().find(|id| !seen.insert(id.as_str())) {
        None => Ok(()),
        Some(id) => Err(RetrieveError::Embedding(format!(
            "{}: item `{id}` is there twice; expected once",
            embeddings.matrix.path().display()
        ))),
    }
}

fn items_path(folder: &Path) -> PathBuf {
    folder.join("items.npy")
}

fn write_unit_rows(folder: &Path, embeddings: &EmbeddingSet) -> Result<EmbeddingSet> {
    let hidden = embeddings.origin.hidden;
    let origin = embeddings.origin.clone();
    let mut writer = EmbeddingWriter::create_or_resume(&items_path(folder), origin)?;
    let rows = embeddings.matrix.data();
    for (ids, rows) in embeddings
        .ids
        .chunks(CHUNK)
        .zip(rows.chunks(CHUNK * hidden))
    {
        let unit = unit_rows(hidden, rows).map_err(|row| {
            let path = embeddings.matrix.path().display();
            RetrieveError::Embedding(format!(
                "{path}: the embedding of `{}` is zero or not finite; expected a direction",
                ids[row]
            ))
        })?;
        writer.append(ids, &unit)?;
    }
    Ok(writer.finish()?)
}

/// `rows` `[rows, hidden]` scaled to length 1; else the row that has no direction.
pub(super) fn unit_rows(hidden: usize, rows: &[f32]) -> std::result::Result<Vec<f32>, usize> {
    let mut unit = rows.to_vec();
    for (at, row) in unit.chunks_exact_mut(hidden).enumerate() {
        // In f64 neither squares nor their sum overflow.
        let square: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        if !(square > 0.0 && square.is_finite()) {
            return Err(at);
        }
        let scale = 1.0 / square.sqrt();
        for x in row {
            *x = (f64::from(*x) * scale) as f32;
        }
    }
    Ok(unit)
}

/// Queries `[queries, hidden]` scaled to length 1.
pub(super) fn unit_queries(hidden: usize, queries: &[f32]) -> Result<Vec<f32>> {
    if !queries.len().is_multiple_of(hidden) {
        return Err(RetrieveError::Embedding(format!(
            "queries hold {} values; expected a multiple of {hidden}, the index's embedding size",
            queries.len()
        )));
    }
    unit_rows(hidden, queries).map_err(|row| {
        RetrieveError::Embedding(format!(
            "the embedding of query {} is zero or not finite; expected a direction",
            row + 1
        ))
    })
}
