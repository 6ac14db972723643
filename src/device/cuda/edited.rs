//! Kernels edited since the build: `LREM_KERNEL_DIR` names a folder of `.cu` files that are compiled
//! when they are first needed, in the place of those built in.
//!
//! The compiler's errors are shown as it words them, with file and line.

use crate::device::{DeviceError, Result};
use std::path::Path;

#[path = "../../../build/instances.rs"]
mod instances;
#[path = "../../../build/nvrtc.rs"]
mod nvrtc;
#[path = "../../../build/options.rs"]
mod options;
#[path = "../../../build/toolkit.rs"]
mod toolkit;

/// A folder with `.cu` files, and the headers that they include.
const FOLDER: &str = "LREM_KERNEL_DIR";

/// A file compiled to PTX, and the symbol of each of its instances.
pub(super) struct Edited {
    pub op: String,
    pub ptx: String,
    pub entries: Vec<(String, String)>,
}

/// The file that has `instance`, compiled; `None` where there is no folder or no such instance in it.
pub(super) fn compile(instance: &str) -> Result<Option<Edited>> {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return Ok(None);
    };
    find(Path::new(&folder), instance).map_err(|message| DeviceError::Driver {
        what: format!("{FOLDER}, kernel {instance}"),
        message,
    })
}

fn find(folder: &Path, instance: &str) -> std::result::Result<Option<Edited>, String> {
    let has = |source: &instances::Source| source.instances.iter().any(|i| i.name == instance);
    let Some(source) = instances::read_all(folder)?.into_iter().find(has) else {
        return Ok(None);
    };
    let toolkit = toolkit::find(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let nvrtc = nvrtc::Nvrtc::load(&toolkit.library)?;
    let mut options = options::of(folder, &toolkit.include);
    options.push("--gpu-architecture=compute_80".into());
    let expressions: Vec<&str> = source
        .instances
        .iter()
        .map(|instance| instance.expression.as_str())
        .collect();
    let name = source.path.display().to_string();
    let module = nvrtc.compile(&name, &source.text, &expressions, &options, false)?;
    if !module.log.is_empty() {
        eprintln!("NVRTC {}:\n{}", nvrtc.version(), module.log);
    }
    let ptx = String::from_utf8(module.code).map_err(|error| format!("{name}: {error}"))?;
    let names = source.instances.into_iter().map(|i| i.name);
    Ok(Some(Edited {
        op: source.op,
        ptx,
        entries: names.zip(module.entries).collect(),
    }))
}
