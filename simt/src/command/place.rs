//! A folder in which the loader finds the libraries under the names of NVIDIA's.

use super::{Error, Result};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// Names under which programs look for the driver library.
const DRIVER: [&str; 2] = ["libcuda.so", "libcuda.so.1"];
/// Name under which programs look for the runtime library, and that library's, which lies beside the driver's
/// if it was built.
const RUNTIME: (&str, &str) = ("libcudart.so.12", "libsimt_runtime.so");

/// The library: beside this program, or where cargo and installers put it.
///
/// # Errors
/// It is in none of these places.
pub fn library() -> Result<PathBuf> {
    let failed = |problem: String| Error::Failed(problem, 1);
    let program = std::env::current_exe().map_err(|e| failed(format!("this program: {e}")))?;
    let folder = program.parent().unwrap_or(Path::new("/"));
    // Of a program that cargo has tested, the second may be newer: of a library that others depend on cargo puts no
    // copy beside the program then.
    let built = [folder.join("libsimt.so"), folder.join("deps/libsimt.so")];
    let written = |place: &PathBuf| place.metadata().and_then(|m| m.modified()).ok();
    let newest = built.iter().rev().max_by_key(|place| written(place));
    let installed = folder.join("../lib/libsimt.so");
    let mut places = newest.into_iter().chain([&installed]);
    let found = places.find(|place| place.is_file());
    let found = found.ok_or_else(|| {
        failed(format!(
            "no libsimt.so in {}: build it with cargo build --release -p simt",
            folder.display()
        ))
    })?;
    found
        .canonicalize()
        .map_err(|e| failed(format!("{}: {e}", found.display())))
}

/// A folder with links to the library, made if it is not there: beside the library, or, where that
/// cannot be written, in the folder for temporary files.
///
/// # Errors
/// Neither can be written.
pub fn folder(library: &Path) -> Result<PathBuf> {
    let beside = library.with_file_name("simt-driver");
    if fill(&beside, library).is_ok() {
        return Ok(beside);
    }
    let own = std::fs::metadata("/proc/self").map(|m| m.uid());
    let owner = own.map_err(|e| Error::Failed(format!("/proc/self: {e}"), 1))?;
    let elsewhere = std::env::temp_dir().join(format!("simt-driver-{owner}"));
    let made = fill(&elsewhere, library).and_then(|()| {
        // Somebody else's folder may hold somebody else's library.
        match std::fs::symlink_metadata(&elsewhere)? {
            found if found.is_dir() && found.uid() == owner => Ok(()),
            _ => Err(std::io::Error::other("it belongs to somebody else")),
        }
    });
    match made {
        Ok(()) => Ok(elsewhere),
        Err(error) => Err(Error::Failed(
            format!("{}: {error}", elsewhere.display()),
            1,
        )),
    }
}

fn fill(folder: &Path, library: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for name in DRIVER {
        link(&folder.join(name), library)?;
    }
    let (name, runtime) = RUNTIME;
    let runtime = library.with_file_name(runtime);
    if runtime.is_file() {
        link(&folder.join(name), &runtime)?;
    }
    Ok(())
}

fn link(link: &Path, library: &Path) -> std::io::Result<()> {
    if std::fs::read_link(link).is_ok_and(|to| to == library) {
        return Ok(());
    }
    // Renamed into place, so that another process never finds it missing.
    let fresh = link.with_extension(format!("{}", std::process::id()));
    symlink(library, &fresh)?;
    std::fs::rename(&fresh, link)
}
