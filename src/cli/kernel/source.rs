//! Kernel files that commands are given: a `.cu` or `.ptx` file, or a solution.
//!
//! A solution is FlashInfer-Bench's (arXiv 2601.00227): `solution.json` names the op as its definition, the
//! language and the entry point, `FILE` or `FILE::SYMBOL`; the sources lie beside it or in it.

use super::no_contract;
use crate::cli::Error;
use lrem::workbench::contracts::op_of;
use lrem::workbench::{Workspace, WorkspaceError};
use serde::Deserialize;
use std::path::{Component, Path, PathBuf};

/// What a folder has to hold to be a solution.
const SOLUTION: &str = "solution.json";

/// A kernel file and the op that it does.
pub struct KernelSource {
    /// What it is called: the path that was given, or a solution's name.
    pub name: String,
    pub op: &'static str,
    pub text: String,
    file: PathBuf,
    /// Where the sources of a solution were written out.
    _unpacked: Option<tempfile::TempDir>,
}

#[derive(Deserialize)]
struct Solution {
    name: String,
    definition: String,
    spec: Spec,
    #[serde(default)]
    sources: Vec<SourceFile>,
}

#[derive(Deserialize)]
struct Spec {
    language: String,
    entry_point: String,
}

#[derive(Deserialize)]
struct SourceFile {
    path: PathBuf,
    content: String,
}

impl KernelSource {
    /// Opens a kernel file, for `op`, which may be a kernel file of it, or else for the op that the file is
    /// named after; or a solution.
    ///
    /// # Errors
    /// Names the file or field that is wrong.
    pub fn open(path: &Path, op: Option<&str>) -> Result<KernelSource, Error> {
        let manifest = match path.is_dir() {
            true => path.join(SOLUTION),
            false => path.to_path_buf(),
        };
        if manifest.extension().is_some_and(|e| e == "json") {
            return KernelSource::solution(&manifest, op);
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = path.display().to_string();
        KernelSource::of(name, op.unwrap_or(&stem), path.to_path_buf(), None)
    }

    /// The kernels of a file in `kernels/`, named without its ending, that the program was built with.
    ///
    /// # Errors
    /// Names the ops that there are.
    pub fn built_in(name: &str) -> Result<KernelSource, Error> {
        let text = super::built_in(name)?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join(format!("{name}.cu"));
        std::fs::write(&file, text)?;
        KernelSource::of("built in".into(), name, file, Some(folder))
    }

    fn solution(manifest: &Path, op: Option<&str>) -> Result<KernelSource, Error> {
        let at = |error: String| format!("{}: {error}", manifest.display());
        let text = std::fs::read_to_string(manifest).map_err(|error| at(error.to_string()))?;
        let Solution {
            name,
            definition,
            spec,
            sources,
        } = serde_json::from_str(&text).map_err(|error| at(error.to_string()))?;
        if let Some(op) = op.filter(|op| *op != definition) {
            return Err(at(format!("the solution is of {definition}, not of {op}")).into());
        }
        let language = spec.language.to_lowercase();
        if !["cuda", "ptx"].contains(&language.as_str()) {
            return Err(at(format!(
                "spec.language is `{}`; expected CUDA or PTX",
                spec.language
            ))
            .into());
        }
        let entry = spec.entry_point.split("::").next().unwrap_or_default();
        let beside = manifest.parent().unwrap_or(Path::new("."));
        if sources.is_empty() {
            return KernelSource::of(name, &definition, beside.join(entry), None);
        }
        let folder = tempfile::tempdir()?;
        for source in &sources {
            let inside =
                |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
            if !source.path.components().all(inside) {
                return Err(at(format!(
                    "source path `{}` leaves the solution's folder",
                    source.path.display()
                ))
                .into());
            }
            let to = folder.path().join(&source.path);
            std::fs::create_dir_all(to.parent().unwrap_or(folder.path()))?;
            std::fs::write(&to, &source.content)?;
        }
        let file = folder.path().join(entry);
        if !file.is_file() {
            return Err(at(format!(
                "spec.entry_point names `{entry}`, which is none of the sources"
            ))
            .into());
        }
        KernelSource::of(name, &definition, file, Some(folder))
    }

    fn of(
        name: String,
        op: &str,
        file: PathBuf,
        unpacked: Option<tempfile::TempDir>,
    ) -> Result<KernelSource, Error> {
        let op = op_of(op).ok_or_else(|| no_contract(op))?;
        let text = std::fs::read_to_string(&file)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(KernelSource {
            name,
            op,
            text,
            file,
            _unpacked: unpacked,
        })
    }

    /// Compiles it, in a folder from which a device loads it.
    ///
    /// # Errors
    /// What the compiler says, and where files cannot be written.
    pub fn workspace(&self) -> Result<Workspace, WorkspaceError> {
        Workspace::new(self.op, &self.file)
    }
}
