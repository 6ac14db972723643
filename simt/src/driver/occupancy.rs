//! `cuOccupancy…`

use super::chip::{Chip, REGISTERS, SHARED_RESERVED};
use super::function::{Function, resolve};
use super::launch::Config;
use super::{Error, Result, put};
use std::ffi::{c_int, c_uint};

/// Blocks that every chip with clusters takes together.
const LARGEST_CLUSTER: u32 = 8;

/// Blocks of `threads` threads that a multiprocessor holds at once.
pub fn blocks(function: &Function, threads: u32, dynamic: usize) -> Result<u32> {
    if threads == 0 {
        return Err(Error::InvalidValue);
    }
    let chip = Chip::chosen();
    if threads > function.max_threads() {
        return Ok(0);
    }
    let warps = threads.div_ceil(32);
    let entry = function.entry();
    let shared = u64::from(entry.shared) + dynamic as u64 + u64::from(SHARED_RESERVED);
    let registers = entry.registers.clamp(16, 255).next_multiple_of(8) * 32 * warps;
    let by_shared = u64::from(chip.shared_per_multiprocessor) / shared;
    let limits = [
        chip.blocks_per_multiprocessor,
        chip.threads_per_multiprocessor / (32 * warps),
        REGISTERS / registers,
        u32::try_from(by_shared).unwrap_or(u32::MAX),
    ];
    Ok(limits.into_iter().min().unwrap_or(0))
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
        put(grid, (found.2 * Chip::chosen().multiprocessors) as c_int)?;
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
    /// Dynamic shared memory that leaves room for so many blocks.
    fn cuOccupancyAvailableDynamicSMemPerBlock(
        bytes: *mut usize,
        function: usize,
        count: c_int,
        _threads: c_int,
    ) {
        let function = resolve(function)?.1;
        let count = u32::try_from(count).ok().filter(|n| *n > 0).ok_or(Error::InvalidValue)?;
        let each = Chip::chosen().shared_per_multiprocessor / count;
        let left = each.saturating_sub(SHARED_RESERVED + function.entry().shared);
        put(bytes, left.min(Chip::chosen().shared_per_block) as usize)
    }
    /// Clusters that the device holds at once.
    fn cuOccupancyMaxActiveClusters(count: *mut c_int, function: usize, config: *const Config) {
        let function = resolve(function)?.1;
        let config = config.as_ref().ok_or(Error::InvalidValue)?;
        let blocks = blocks(&function, config.threads()?, config.shared())?;
        let cluster = config.cluster().or(function.entry().limits.required_cluster);
        let size = cluster.map_or(1, |c| c.iter().product::<u32>()).max(1);
        if size > LARGEST_CLUSTER {
            return Err(Error::InvalidClusterSize);
        }
        put(count, (blocks * Chip::chosen().multiprocessors / size) as c_int)
    }
    /// The largest cluster that a launch may ask for.
    fn cuOccupancyMaxPotentialClusterSize(size: *mut c_int, function: usize, config: *const Config) {
        let function = resolve(function)?.1;
        let config = config.as_ref().ok_or(Error::InvalidValue)?;
        let is_possible = blocks(&function, config.threads()?, config.shared())? > 0;
        let largest = if Chip::chosen().major >= 9 { LARGEST_CLUSTER } else { 1 };
        put(size, if is_possible { largest as c_int } else { 0 })
    }
}
