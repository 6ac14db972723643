//! Writes the Rust source that embeds the compiled kernels.

use std::fmt::Write;
use std::path::Path;

use crate::cache::Compiled;
use crate::instances::Source;
use crate::target::Target;

const TYPE: &str = "pub(super) static KERNELS: &[Kernel] =";

/// The table of a build without NVRTC.
pub fn empty() -> String {
    format!("{TYPE} &[];\npub(super) static COMPILER: Option<&str> = None;\n")
}

/// The files of the folder `kernels`, in the program as they are.
pub fn sources(kernels: &Path) -> Result<String, String> {
    let in_folder = |error| format!("{}: {error}", kernels.display());
    let folder = kernels.canonicalize().map_err(in_folder)?;
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(in_folder)? {
        paths.push(entry.map_err(in_folder)?.path());
    }
    paths.sort();
    let mut text = String::from("pub(super) static SOURCES: &[(&str, &str)] = &[\n");
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let _ = writeln!(
            text,
            "    ({name:?}, include_str!({:?})),",
            path.display().to_string()
        );
    }
    text.push_str("];\n");
    Ok(text)
}

/// The table of every source and its modules, the one of PTX first.
pub fn text(version: &str, compiled: &[(Source, Vec<Compiled>)]) -> String {
    let mut modules = String::new();
    let mut kernels = String::new();
    for (index, (source, compiled)) in compiled.iter().enumerate() {
        // One static for each module: its instances share the bytes.
        let mut ptx = String::new();
        let mut cubins = String::new();
        for module in compiled {
            let path = module.path.display().to_string();
            match &module.target {
                Target::Ptx(_) => ptx = format!("include_str!({path:?})"),
                Target::Cubin(arch) => {
                    let _ = write!(
                        cubins,
                        "Cubin {{ arch: {arch:?}, image: include_bytes!({path:?}) }}, "
                    );
                }
            }
        }
        let _ = writeln!(modules, "static PTX_{index}: &str = {ptx};");
        let _ = writeln!(modules, "static CUBINS_{index}: &[Cubin] = &[{cubins}];");
        for (instance, entry) in source.instances.iter().zip(&compiled[0].entries) {
            let _ = writeln!(
                kernels,
                "    Kernel {{ op: {:?}, arch: {:?}, instance: {:?}, entry: {entry:?}, ptx: PTX_{index}, cubins: CUBINS_{index} }},",
                source.op, source.arch, instance.name
            );
        }
    }
    format!(
        "{modules}{TYPE} &[\n{kernels}];\npub(super) static COMPILER: Option<&str> = Some({version:?});\n"
    )
}
