//! Kernels edited since the build: `LREM_KERNEL_DIR` names a folder of `.cu` files that are compiled
//! when they are first needed, or of `.ptx` files, in the place of those built in.
//!
//! The compiler's errors are shown as it words them, with file and line.

use crate::device::{DeviceError, Result};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

#[path = "../../../build/instances.rs"]
mod instances;
#[path = "../../../build/nvrtc.rs"]
mod nvrtc;
#[path = "../../../build/options.rs"]
mod options;
#[path = "../../../build/sass.rs"]
pub mod sass;
#[path = "../../../build/toolkit.rs"]
mod toolkit;

/// A folder with `.cu` files, and the headers that they include.
pub const FOLDER: &str = "LREM_KERNEL_DIR";

/// A file as PTX.
pub struct Edited {
    /// The file's name without its ending.
    pub op: String,
    pub ptx: String,
    /// Instances and their symbols.
    pub entries: Vec<(String, String)>,
}

/// The folder of this process, where it is not the variable's.
static CHOSEN: OnceLock<PathBuf> = OnceLock::new();

/// Takes kernels from `folder` in place of those built in, from the first that is needed on.
pub fn use_kernels_of(folder: PathBuf) {
    CHOSEN.get_or_init(|| folder);
}

/// The file that has `instance`, compiled; `None` where there is no folder or no such instance in it.
pub(super) fn compile(instance: &str) -> Result<Option<Edited>> {
    let chosen = CHOSEN.get().cloned();
    let Some(folder) = chosen.or_else(|| std::env::var_os(FOLDER).map(PathBuf::from)) else {
        return Ok(None);
    };
    find(&folder, instance).map_err(|message| DeviceError::Driver {
        what: format!("{FOLDER}, kernel {instance}"),
        message,
    })
}

fn find(folder: &Path, instance: &str) -> std::result::Result<Option<Edited>, String> {
    for path in instances::files(folder, "ptx")? {
        let source = source(&path)?;
        if source.has(instance) {
            return Ok(Some(as_it_is(source)));
        }
    }
    let sources = instances::read_all(folder)?;
    let source = sources.into_iter().find(|source| source.has(instance));
    source.map(|source| compiled(folder, source)).transpose()
}

/// The kernel file `path` as PTX that says in `// instance:` lines, as the file does, which symbol is which
/// kernel: a `.cu` file is compiled with the headers beside it, a `.ptx` file is taken as it is.
///
/// # Errors
/// What is wrong with the file, as the compiler words it, with file and line; a missing compiler.
pub fn assemble(path: &Path) -> std::result::Result<Edited, String> {
    let source = source(path)?;
    if path.extension().is_some_and(|ending| ending == "ptx") {
        return Ok(as_it_is(source));
    }
    let mut edited = compiled(parent(path), source)?;
    let line = |(name, symbol): &(String, String)| format!("// instance: {name} = {symbol}\n");
    edited.ptx = edited.entries.iter().map(line).collect::<String>() + &edited.ptx;
    Ok(edited)
}

/// The one architecture that the kernel file `path` is for, such as `sm_90a`, as its name tells.
pub fn architecture(path: &Path) -> Option<String> {
    instances::named(path).1
}

/// The machine code of the kernel file `path` for `arch`, such as `sm_80`: each instance with what is in it.
///
/// # Errors
/// As of [`assemble`].
pub fn machine_code(
    path: &Path,
    arch: &str,
) -> std::result::Result<Vec<(String, sass::Sass)>, String> {
    let source = source(path)?;
    let module = translated(parent(path), &source, arch, true)?;
    let names = source.instances.into_iter().map(|i| i.name);
    sass::of_instances(&module.code, names.zip(&module.entries))
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn source(path: &Path) -> std::result::Result<instances::Source, String> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
    let (op, arch) = instances::named(path);
    Ok(instances::Source {
        op,
        arch,
        instances: instances::parse(path, &text)?,
        path: path.to_path_buf(),
        text,
    })
}

/// A source that is PTX: what its instances are of are symbols.
fn as_it_is(source: instances::Source) -> Edited {
    let entries = source.instances.into_iter();
    Edited {
        op: source.op,
        ptx: source.text,
        entries: entries.map(|i| (i.name, i.expression)).collect(),
    }
}

fn compiled(folder: &Path, source: instances::Source) -> std::result::Result<Edited, String> {
    let arch = source.arch.as_deref().unwrap_or("sm_80");
    let arch = arch.replace("sm_", "compute_");
    let module = translated(folder, &source, &arch, false)?;
    let name = source.path.display();
    let ptx = String::from_utf8(module.code).map_err(|error| format!("{name}: {error}"))?;
    let names = source.instances.into_iter().map(|i| i.name);
    Ok(Edited {
        op: source.op,
        ptx,
        entries: names.zip(module.entries).collect(),
    })
}

/// Compiles a file with the headers in `folder`, to a cubin or to PTX.
fn translated(
    folder: &Path,
    source: &instances::Source,
    arch: &str,
    cubin: bool,
) -> std::result::Result<nvrtc::Module, String> {
    let toolkit = toolkit::find(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let nvrtc = nvrtc::Nvrtc::load(&toolkit.library)?;
    let mut options = options::of(folder, &toolkit.include);
    options.push(format!("--gpu-architecture={arch}"));
    let expressions: Vec<&str> = source
        .instances
        .iter()
        .map(|instance| instance.expression.as_str())
        .collect();
    let name = source.path.display().to_string();
    let module = nvrtc.compile(&name, &source.text, &expressions, &options, cubin)?;
    if !module.log.is_empty() && !cubin {
        eprintln!("NVRTC {}:\n{}", nvrtc.version(), module.log);
    }
    Ok(module)
}
