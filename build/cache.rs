//! Compiles a source for a target, unless the same was compiled before.
//!
//! A compiled module is a file in `OUT_DIR/kernels` named by a hash of all that went into it, so
//! that touching one kernel recompiles only that one.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::instances::{Source, files};
use crate::nvrtc::Nvrtc;
use crate::options;
use crate::target::Target;
use crate::toolkit::Toolkit;
use crate::write;

/// What a module was compiled for, where it lies, and the symbol of each of its instances.
pub struct Compiled {
    pub target: Target,
    pub path: PathBuf,
    pub entries: Vec<String>,
}

/// The folder of compiled modules, and what all of them have in common.
pub struct Cache<'a> {
    folder: PathBuf,
    nvrtc: &'a Nvrtc,
    options: Vec<String>,
    common: u64,
}

impl<'a> Cache<'a> {
    /// `headers` is the folder of the `.cuh` files that kernels include.
    pub fn open(
        folder: PathBuf,
        headers: &Path,
        toolkit: &Toolkit,
        nvrtc: &'a Nvrtc,
    ) -> Result<Self, String> {
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        let options = options::of(headers, &toolkit.include);
        let mut hasher = DefaultHasher::new();
        (&options, nvrtc.version(), &toolkit.library).hash(&mut hasher);
        hash_headers(headers, &mut hasher)?;
        Ok(Cache {
            folder,
            nvrtc,
            options,
            common: hasher.finish(),
        })
    }

    /// The module of `source` for `target`. The error is what the compiler says.
    pub fn compile(&self, source: &Source, target: Target) -> Result<Compiled, String> {
        let mut hasher = DefaultHasher::new();
        (self.common, target.arch(), &source.text).hash(&mut hasher);
        let (cubin, extension) = match &target {
            Target::Ptx(_) => (false, "ptx"),
            Target::Cubin(_) => (true, "cubin"),
        };
        let stem = format!("{}.{}.{:016x}", source.op, target.arch(), hasher.finish());
        let path = self.folder.join(format!("{stem}.{extension}"));
        // Written last, so that it stands for both.
        let names = self.folder.join(format!("{stem}.entries"));
        if let Ok(entries) = std::fs::read_to_string(&names) {
            let entries = entries.lines().map(str::to_owned).collect();
            return Ok(Compiled {
                target,
                path,
                entries,
            });
        }

        let mut options = self.options.clone();
        options.push(format!("--gpu-architecture={}", target.arch()));
        let expressions: Vec<&str> = source
            .instances
            .iter()
            .map(|instance| instance.expression.as_str())
            .collect();
        let name = source.path.display().to_string();
        let module = self
            .nvrtc
            .compile(&name, &source.text, &expressions, &options, cubin)?;
        for line in module.log.lines().filter(|line| !line.trim().is_empty()) {
            println!("cargo:warning={line}");
        }
        write(&path, &module.code)?;
        write(&names, module.entries.join("\n").as_bytes())?;
        Ok(Compiled {
            target,
            path,
            entries: module.entries,
        })
    }
}

fn hash_headers(folder: &Path, hasher: &mut impl Hasher) -> Result<(), String> {
    for path in files(folder, "cuh")? {
        let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        (&path, text).hash(hasher);
    }
    Ok(())
}
