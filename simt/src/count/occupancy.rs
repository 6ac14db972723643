//! How many blocks of a launch a multiprocessor holds, and what keeps it from holding more.

use crate::driver::Chip;
use crate::driver::occupancy::{Limits, limits};
use crate::exec::grid::Launch;
use serde::{Deserialize, Serialize};

/// Blocks that a multiprocessor holds at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Occupancy {
    pub blocks: u32,
    pub warps: u32,
    /// Warps as a part of those that a multiprocessor could hold.
    pub fraction: f64,
    pub limiter: Limiter,
}

/// What there is too little of for another block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limiter {
    Blocks,
    Warps,
    Registers,
    SharedMemory,
}

impl Occupancy {
    /// That of a launch on a chip.
    pub fn of(launch: &Launch, chip: &Chip) -> Occupancy {
        let entry = &launch.program.functions[launch.function];
        let threads: u32 = launch.block.iter().product();
        let Limits {
            blocks,
            warps,
            registers,
            shared,
        } = limits(entry, chip, threads, launch.dynamic_shared as usize);
        let (count, limiter) = [
            (warps, Limiter::Warps),
            (registers, Limiter::Registers),
            (shared, Limiter::SharedMemory),
        ]
        .into_iter()
        .fold((blocks, Limiter::Blocks), |least, next| {
            if next.0 < least.0 { next } else { least }
        });
        let resident = count * threads.div_ceil(32);
        Occupancy {
            blocks: count,
            warps: resident,
            fraction: f64::from(resident) / f64::from(chip.threads_per_multiprocessor / 32),
            limiter,
        }
    }
}
