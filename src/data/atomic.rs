//! Files and folders that appear whole or not at all.
//!
//! Everything is written beside its destination, flushed to the disk, and renamed over it. Where
//! writing fails (a full disk, say), what was there before stays, and the part already written is
//! removed.

use super::{DataError, Result};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Writes the file `path` through `write`, atomically.
///
/// # Errors
/// [`DataError::Io`] naming `path`, from `write` or from the operating system; `path` is then as it was.
pub fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    write_file(path, write).map_err(DataError::io("write", path))
}

fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let parent = parent_of(path);
    let temporary = tempfile::Builder::new()
        .prefix(".partial-")
        // The mode that `File::create` would give; the umask still applies.
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(&parent)?;
    let mut out = BufWriter::with_capacity(1 << 20, temporary);
    write(&mut out)?;
    let temporary = out.into_inner().map_err(|error| error.into_error())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    sync_folder(&parent)
}

/// Writes the folder `path` through `fill`, which gets an empty folder beside it, and replaces what
/// was at `path`. Between two renames the old folder lies beside it as `.old-…`; it is never lost.
///
/// # Errors
/// What `fill` returns, or [`DataError::Io`] naming `path`; `path` is then as it was.
pub fn replace_folder<E: From<DataError>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let parent = parent_of(path);
    fs::create_dir_all(&parent).map_err(DataError::io("create", &parent))?;
    let temporary = tempfile::Builder::new()
        .prefix(".partial-")
        .permissions(fs::Permissions::from_mode(0o777))
        .tempdir_in(&parent)
        .map_err(DataError::io("write", path))?;
    fill(temporary.path())?;
    swap_in(temporary, path, &parent).map_err(DataError::io("write", path))?;
    Ok(())
}

fn swap_in(temporary: tempfile::TempDir, path: &Path, parent: &Path) -> io::Result<()> {
    sync_tree(temporary.path())?;
    let replaced = if path.exists() {
        // Kept, so that no early return can remove what may be the only copy.
        let old = tempfile::Builder::new()
            .prefix(".old-")
            .tempdir_in(parent)?
            .keep();
        fs::rename(path, old.join("folder"))?;
        Some(old)
    } else {
        None
    };
    if let Err(error) = fs::rename(temporary.path(), path) {
        if let Some(old) = replaced {
            fs::rename(old.join("folder"), path)?;
            fs::remove_dir(old)?;
        }
        return Err(error);
    }
    // Its folder has moved; there is nothing left to remove.
    let _ = temporary.keep();
    sync_folder(parent)?;
    replaced.map_or(Ok(()), fs::remove_dir_all)
}

fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_folder(folder)
}

/// Makes renames in `folder` survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The folder that holds `path`; the working folder for a bare name.
pub(crate) fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}
