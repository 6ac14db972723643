//! A bench executable, as `cargo bench --no-run` builds it: what it can measure, and one short run.

use crate::bench::criterion::{Folder, Measured};
use crate::data::DataError;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Samples of a run: criterion's fewest, and as many as leave each one long against the clock's error
/// and short against the slices of time that processes take turns with.
const SAMPLES: [usize; 2] = [10, 200];
/// Resamples of criterion's own statistics, which nobody reads here.
const RESAMPLES: &str = "1000";

/// A bench executable.
#[derive(Clone, Debug)]
pub struct Executable {
    path: PathBuf,
}

impl Executable {
    /// The executable `path`, which is run in the current folder.
    ///
    /// # Errors
    /// [`DataError::Io`] where there is no such file.
    pub fn new(path: &Path) -> Result<Executable, DataError> {
        let path = path.canonicalize().map_err(DataError::io("open", path))?;
        Ok(Executable { path })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of its benchmarks.
    ///
    /// # Errors
    /// [`DataError`] naming the executable where it cannot be run, fails, or lists no benchmarks.
    pub fn benchmarks(&self) -> Result<Vec<String>, DataError> {
        let mut command = Command::new(&self.path);
        command.args(["--bench", "--list", "--format", "terse"]);
        let listed = self.output(command)?;
        let name = |line: &str| line.strip_suffix(": benchmark").map(str::to_string);
        let names: Vec<String> = listed.lines().filter_map(name).collect();
        match names.is_empty() {
            true => Err(self.error(
                "lists no benchmarks; expected a criterion executable, as `cargo bench --no-run` \
                 builds",
            )),
            false => Ok(names),
        }
    }

    /// How many samples of benchmark `id` fit into `time`, from one run with the fewest.
    ///
    /// # Errors
    /// As for [`Executable::measure`].
    pub fn samples(&self, id: &str, time: Duration) -> Result<usize, DataError> {
        let [fewest, most] = SAMPLES;
        let iteration = self.measure(id, time, fewest)?.median();
        let fit = time.as_secs_f64() * 1e9 / iteration;
        Ok((fit as usize).clamp(fewest, most))
    }

    /// Measures benchmark `id` for about `time`, after a third of it to warm up. What the benchmark's
    /// group sets for itself, a measuring time or the number of samples, holds instead.
    ///
    /// # Errors
    /// As for [`Executable::benchmarks`]; and where a folder for the results cannot be made or read.
    pub fn measure(&self, id: &str, time: Duration, samples: usize) -> Result<Measured, DataError> {
        let home = tempfile::tempdir().map_err(DataError::io("write", &std::env::temp_dir()))?;
        let mut command = Command::new(&self.path);
        command
            .env("CRITERION_HOME", home.path())
            .args(["--bench", "--exact", "--noplot", "--nresamples", RESAMPLES])
            .arg("--sample-size")
            .arg(samples.to_string())
            .arg("--warm-up-time")
            .arg((time.as_secs_f64() / 3.0).to_string())
            .arg("--measurement-time")
            .arg(time.as_secs_f64().to_string())
            .args(["--", id]);
        self.output(command)?;
        let mut measured = Folder::last_run(home.path()).read()?;
        match (measured.pop(), measured.is_empty()) {
            (Some(one), true) if one.id == id => Ok(one),
            _ => Err(self.error(&format!("measured something else than `{id}`"))),
        }
    }

    fn output(&self, mut command: Command) -> Result<String, DataError> {
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(DataError::io("run", &self.path))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().find(|l| !l.trim().is_empty());
            let said = said.unwrap_or("nothing on stderr");
            let message = format!(
                "ended with {}: {said}; expected a criterion executable",
                output.status
            );
            return Err(self.error(&message));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn error(&self, message: &str) -> DataError {
        DataError::file(&self.path, message)
    }
}
