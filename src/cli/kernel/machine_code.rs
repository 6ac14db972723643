//! What stands in a kernel's machine code.

use lrem::device::cuda::sass::{KINDS, Mix, Sass};
use lrem::workbench::ARCH;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// The machine code of an instance, in numbers.
#[derive(Serialize)]
pub struct MachineCode {
    pub arch: String,
    /// Of a thread.
    pub registers: u32,
    pub instructions: u32,
    /// Loads and stores of local memory: registers that were spilled, or arrays that are none.
    pub local: u32,
    pub by_kind: BTreeMap<&'static str, u32>,
    pub main_loop: Option<Loop>,
}

/// The main loop.
#[derive(Serialize)]
pub struct Loop {
    pub instructions: u32,
    pub by_kind: BTreeMap<&'static str, u32>,
}

impl MachineCode {
    pub fn of(sass: &Sass, arch: &str) -> MachineCode {
        MachineCode {
            arch: arch.to_owned(),
            registers: sass.registers,
            instructions: sass.mix.total(),
            local: sass.mix.of("local"),
            by_kind: by_kind(&sass.mix),
            main_loop: sass.main_loop.as_ref().map(|mix| Loop {
                instructions: mix.total(),
                by_kind: by_kind(mix),
            }),
        }
    }

    /// Tensor-core instructions of those in the main loop; `None` where it has none, and for Hopper, where one does
    /// the work of dozens.
    pub fn tensor_share(&self) -> Option<f64> {
        let main = self.main_loop.as_ref().filter(|_| self.arch == ARCH)?;
        let tensor = main.by_kind.get("tensor")?;
        Some(f64::from(*tensor) / f64::from(main.instructions))
    }
}

/// The share of a multiprocessor's warps that can be resident: limits of compute capability 8.0 and 9.0 (CUDA C++
/// Programming Guide, "Technical Specifications per Compute Capability"; allocation units of the CUDA
/// Occupancy Calculator).
pub fn occupancy(arch: &str, registers: u32, threads: u32, shared_bytes: u32) -> f64 {
    const WARPS: u32 = 64;
    const BLOCKS: u32 = 32;
    const REGISTERS: u32 = 65_536;
    // What the system keeps of each block's.
    const RESERVED: u32 = 1 << 10;
    let shared = match arch {
        "sm_90a" => 228 << 10,
        _ => 164 << 10,
    };
    let warps = threads.div_ceil(32).max(1);
    // A multiprocessor's four parts each hold whole warps.
    let of_registers = REGISTERS / 4 / (32 * registers.max(1)).next_multiple_of(256) * 4 / warps;
    let of_shared = shared / (shared_bytes.next_multiple_of(128) + RESERVED);
    let blocks = BLOCKS.min(WARPS / warps).min(of_registers).min(of_shared);
    f64::from(blocks * warps) / f64::from(WARPS)
}

fn by_kind(mix: &Mix) -> BTreeMap<&'static str, u32> {
    let kinds = KINDS.into_iter().zip(mix.kinds);
    kinds.filter(|(_, count)| *count > 0).collect()
}

impl fmt::Display for MachineCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, registers) = (self.instructions, self.registers);
        write!(
            f,
            "{registers} registers, {n} instructions, {} of local memory",
            self.local
        )?;
        let Some(main) = &self.main_loop else {
            return Ok(());
        };
        write!(f, "; main loop of {}:", main.instructions)?;
        // The largest shares first, as far as they tell something.
        let mut shares: Vec<_> = main.by_kind.iter().collect();
        shares.sort_by_key(|share| std::cmp::Reverse(share.1));
        for (kind, count) in shares.iter().filter(|s| *s.0 != "other").take(3) {
            let share = 100.0 * f64::from(**count) / f64::from(main.instructions);
            write!(f, " {kind} {share:.0} %")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{ARCH, occupancy};

    #[test]
    fn the_scarcest_resource_limits_the_blocks() {
        // As the CUDA Occupancy Calculator has it for 8.0.
        assert_eq!(occupancy(ARCH, 32, 256, 0), 1.0);
        assert_eq!(occupancy(ARCH, 64, 256, 0), 0.5);
        assert_eq!(occupancy(ARCH, 255, 128, 0), 0.125);
        assert_eq!(occupancy(ARCH, 32, 32, 0), 0.5, "32 blocks");
        assert_eq!(
            occupancy(ARCH, 32, 128, 81 << 10),
            0.125,
            "two blocks' shared memory"
        );
        assert_eq!(occupancy(ARCH, 32, 1024, 163 << 10), 0.5);
    }
}
