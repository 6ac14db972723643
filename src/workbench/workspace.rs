//! A folder in which a kernel of the user's stands for one that was built in.

use crate::device::cuda;
use crate::device::cuda::sass::Sass;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// The name and text of every file in `kernels/`, as they were at build time.
pub fn sources() -> &'static [(&'static str, &'static str)] {
    cuda::sources()
}

/// A temporary folder with the headers that kernels include and one kernel file, named as its op and
/// compiled; the device loads it in place of the built one.
pub struct Workspace {
    folder: tempfile::TempDir,
    file: PathBuf,
    arch: String,
    shown: String,
    /// Instances and their symbols.
    entries: Vec<(String, String)>,
    /// Into machine code, which takes longer than PTX and is needed later.
    translation: Option<JoinHandle<Result<MachineCode, String>>>,
}

/// Instances and what stands in their machine code.
pub type MachineCode = Vec<(String, Sass)>;

/// The architecture of the machine code, which counts are of as well, of kernels that run on every GPU.
pub const ARCH: &str = "sm_80";

/// Why there is no workspace.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file does not compile.
    #[error("{0}")]
    Compile(String),
}

impl Workspace {
    /// Puts the file `path`, `.cu` or `.ptx`, in the place of `op`'s kernels, or of those that they have for one
    /// architecture where it is named after it, as `mine.sm_90a.cu`. Headers beside it go along.
    ///
    /// # Errors
    /// Where a file cannot be read or written, or the kernel does not compile.
    pub fn new(op: &str, path: &Path) -> Result<Workspace, WorkspaceError> {
        let folder = tempfile::Builder::new().prefix("lrem-kernel-").tempdir()?;
        let at = |name: &str| folder.path().join(name);
        for (name, text) in sources().iter().filter(|(name, _)| name.ends_with(".cuh")) {
            std::fs::write(at(name), text)?;
        }
        let beside = path.parent().filter(|p| !p.as_os_str().is_empty());
        for entry in std::fs::read_dir(beside.unwrap_or(Path::new(".")))? {
            let entry = entry?.path();
            let header = entry.extension().is_some_and(|e| e == "cuh" || e == "h");
            if let Some(name) = entry.file_name().filter(|_| header) {
                std::fs::copy(&entry, folder.path().join(name))?;
            }
        }
        let is_ptx = path.extension().is_some_and(|e| e == "ptx");
        let only = cuda::architecture(path);
        let arch = only.clone().unwrap_or_else(|| ARCH.into());
        let name = only.map_or(op.to_owned(), |only| format!("{op}.{only}"));
        let file = at(&format!("{name}.{}", if is_ptx { "ptx" } else { "cu" }));
        std::fs::copy(path, &file)?;
        let mut workspace = Workspace {
            file,
            folder,
            arch,
            shown: path.display().to_string(),
            entries: Vec::new(),
            translation: None,
        };
        if !is_ptx {
            let (file, arch) = (workspace.file.clone(), workspace.arch.clone());
            let translate = move || cuda::machine_code(&file, &arch);
            workspace.translation = Some(std::thread::spawn(translate));
        }
        let edited = cuda::assemble(&workspace.file);
        let edited = edited.map_err(|said| WorkspaceError::Compile(workspace.shown(&said)))?;
        if !is_ptx {
            let compiled = workspace.folder.path().join(format!("{name}.ptx"));
            std::fs::write(compiled, &edited.ptx)?;
        }
        workspace.entries = edited.entries;
        Ok(workspace)
    }

    /// The kernel instance that a symbol of the file is, as its `// instance:` lines say.
    pub fn instance(&self, symbol: &str) -> Option<&str> {
        let found = self.entries.iter().find(|(_, found)| found == symbol);
        found.map(|(name, _)| name.as_str())
    }

    /// The kernel instances of the file.
    pub fn instances(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// The architecture that counts and machine code are of: [`ARCH`], or the one that the file is for.
    pub fn arch(&self) -> &str {
        &self.arch
    }

    /// The machine code of every instance in the file; none of a `.ptx` file, which only a driver
    /// turns into it. Nothing the second time.
    ///
    /// # Errors
    /// What the compiler says.
    pub fn machine_code(&mut self) -> Result<MachineCode, WorkspaceError> {
        let Some(translation) = self.translation.take() else {
            return Ok(Vec::new());
        };
        let code = translation
            .join()
            .unwrap_or_else(|_| Err("the compiler panicked".into()));
        code.map_err(|said| WorkspaceError::Compile(self.shown(&said)))
    }

    /// The folder, for `LREM_KERNEL_DIR`.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether a path is that of the kernel file.
    pub fn is_file(&self, path: &str) -> bool {
        Path::new(path) == self.file
    }

    /// A message with the user's own path in it.
    pub fn shown(&self, message: &str) -> String {
        message.replace(&self.file.display().to_string(), &self.shown)
    }
}

/// Waits for the compiler. A program that ended while another of its threads compiles would crash: NVRTC's
/// state is torn down at exit.
impl Drop for Workspace {
    fn drop(&mut self) {
        if let Some(translation) = self.translation.take() {
            drop(translation.join());
        }
    }
}
