//! Embeddings on disk, written in chunks that survive a kill.
//!
//! A set named `OUT.npy` is three files: `OUT.npy`, f32 `[rows, hidden]`; `OUT.ids`, one id a line;
//! `OUT.json`, which model made them. While it is written they end in `.partial`; the header of
//! `OUT.npy.partial` counts the rows that are safely on disk, so that resuming drops what a kill cut.

use super::atomic::{parent_of, sync_folder};
use super::jsonl::{Lines, check_id};
use super::npy::{self, HEADER_BYTES, Matrix};
use super::{DataError, Result, write_atomic};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What `OUT.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Values in an embedding.
    pub hidden: usize,
    /// Fingerprint of the model and of what decides on an embedding beside it; queries must be
    /// embedded with the same.
    pub model: String,
}

/// Finished embeddings: row `i` belongs to `ids[i]`.
#[derive(Debug)]
pub struct EmbeddingSet {
    /// Which model made them.
    pub origin: Origin,
    /// Names of the rows.
    pub ids: Vec<String>,
    /// The rows `[ids, hidden]`, mapped.
    pub matrix: Matrix,
}

impl EmbeddingSet {
    /// Whether a set `npy` is there that nothing is being written over.
    pub fn is_finished(npy: &Path) -> bool {
        npy.exists() && !partial(npy).exists()
    }

    /// Opens the set `npy` (a path that ends in `.npy`).
    ///
    /// # Errors
    /// [`DataError`] naming the file that is absent, not of its format, or of another length than
    /// the others; a set whose writing did not finish.
    pub fn open(npy: &Path) -> Result<EmbeddingSet> {
        let partial = partial(npy);
        if partial.exists() {
            let message = "the embeddings are not finished; embed again to resume";
            return Err(DataError::file(&partial, message));
        }
        let matrix = Matrix::open(npy)?;
        let origin_path = npy.with_extension("json");
        let origin = read_origin(&origin_path)?;
        if origin.hidden != matrix.columns() {
            let message = format!(
                "rows hold {} values; expected {} as {} says",
                matrix.columns(),
                origin.hidden,
                origin_path.display()
            );
            return Err(DataError::file(npy, message));
        }
        let ids_path = npy.with_extension("ids");
        let ids = read_ids(&ids_path)?;
        if ids.len() != matrix.rows() {
            let message = format!(
                "{} ids; expected {}, the rows of {}",
                ids.len(),
                matrix.rows(),
                npy.display()
            );
            return Err(DataError::file(&ids_path, message));
        }
        Ok(EmbeddingSet {
            origin,
            ids,
            matrix,
        })
    }
}

/// Writes a set chunk by chunk. Dropped before a first row is safe, it leaves nothing behind.
pub struct EmbeddingWriter {
    npy: PathBuf,
    origin: Origin,
    ids: Vec<String>,
    rows_file: File,
    ids_file: File,
    ids_bytes: u64,
}

impl EmbeddingWriter {
    /// Starts the set `npy` (a path that ends in `.npy`), or goes on where a partial one was left.
    /// [`EmbeddingWriter::ids`] says what is already there.
    ///
    /// # Errors
    /// [`DataError`] where a partial set has another origin (delete it to start anew), is broken, or
    /// the files cannot be written.
    pub fn create_or_resume(npy: &Path, origin: Origin) -> Result<EmbeddingWriter> {
        if npy.extension().is_none_or(|extension| extension != "npy") {
            return Err(DataError::file(npy, "expected a name that ends in .npy"));
        }
        let (rows_path, ids_path) = (partial(npy), partial(&npy.with_extension("ids")));
        let origin_path = partial(&npy.with_extension("json"));
        if origin.hidden == 0 {
            return Err(DataError::file(npy, "expected at least one value a row"));
        }
        // Without rows there is nothing to go on with, whatever model began it.
        if rows_path.exists() && Matrix::open(&rows_path)?.rows() > 0 {
            check_origin(&origin_path, &origin)?;
        } else {
            write_origin(&origin_path, &origin)?;
            write_atomic(&ids_path, |_| Ok(()))?;
            // Last: from here on there is something to resume.
            npy::write(&rows_path, 0, origin.hidden, &[])?;
        }
        let rows = committed_rows(&rows_path, &origin)?;
        let ids = read_ids_until(&ids_path, rows)?;
        let ids_bytes = ids.iter().map(|id| id.len() as u64 + 1).sum();
        let open = |path: &Path| {
            let file = OpenOptions::new().write(true).open(path);
            file.map_err(DataError::io("write", path))
        };
        let rows_file = open(&rows_path)?;
        let ids_file = open(&ids_path)?;
        Ok(EmbeddingWriter {
            npy: npy.to_path_buf(),
            origin,
            ids,
            rows_file,
            ids_file,
            ids_bytes,
        })
    }

    /// Ids of the rows that are safely on disk, in order.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Appends the embeddings `rows` `[ids, hidden]` and returns when they are safe on disk.
    ///
    /// # Errors
    /// [`DataError`] where the lengths differ, an id holds white space, a value is not finite, or the
    /// files cannot be written (a full disk); the rows before stay safe.
    pub fn append<S: AsRef<str>>(&mut self, ids: &[S], rows: &[f32]) -> Result<()> {
        let hidden = self.origin.hidden;
        if rows.len() != ids.len() * hidden {
            let message = format!(
                "{} values given for {} ids of {hidden}",
                rows.len(),
                ids.len()
            );
            return Err(DataError::file(&self.npy, message));
        }
        for (id, row) in ids.iter().zip(rows.chunks_exact(hidden)) {
            let id = id.as_ref();
            check_id(id).map_err(|message| DataError::file(&self.npy, message))?;
            if row.iter().any(|value| !value.is_finite()) {
                let message = format!("embedding of `{id}` is not finite");
                return Err(DataError::file(&self.npy, message));
            }
        }
        let mut text = String::new();
        for id in ids {
            text.push_str(id.as_ref());
            text.push('\n');
        }
        self.write_chunk(ids.len(), rows, &text)
            .map_err(DataError::io("write", &partial(&self.npy)))?;
        self.ids_bytes += text.len() as u64;
        self.ids
            .extend(ids.iter().map(|id| id.as_ref().to_string()));
        Ok(())
    }

    fn write_chunk(&mut self, count: usize, rows: &[f32], ids: &str) -> io::Result<()> {
        // A chunk that failed before may have left a part of itself behind what counts.
        self.rows_file.seek(SeekFrom::Start(self.rows_bytes()))?;
        self.rows_file.write_all(bytemuck::cast_slice(rows))?;
        self.ids_file.seek(SeekFrom::Start(self.ids_bytes))?;
        self.ids_file.write_all(ids.as_bytes())?;
        self.rows_file.sync_data()?;
        self.ids_file.sync_data()?;
        // Only now the rows count.
        let header = npy::header(self.ids.len() + count, self.origin.hidden);
        self.rows_file.rewind()?;
        self.rows_file.write_all(&header)?;
        self.rows_file.sync_data()
    }

    /// Length of the partial matrix up to the last row that counts.
    fn rows_bytes(&self) -> u64 {
        (HEADER_BYTES + self.ids.len() * self.origin.hidden * 4) as u64
    }

    /// Gives the files their final names and opens the set.
    ///
    /// # Errors
    /// [`DataError`] where the files cannot be written; finishing may then be tried again.
    pub fn finish(self) -> Result<EmbeddingSet> {
        let npy = &self.npy;
        write_origin(&npy.with_extension("json"), &self.origin)?;
        write_atomic(&npy.with_extension("ids"), |out| {
            let mut out = BufWriter::new(out);
            for id in &self.ids {
                writeln!(out, "{id}")?;
            }
            out.flush()
        })?;
        // The rename comes last: while the partial matrix is there the set is not finished.
        self.rows_file
            .set_len(self.rows_bytes())
            .and_then(|()| self.rows_file.sync_all())
            .and_then(|()| fs::rename(partial(npy), npy))
            .and_then(|()| fs::remove_file(partial(&npy.with_extension("ids"))))
            .and_then(|()| fs::remove_file(partial(&npy.with_extension("json"))))
            .and_then(|()| sync_folder(&parent_of(npy)))
            .map_err(DataError::io("write", npy))?;
        EmbeddingSet::open(npy)
    }
}

impl Drop for EmbeddingWriter {
    fn drop(&mut self) {
        if self.ids.is_empty() {
            // Absent where the set was finished. What stays does no harm: it counts as no rows.
            for extension in ["npy", "ids", "json"] {
                let _ = fs::remove_file(partial(&self.npy.with_extension(extension)));
            }
        }
    }
}

fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".partial");
    PathBuf::from(name)
}

fn read_origin(path: &Path) -> Result<Origin> {
    let text = fs::read_to_string(path).map_err(DataError::io("read", path))?;
    super::jsonl::parse(&text, r#"{"hidden": …, "model": "…"}"#)
        .map_err(|message| DataError::file(path, message))
}

fn write_origin(path: &Path, origin: &Origin) -> Result<()> {
    write_atomic(path, |out| {
        serde_json::to_writer(&mut *out, origin)?;
        writeln!(out)
    })
}

fn check_origin(path: &Path, origin: &Origin) -> Result<()> {
    let found = read_origin(path)?;
    if found != *origin {
        let message = format!(
            "was begun with model {} and {} values a row; expected {} and {}: go on with that \
             model, or delete the partial files to start anew",
            found.model, found.hidden, origin.model, origin.hidden
        );
        return Err(DataError::file(path, message));
    }
    Ok(())
}

fn committed_rows(path: &Path, origin: &Origin) -> Result<usize> {
    let matrix = Matrix::open(path)?;
    if matrix.columns() != origin.hidden {
        let message = format!(
            "rows hold {} values; expected {}",
            matrix.columns(),
            origin.hidden
        );
        return Err(DataError::file(path, message));
    }
    Ok(matrix.rows())
}

fn read_ids(path: &Path) -> Result<Vec<String>> {
    read_ids_until(path, usize::MAX)
}

/// The first `rows` ids of a file; what follows in a partial file may be cut anywhere.
fn read_ids_until(path: &Path, rows: usize) -> Result<Vec<String>> {
    let mut lines = Lines::open(path)?;
    let mut ids = Vec::new();
    while ids.len() < rows {
        let Some((line, id)) = lines.next_line()? else {
            if rows == usize::MAX {
                break;
            }
            let message = format!("{} ids; expected {rows}, one a row", ids.len());
            return Err(DataError::file(path, message));
        };
        check_id(id).map_err(|message| DataError::line(path, line, message))?;
        ids.push(id.to_string());
    }
    Ok(ids)
}
