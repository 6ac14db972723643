//! What stands in the machine code of every kernel, for `target/kernels.json`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::cache::Compiled;
use crate::instances::Source;
use crate::sass::{self, KINDS, Mix, Sass};
use crate::target::Target;

/// One JSON object an instance and architecture, in an array; cubins alone have machine code.
///
/// # Errors
/// Names a cubin that cannot be read.
pub fn text(modules: &[(Source, Vec<Compiled>)]) -> Result<String, String> {
    let mut lines = Vec::new();
    for (source, modules) in modules {
        for module in modules {
            let Target::Cubin(arch) = &module.target else {
                continue;
            };
            let at = |error: &dyn std::fmt::Display| format!("{}: {error}", module.path.display());
            let cubin = std::fs::read(&module.path).map_err(|error| at(&error))?;
            let names = source.instances.iter().map(|i| i.name.clone());
            let kernels = sass::of_instances(&cubin, names.zip(&module.entries));
            for (instance, kernel) in kernels.map_err(|error| at(&error))? {
                lines.push(line(&source.op, &instance, arch, &kernel));
            }
        }
    }
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

fn line(op: &str, instance: &str, arch: &str, kernel: &Sass) -> String {
    let main = kernel.main_loop.map_or("null".into(), |mix| kinds(&mix));
    format!(
        "{{\"op\": {op:?}, \"instance\": {instance:?}, \"arch\": {arch:?}, \"registers\": {}, \
         \"instructions\": {}, \"main_loop\": {main}}}",
        kernel.registers,
        kinds(&kernel.mix)
    )
}

/// Instructions by kind, those of local memory being spills.
fn kinds(mix: &Mix) -> String {
    let mut text = format!("{{\"all\": {}", mix.total());
    for (kind, count) in KINDS.iter().zip(mix.kinds) {
        let _ = write!(text, ", {kind:?}: {count}");
    }
    text + "}"
}

/// The folder that cargo builds in, from that of the build script's output.
pub fn target_folder(out: &Path) -> Option<PathBuf> {
    let marked = |folder: &&Path| folder.join("CACHEDIR.TAG").is_file();
    out.ancestors().find(marked).map(Path::to_path_buf)
}
