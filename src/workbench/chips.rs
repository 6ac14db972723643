//! The chips that times are predicted for.

use super::ARCH;
use serde::{Deserialize, Serialize};

/// Warp instructions that a multiprocessor issues a cycle: four schedulers, one each.
const ISSUE: f64 = 4.0;
/// Shared-memory wavefronts that a multiprocessor serves a cycle: 128 bytes.
const WAVEFRONTS: f64 = 1.0;

/// What a time is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    Memory,
    Tensor,
    Single,
    Issue,
    Shared,
    Latency,
}

impl Limit {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Limit::Memory => "HBM bandwidth",
            Limit::Tensor => "tensor cores",
            Limit::Single => "f32 arithmetic",
            Limit::Issue => "instruction issue",
            Limit::Shared => "shared memory",
            Limit::Latency => "latency",
        }
    }
}

/// What a chip does in a second, as its maker says.
#[derive(Clone, Copy, Debug)]
pub struct Chip {
    pub name: &'static str,
    /// The architecture whose machine code alone it runs.
    pub arch: &'static str,
    pub multiprocessors: f64,
    /// Boost clock, Hz.
    pub clock: f64,
    /// Bytes a second of HBM.
    pub memory: f64,
    /// bf16 flops a second of the tensor cores, dense.
    pub tensor: f64,
    /// f32 flops a second.
    pub single: f64,
    /// Cycles of a load from HBM.
    pub latency: f64,
    /// Where the numbers come from.
    pub source: &'static str,
}

impl Chip {
    /// The chip that a device is, by its name as its driver says it.
    pub fn named(device: &str) -> Option<&'static Chip> {
        CHIPS.iter().find(|chip| device.contains(chip.name))
    }

    /// Whether it runs kernels of an architecture: those for every GPU, or for its own alone.
    pub fn runs(&self, arch: &str) -> bool {
        [ARCH, self.arch].contains(&arch)
    }

    /// How long all of it is busy with tensor-core flops, f32 flops, warp instructions and shared-memory wavefronts, in
    /// seconds.
    pub(super) fn busy(&self, amounts: [f64; 4]) -> [(Limit, f64); 4] {
        let [tensor, single, instructions, wavefronts] = amounts;
        let cycles = self.clock * self.multiprocessors;
        [
            (Limit::Tensor, tensor / self.tensor),
            (Limit::Single, single / self.single),
            (Limit::Issue, instructions / (ISSUE * cycles)),
            (Limit::Shared, wavefronts / (WAVEFRONTS * cycles)),
        ]
    }
}

/// The chips that times are predicted for. Latencies of an A100 and of an H800, for H100: Luo et al., "Benchmarking
/// and Dissecting the Nvidia Hopper GPU Architecture", arXiv 2402.13499; of the later ones H100's.
pub const CHIPS: [Chip; 4] = [
    Chip {
        name: "A100",
        arch: "sm_80",
        multiprocessors: 108.0,
        clock: 1.41e9,
        memory: 2.039e12,
        tensor: 312e12,
        single: 19.5e12,
        latency: 466.0,
        source: "NVIDIA A100 80 GB SXM datasheet; GA100 whitepaper, table 1",
    },
    Chip {
        name: "H100",
        arch: "sm_90a",
        multiprocessors: 132.0,
        clock: 1.83e9,
        memory: 3.35e12,
        tensor: 989.4e12,
        single: 66.9e12,
        latency: 479.0,
        source: "NVIDIA H100 SXM datasheet; GH100 whitepaper, table 2",
    },
    Chip {
        name: "H200",
        arch: "sm_90a",
        multiprocessors: 132.0,
        clock: 1.83e9,
        memory: 4.8e12,
        tensor: 989.4e12,
        single: 66.9e12,
        latency: 479.0,
        source: "NVIDIA H200 SXM datasheet; else as H100",
    },
    Chip {
        name: "B200",
        arch: "sm_100a",
        multiprocessors: 148.0,
        clock: 1.965e9,
        memory: 8.0e12,
        tensor: 2250e12,
        single: 75e12,
        latency: 479.0,
        source: "NVIDIA DGX B200 datasheet, an eighth of it; clock from CUDA's device properties",
    },
];

#[cfg(test)]
mod tests {
    use super::Chip;

    #[test]
    fn a_driver_s_name_for_a_device_has_the_chip_s() {
        let name = |device| Chip::named(device).map(|chip| chip.name);
        assert_eq!(name("NVIDIA H200"), Some("H200"));
        assert_eq!(name("NVIDIA L4"), None);
    }
}
