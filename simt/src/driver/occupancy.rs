//! `cuOccupancy…`

use super::chip::{Chip, REGISTERS, SHARED_RESERVED};
use super::function::{Function, resolve};
use super::launch::Config;
use super::{Error, Result, put};
use crate::exec::program;
use std::ffi::{c_int, c_uint};
use std::sync::atomic::Ordering;

/// Blocks of `threads` threads that a multiprocessor holds at once.
pub fn blocks(function: &Function, threads: u32, dynamic: usize) -> Result<u32> {
    if threads == 0 {
        return Err(Error::InvalidValue);
    }
    if threads > function.max_threads() {
        return Ok(0);
    }
    let limits = limits(function.entry(), &Chip::current()?, threads, dynamic);
    let Limits {
        blocks,
        warps,
        registers,
        shared,
    } = limits;
    Ok(blocks.min(warps).min(registers).min(shared))
}

/// Blocks that a multiprocessor holds at once, by what there is of each thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub blocks: u32,
    pub warps: u32,
    pub registers: u32,
    pub shared: u32,
}

/// The limits of blocks of `threads` threads (at least 1) with `dynamic` bytes of dynamic shared memory.
pub fn limits(entry: &program::Function, chip: &Chip, threads: u32, dynamic: usize) -> Limits {
    let warps = threads.div_ceil(32).max(1);
    let shared = u64::from(entry.shared) + dynamic as u64 + u64::from(SHARED_RESERVED);
    let registers = entry.registers.clamp(16, 255).next_multiple_of(8) * 32 * warps;
    let by_shared = u64::from(chip.shared_per_multiprocessor) / shared;
    Limits {
        blocks: chip.blocks_per_multiprocessor,
        warps: chip.threads_per_multiprocessor / (32 * warps),
        registers: REGISTERS / registers,
        shared: u32::try_from(by_shared).unwrap_or(u32::MAX),
    }
}

/// Most blocks of a cluster that every chip of the generation has, and of one on request.
const PORTABLE_CLUSTER: u32 = 8;
const LARGE_CLUSTER: u32 = 16;

/// Most blocks that a cluster of a function may have.
pub fn cluster_limit(function: &Function) -> Result<u32> {
    if Chip::current()?.major < 9 {
        return Ok(1);
    }
    Ok(
        match function.allows_large_clusters.load(Ordering::Relaxed) {
            true => LARGE_CLUSTER,
            false => PORTABLE_CLUSTER,
        },
    )
}

/// Blocks of the whole device that a launch would have at once.
fn resident(function: &Function, config: &Config) -> Result<u32> {
    let each = blocks(function, config.threads()?, config.shared())?;
    Ok(each * Chip::current()?.multiprocessors)
}

/// The block size that keeps most threads on a multiprocessor.
unsafe fn best(
    grid: *mut c_int,
    block: *mut c_int,
    function: usize,
    dynamic: impl Fn(c_int) -> usize,
    limit: c_int,
) -> Result<()> {
    let function = resolve(function)?.1;
    let limit = if limit <= 0 { 1024 } else { limit as u32 };
    let mut found = (0, 32, 0);
    for threads in (32..=limit.min(function.max_threads()).max(32)).step_by(32) {
        let count = blocks(&function, threads, dynamic(threads as c_int))?;
        if count * threads >= found.0 {
            found = (count * threads, threads, count);
        }
    }
    // SAFETY: the entry points give pointers that are null or valid.
    unsafe {
        put(grid, (found.2 * Chip::current()?.multiprocessors) as c_int)?;
        put(block, found.1 as c_int)
    }
}

super::api! {
    /// Blocks that a multiprocessor holds at once.
    fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
        count: *mut c_int,
        function: usize,
        threads: c_int,
        dynamic: usize,
    ) {
        let threads = u32::try_from(threads).map_err(|_| Error::InvalidValue)?;
        put(count, blocks(&resolve(function)?.1, threads, dynamic)? as c_int)
    }
    /// As before.
    fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        count: *mut c_int,
        function: usize,
        threads: c_int,
        dynamic: usize,
        _flags: c_uint,
    ) {
        let threads = u32::try_from(threads).map_err(|_| Error::InvalidValue)?;
        put(count, blocks(&resolve(function)?.1, threads, dynamic)? as c_int)
    }
    /// A grid and block size that fill the device.
    fn cuOccupancyMaxPotentialBlockSize(
        grid: *mut c_int,
        block: *mut c_int,
        function: usize,
        size: Option<unsafe extern "C" fn(c_int) -> usize>,
        dynamic: usize,
        limit: c_int,
    ) {
        best(grid, block, function, |threads| size.map_or(dynamic, |f| f(threads)), limit)
    }
    /// As before.
    fn cuOccupancyMaxPotentialBlockSizeWithFlags(
        grid: *mut c_int,
        block: *mut c_int,
        function: usize,
        size: Option<unsafe extern "C" fn(c_int) -> usize>,
        dynamic: usize,
        limit: c_int,
        _flags: c_uint,
    ) {
        best(grid, block, function, |threads| size.map_or(dynamic, |f| f(threads)), limit)
    }
    /// Clusters of a launch that the device holds at once.
    fn cuOccupancyMaxActiveClusters(count: *mut c_int, function: usize, config: *const Config) {
        let config = config.as_ref().ok_or(Error::InvalidValue)?;
        let function = resolve(function)?.1;
        let cluster = config.cluster().or(function.entry().limits.required_cluster);
        let size = cluster.unwrap_or([1; 3]).iter().fold(1, |n: u32, k| n.saturating_mul(*k));
        if size == 0 || size > cluster_limit(&function)? {
            return Err(Error::InvalidClusterSize);
        }
        put(count, (resident(&function, config)? / size) as c_int)
    }
    /// Most blocks that a cluster of a launch may have.
    fn cuOccupancyMaxPotentialClusterSize(
        size: *mut c_int,
        function: usize,
        config: *const Config,
    ) {
        let config = config.as_ref().ok_or(Error::InvalidValue)?;
        let function = resolve(function)?.1;
        put(size, cluster_limit(&function)?.min(resident(&function, config)?) as c_int)
    }
    /// Dynamic shared memory that leaves room for so many blocks.
    fn cuOccupancyAvailableDynamicSMemPerBlock(
        bytes: *mut usize,
        function: usize,
        count: c_int,
        _threads: c_int,
    ) {
        let function = resolve(function)?.1;
        let count = u32::try_from(count).ok().filter(|n| *n > 0).ok_or(Error::InvalidValue)?;
        let chip = Chip::current()?;
        let each = chip.shared_per_multiprocessor / count;
        let left = each.saturating_sub(SHARED_RESERVED + function.entry().shared);
        put(bytes, left.min(chip.shared_per_block) as usize)
    }
}
