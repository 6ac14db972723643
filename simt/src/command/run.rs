//! `simt run [options] -- program arguments…`

use super::{Error, Result, options, place};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Becomes the program, so that signals and its exit code are its own. Comes back only with an error.
///
/// # Errors
/// Wrong usage, no library, or the program cannot be started: code 127 if it is not there, 126 if it
/// cannot be executed, as shells say it.
pub fn run(arguments: &[OsString]) -> Result<()> {
    let options = options::parse(arguments)?;
    let library = place::library()?;
    let folder = place::folder(&library)?;
    for variable in ["SIMT_PROFILE", "SIMT_TRACE", "SIMT_CHECK_FILE"] {
        // The library appends, since a program may be several processes.
        if let Some(path) = options.setting(variable) {
            remove(Path::new(path))?;
        }
    }
    let mut paths = vec![folder];
    if let Some(others) = std::env::var_os("LD_LIBRARY_PATH") {
        paths.extend(std::env::split_paths(&others));
    }
    let paths = std::env::join_paths(paths)
        .map_err(|e| Error::Failed(format!("LD_LIBRARY_PATH: {e}"), 1))?;
    let error = Command::new(&options.program[0])
        .args(&options.program[1..])
        .env("LD_LIBRARY_PATH", paths)
        .envs(options.settings.iter().map(|(name, value)| (name, value)))
        .exec();
    let code = if error.kind() == std::io::ErrorKind::NotFound {
        127
    } else {
        126
    };
    let program = options.program[0].to_string_lossy();
    Err(Error::Failed(format!("{program}: {error}"), code))
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Failed(format!("{}: {e}", path.display()), 1))
        }
        _ => Ok(()),
    }
}
