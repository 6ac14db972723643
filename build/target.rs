//! What kernels are compiled for.

/// Architectures of the cubins, for example `sm_80,sm_90a`; by default none.
pub const VARIABLE: &str = "LREM_CUDA_ARCHS";

/// None: the driver compiles the PTX at its first use and keeps the result, and a build stays short.
const DEFAULT: &str = "";

/// PTX for a virtual architecture, or a cubin for a real one.
pub enum Target {
    Ptx(&'static str),
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

/// PTX for compute_80, then a cubin for each architecture asked for.
pub fn read() -> Result<Vec<Target>, String> {
    let archs = std::env::var(VARIABLE).unwrap_or_else(|_| DEFAULT.to_owned());
    let mut targets = vec![Target::Ptx("compute_80")];
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
