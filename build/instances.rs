//! What a `.cu` file asks to be instantiated.
//!
//! A kernel is a C++ template; a comment line for each instance gives it the name that launch code
//! looks it up by, and the NVRTC name expression that makes the compiler instantiate it:
//!
//! ```text
//! // instance: rms_norm_bf16 = rms_norm<__nv_bfloat16>
//! ```
//!
//! All instances of a file are compiled as one module.

use std::path::{Path, PathBuf};

const MARK: &str = "// instance:";

/// One line `// instance: name = expression`.
#[derive(Debug, PartialEq)]
pub struct Instance {
    pub name: String,
    pub expression: String,
}

/// One `kernels/<op>.cu`, or a file that stands for it. `kernels/<op>.<architecture>.cu` has instances that use
/// what that architecture alone has, under the same op.
pub struct Source {
    pub op: String,
    /// Such as `sm_90a`; `None` where any GPU will do.
    pub arch: Option<String>,
    pub path: PathBuf,
    pub text: String,
    pub instances: Vec<Instance>,
}

impl Source {
    /// Whether an instance of that name is among its own.
    pub fn has(&self, name: &str) -> bool {
        self.instances.iter().any(|instance| instance.name == name)
    }
}

/// Every `.cu` file of a folder, sorted by name. Errors name file and line.
pub fn read_all(folder: &Path) -> Result<Vec<Source>, String> {
    let mut sources: Vec<Source> = Vec::new();
    for path in files(folder, "cu")? {
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let instances = parse(&path, &text)?;
        for Instance { name, .. } in &instances {
            let earlier = sources.iter().find(|source| source.has(name));
            if let Some(earlier) = earlier {
                return Err(format!(
                    "{}: instance {name} is already in {}",
                    path.display(),
                    earlier.path.display()
                ));
            }
        }
        let (op, arch) = named(&path);
        sources.push(Source {
            op,
            arch,
            path,
            text,
            instances,
        });
    }
    Ok(sources)
}

/// The op and the architecture that a file's name tells.
pub fn named(path: &Path) -> (String, Option<String>) {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match stem.split_once(".sm_") {
        Some((op, number)) => (op.to_owned(), Some(format!("sm_{number}"))),
        None => (stem.into_owned(), None),
    }
}

/// The folder's files of that ending, in the order of their names.
pub fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, String> {
    let in_folder = |error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(in_folder)? {
        let path = entry.map_err(in_folder)?.path();
        if path.extension().is_some_and(|found| found == ending) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The instances of one source text; `path` is for errors only.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Instance>, String> {
    let mut instances: Vec<Instance> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let Some(rest) = line.trim().strip_prefix(MARK) else {
            continue;
        };
        let at = format!("{}:{}", path.display(), number + 1);
        let (name, expression) = rest
            .split_once('=')
            .map(|(name, expression)| (name.trim(), expression.trim()))
            .filter(|(name, expression)| is_identifier(name) && !expression.is_empty())
            .ok_or_else(|| format!("{at}: expected `{MARK} name = template<arguments>`"))?;
        if instances.iter().any(|other| other.name == name) {
            return Err(format!("{at}: instance {name} is named twice"));
        }
        instances.push(Instance {
            name: name.to_owned(),
            expression: expression.to_owned(),
        });
    }
    if instances.is_empty() {
        return Err(format!(
            "{}: no line `{MARK} name = template<arguments>`, so nothing would be compiled",
            path.display()
        ));
    }
    Ok(instances)
}

fn is_identifier(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(word) && name.starts_with(|c: char| !c.is_ascii_digit())
}
