//! The table of compiled kernels that `build.rs` wrote.

/// One instance of a kernel template, such as `rms_norm_bf16`.
#[derive(Debug)]
pub struct Kernel {
    /// The op, which is the name of the file: `rms_norm` for `kernels/rms_norm.cu`.
    pub op: &'static str,
    /// The one architecture that it runs on, such as `sm_90a` for `kernels/linear.sm_90a.cu`; `None` where every
    /// GPU from Ampere on does.
    pub arch: Option<&'static str>,
    /// The name given in the source, `// instance: rms_norm_bf16 = …`.
    pub instance: &'static str,
    /// The symbol to look up in the module (a mangled C++ name).
    pub entry: &'static str,
    /// The module as PTX, for compute_80 or for the one architecture.
    pub ptx: &'static str,
    /// The module compiled for named architectures.
    pub cubins: &'static [Cubin],
}

/// A module compiled for one architecture.
pub struct Cubin {
    /// Such as `sm_90a`. Without a letter it runs on later GPUs of the same major version too; with
    /// one, on this architecture only.
    pub arch: &'static str,
    /// The ELF file that `cuModuleLoadData` takes.
    pub image: &'static [u8],
}

impl std::fmt::Debug for Cubin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cubin({}, {} bytes)", self.arch, self.image.len())
    }
}

include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// All kernels, by op and in the order of their source; empty in a build without NVRTC.
pub fn kernels() -> &'static [Kernel] {
    KERNELS
}

/// The kernel of that instance name. `None` also in a build without NVRTC.
pub fn kernel(instance: &str) -> Option<&'static Kernel> {
    KERNELS.iter().find(|kernel| kernel.instance == instance)
}

/// Name and text of every file in `kernels/` at build time.
pub fn sources() -> &'static [(&'static str, &'static str)] {
    SOURCES
}

/// The version of the NVRTC that compiled the kernels, such as `12.9`; `None` in a build without.
pub fn compiler() -> Option<&'static str> {
    COMPILER
}
