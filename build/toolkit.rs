//! Where NVRTC and CUDA's headers are on this machine.

use std::env;
use std::path::{Path, PathBuf};

/// A folder with `libnvrtc.so`, asked before all others; CUDA's headers may lie in it, in its
/// `include` or in `include` beside it.
const OWN: &str = "LREM_NVRTC";

/// Environment variables that [`find`] reads.
pub const VARIABLES: [&str; 3] = [OWN, "CUDA_HOME", "CUDA_PATH"];

/// NVRTC and the headers that kernels include.
pub struct Toolkit {
    pub library: PathBuf,
    pub include: PathBuf,
}

/// The first NVRTC and the first headers in: `LREM_NVRTC`, what `make setup` fetched, `CUDA_HOME`,
/// `CUDA_PATH`, the usual folders. `root` is the repository, where `make setup` was run. The error says what is missing.
pub fn find(root: &Path) -> Result<Toolkit, String> {
    let own = env::var_os(OWN).map(PathBuf::from);
    let homes: Vec<PathBuf> = VARIABLES[1..]
        .iter()
        .filter_map(env::var_os)
        .map(PathBuf::from)
        .chain([PathBuf::from("/usr/local/cuda")])
        .collect();

    let library = match &own {
        Some(folder) => nvrtc_in(folder)
            .ok_or_else(|| format!("{OWN} ({}) holds no libnvrtc.so", folder.display()))?,
        None => [root.join(".cache/nvrtc")]
            .into_iter()
            .chain(
                homes
                    .iter()
                    .flat_map(|home| ["lib64", "lib"].map(|lib| home.join(lib))),
            )
            .chain(system_folders())
            .find_map(|folder| nvrtc_in(&folder))
            .ok_or("NVRTC (libnvrtc.so) is missing")?,
    };
    let beside = own
        .iter()
        .flat_map(|folder| ["", "include", "../include"].map(|include| folder.join(include)));
    let include = beside
        .chain([root.join(".cache/cuda-include")])
        .chain(homes.iter().map(|home| home.join("include")))
        .chain([PathBuf::from("/usr/include")])
        .find(|folder| folder.join("cuda_bf16.h").is_file())
        .ok_or("CUDA's headers (cuda_bf16.h) are missing")?;
    Ok(Toolkit { library, include })
}

fn system_folders() -> Vec<PathBuf> {
    let arch = env::consts::ARCH;
    vec![
        PathBuf::from(format!("/usr/lib/{arch}-linux-gnu")),
        PathBuf::from("/usr/lib64"),
        PathBuf::from("/usr/lib"),
    ]
}

/// `libnvrtc.so` or the highest `libnvrtc.so.<version>` of a folder.
fn nvrtc_in(folder: &Path) -> Option<PathBuf> {
    let version = |path: &Path| -> Option<Vec<u32>> {
        let name = path.file_name()?.to_str()?.strip_prefix("libnvrtc.so")?;
        match name {
            "" => Some(Vec::new()),
            _ => name
                .strip_prefix('.')?
                .split('.')
                .map(|part| part.parse().ok())
                .collect(),
        }
    };
    std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((version(&path)?, path))
        })
        .max()
        .map(|(_, path)| path)
}
