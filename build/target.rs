//! What kernels are compiled for.

use crate::instances::Source;

/// Architectures of the cubins, for example `sm_80,sm_90a`; by default none.
pub const VARIABLE: &str = "LREM_CUDA_ARCHS";

/// None: the driver compiles the PTX at its first use and keeps the result, and a build stays short.
const DEFAULT: &str = "";

/// PTX for a virtual architecture, or a cubin for a real one.
#[derive(Clone)]
pub enum Target {
    Ptx(String),
    Cubin(String),
}

impl Target {
    /// As NVRTC's `--gpu-architecture` takes it.
    pub fn arch(&self) -> &str {
        match self {
            Target::Ptx(arch) => arch,
            Target::Cubin(arch) => arch,
        }
    }
}

/// What a source is compiled for, of all targets: its PTX, then cubins. One that is for an architecture alone, such
/// as `sm_90a`, has PTX and at most one cubin for just that.
pub fn of(source: &Source, targets: &[Target]) -> Vec<Target> {
    let Some(only) = &source.arch else {
        return targets.to_vec();
    };
    let cubin = |target: &&Target| matches!(target, Target::Cubin(arch) if arch == only);
    let cubins = targets.iter().filter(cubin).cloned();
    let ptx = Target::Ptx(only.replace("sm_", "compute_"));
    std::iter::once(ptx).chain(cubins).collect()
}

/// PTX for compute_80, then a cubin for each architecture asked for.
pub fn read() -> Result<Vec<Target>, String> {
    let archs = std::env::var(VARIABLE).unwrap_or_else(|_| DEFAULT.to_owned());
    let mut targets = vec![Target::Ptx("compute_80".to_owned())];
    for arch in archs.split([',', ' ']).filter(|arch| !arch.is_empty()) {
        let is_arch = arch.strip_prefix("sm_").is_some_and(|number| {
            number
                .trim_end_matches(['a', 'f'])
                .parse::<u32>()
                .is_ok_and(|number| number >= 80)
        });
        if !is_arch {
            return Err(format!(
                "{VARIABLE}: {arch} is no architecture of compute capability 8.0 or later, such as sm_90a"
            ));
        }
        targets.push(Target::Cubin(arch.to_owned()));
    }
    Ok(targets)
}
