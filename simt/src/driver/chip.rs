//! The chips that a device can pretend to be (CUDA C++ Programming Guide, "Compute Capabilities").

use super::Result;
use super::state::current;
use std::sync::{Mutex, OnceLock, PoisonError};

/// A chip's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chip {
    /// As `SIMT_ARCH` and PTX name it.
    pub arch: &'static str,
    pub name: &'static str,
    pub major: u32,
    pub minor: u32,
    pub multiprocessors: u32,
    /// Bytes that a block may have when it asks for them.
    pub shared_per_block: u32,
    pub shared_per_multiprocessor: u32,
    pub threads_per_multiprocessor: u32,
    pub blocks_per_multiprocessor: u32,
    /// Bytes.
    pub l2: u32,
    /// kHz.
    pub clock: u32,
    pub memory_clock: u32,
    /// Bits.
    pub bus_width: u32,
}

/// Bytes of shared memory that a block may have without asking.
pub const SHARED_DEFAULT: u32 = 48 << 10;
/// Bytes of shared memory that the driver keeps of each block's.
pub const SHARED_RESERVED: u32 = 1 << 10;
/// Registers of a multiprocessor, and of a block.
pub const REGISTERS: u32 = 65536;

const CHIPS: [Chip; 4] = [
    Chip {
        arch: "sm_80",
        name: "simt A100 (sm_80)",
        major: 8,
        minor: 0,
        multiprocessors: 108,
        shared_per_block: 163 << 10,
        shared_per_multiprocessor: 164 << 10,
        threads_per_multiprocessor: 2048,
        blocks_per_multiprocessor: 32,
        l2: 40 << 20,
        clock: 1_410_000,
        memory_clock: 1_215_000,
        bus_width: 5120,
    },
    Chip {
        arch: "sm_89",
        name: "simt RTX 4090 (sm_89)",
        major: 8,
        minor: 9,
        multiprocessors: 128,
        shared_per_block: 99 << 10,
        shared_per_multiprocessor: 100 << 10,
        threads_per_multiprocessor: 1536,
        blocks_per_multiprocessor: 24,
        l2: 72 << 20,
        clock: 2_520_000,
        memory_clock: 10_501_000,
        bus_width: 384,
    },
    Chip {
        arch: "sm_90",
        ..HOPPER
    },
    HOPPER,
];

const HOPPER: Chip = Chip {
    arch: "sm_90a",
    name: "simt H100 (sm_90a)",
    major: 9,
    minor: 0,
    multiprocessors: 132,
    shared_per_block: 227 << 10,
    shared_per_multiprocessor: 228 << 10,
    threads_per_multiprocessor: 2048,
    blocks_per_multiprocessor: 32,
    l2: 50 << 20,
    clock: 1_980_000,
    memory_clock: 2_619_000,
    bus_width: 5120,
};

/// What stands for `SIMT_ARCH` where it is not set.
static DEFAULT: Mutex<Option<String>> = Mutex::new(None);

/// Names the chips of a process whose environment has no `SIMT_ARCH`. Nothing changes once they are asked for.
pub fn set_default(archs: &str) {
    *DEFAULT.lock().unwrap_or_else(PoisonError::into_inner) = Some(archs.to_owned());
}

impl Chip {
    /// The chips that `SIMT_ARCH` names, device by device; an H100 where it names none.
    pub fn chosen() -> &'static [Chip] {
        static CHOSEN: OnceLock<Vec<Chip>> = OnceLock::new();
        CHOSEN.get_or_init(|| {
            let default = || {
                DEFAULT
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take()
            };
            let Some(archs) = std::env::var("SIMT_ARCH").ok().or_else(default) else {
                return vec![HOPPER];
            };
            let named = |arch: &str| {
                let chip = CHIPS.into_iter().find(|chip| chip.arch == arch);
                chip.unwrap_or_else(|| {
                    eprintln!(
                        "simt: {arch} of SIMT_ARCH={archs} is none of sm_80, sm_89, sm_90, sm_90a"
                    );
                    HOPPER
                })
            };
            archs.split(',').map(|arch| named(arch.trim())).collect()
        })
    }

    /// The chip of a device; those behind the last one named are like it.
    pub fn of(device: usize) -> Chip {
        let chips = Chip::chosen();
        chips[device.min(chips.len() - 1)]
    }

    /// The chip of the current context's device.
    pub fn current() -> Result<Chip> {
        Ok(current()?.device()?.chip)
    }

    /// Whether PTX for a target such as `sm_80` or `sm_90a` may run on the chip.
    pub fn runs(&self, target: &str) -> bool {
        let digits = target.trim_start_matches("sm_");
        let number: u32 = digits.trim_end_matches(['a', 'f']).parse().unwrap_or(0);
        let own = self.major * 10 + self.minor;
        if digits.ends_with('a') {
            return number == own && self.arch.ends_with('a');
        }
        number <= own
    }
}
