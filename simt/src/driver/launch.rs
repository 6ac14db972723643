//! `cuLaunchKernel` and its kin.

use super::chip::Chip;
use super::function::{self, Function};
use super::state::current;
use super::work::{Work, submit};
use super::{Error, Result, event};
use crate::exec::grid::{ChipLimits, Launch, Shape};
use std::ffi::{c_uint, c_void};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// `CUlaunchConfig`
#[repr(C)]
pub struct Config {
    grid: [c_uint; 3],
    block: [c_uint; 3],
    shared: c_uint,
    stream: usize,
    attributes: *const Attribute,
    count: c_uint,
}

impl Config {
    /// Threads of a block.
    pub fn threads(&self) -> Result<u32> {
        let threads = self.block.iter().try_fold(1u32, |n, k| n.checked_mul(*k));
        threads.filter(|n| *n > 0).ok_or(Error::InvalidValue)
    }

    /// Bytes of dynamic shared memory.
    pub fn shared(&self) -> usize {
        self.shared as usize
    }

    /// Attributes as the caller gave them.
    fn attributes(&self) -> &[Attribute] {
        match self.attributes.is_null() || self.count == 0 {
            true => &[],
            // SAFETY: the caller gives so many.
            false => unsafe { std::slice::from_raw_parts(self.attributes, self.count as usize) },
        }
    }

    /// The cluster that the attributes ask for.
    pub fn cluster(&self) -> Option<[u32; 3]> {
        let found = self
            .attributes()
            .iter()
            .find(|a| a.id == CLUSTER_DIMENSION)?;
        let extent = [0, 1, 2].map(|axis| found.value[axis]);
        (extent != [0; 3]).then_some(extent)
    }
}

/// `CUlaunchAttribute`
#[repr(C)]
pub struct Attribute {
    id: c_uint,
    _pad: c_uint,
    value: [u32; 16],
}

/// A launch with its arguments.
#[derive(Clone)]
pub struct Kernel {
    pub function: usize,
    pub shape: Shape,
    params: Arc<[u8]>,
    /// Where each parameter is in `params`.
    pub pointers: Arc<[usize]>,
}

/// `CUlaunchAttributeID`
pub const COOPERATIVE: c_uint = 2;
pub const CLUSTER_DIMENSION: c_uint = 4;
/// Events that happen when a launch begins or ends.
const PROGRAMMATIC_EVENT: c_uint = 7;
const COMPLETION_EVENT: c_uint = 12;

/// Ends of the `extra` list.
const EXTRA_END: usize = 0;
const EXTRA_POINTER: usize = 1;
const EXTRA_SIZE: usize = 2;

/// Host threads that a launch may use: `SIMT_THREADS`, or all of the machine.
fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| {
        let asked = std::env::var("SIMT_THREADS")
            .ok()
            .and_then(|n| n.parse().ok());
        let all = || std::thread::available_parallelism().map_or(1, |n| n.get());
        asked.filter(|n| *n > 0).unwrap_or_else(all)
    })
}

/// Longest that a launch may run: `SIMT_TIMEOUT` in seconds, or forever.
fn timeout() -> Option<Duration> {
    static TIMEOUT: OnceLock<Option<Duration>> = OnceLock::new();
    *TIMEOUT.get_or_init(|| {
        let seconds: f64 = std::env::var("SIMT_TIMEOUT").ok()?.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    })
}

/// Argument bytes from a list of pointers, or from a buffer that `extra` names.
unsafe fn arguments(
    function: &Function,
    params: *const *const u8,
    extra: *const *const c_void,
) -> Result<Vec<u8>> {
    let entry = function.entry();
    let mut bytes = vec![0; entry.param_bytes as usize];
    if !extra.is_null() {
        let (mut buffer, mut size, mut at) = (std::ptr::null::<u8>(), 0, 0);
        loop {
            // SAFETY: the list goes on until its end is marked.
            unsafe {
                match extra.add(at).read() as usize {
                    EXTRA_END => break,
                    EXTRA_POINTER => buffer = extra.add(at + 1).read().cast(),
                    EXTRA_SIZE => {
                        let from = extra.add(at + 1).read().cast::<usize>();
                        size = *from.as_ref().ok_or(Error::InvalidValue)?;
                    }
                    _ => return Err(Error::InvalidValue),
                }
            }
            at += 2;
        }
        if buffer.is_null() && !bytes.is_empty() {
            return Err(Error::InvalidValue);
        }
        if size < bytes.len() {
            return Err(Error::InvalidValue);
        }
        let length = bytes.len();
        // SAFETY: the buffer has as many bytes as the list says.
        unsafe { bytes.as_mut_ptr().copy_from(buffer, length) };
        return Ok(bytes);
    }
    if params.is_null() && !entry.params.is_empty() {
        return Err(Error::InvalidValue);
    }
    for (index, (offset, size)) in entry.params.iter().enumerate() {
        // SAFETY: there is a pointer for every parameter, to as many bytes as it has.
        unsafe {
            let from = params.add(index).read();
            if from.is_null() {
                return Err(Error::InvalidValue);
            }
            bytes
                .as_mut_ptr()
                .add(*offset as usize)
                .copy_from(from, *size as usize);
        }
    }
    Ok(bytes)
}

fn check(function: &Function, shape: &Shape, chip: &Chip) -> Result<()> {
    let entry = function.entry();
    let threads = shape
        .block
        .iter()
        .try_fold(1u32, |n, k| n.checked_mul(*k))
        .unwrap_or(u32::MAX);
    let [x, y, z] = shape.block;
    let [gx, gy, gz] = shape.grid;
    if threads == 0 || threads > 1024 || x > 1024 || y > 1024 || z > 64 {
        return Err(Error::InvalidValue);
    }
    if gx == 0 || gy == 0 || gz == 0 || gx > i32::MAX as u32 || gy > 65535 || gz > 65535 {
        return Err(Error::InvalidValue);
    }
    if entry
        .limits
        .required_threads
        .is_some_and(|required| required != shape.block)
    {
        return Err(Error::InvalidValue);
    }
    if threads > function.max_threads() {
        return Err(Error::LaunchOutOfResources);
    }
    let limit = function.dynamic_limit.load(Ordering::Relaxed);
    let total = u64::from(shape.dynamic_shared) + u64::from(entry.shared);
    if shape.dynamic_shared > limit || total > u64::from(chip.shared_per_block) {
        return Err(Error::InvalidValue);
    }
    if let Some(cluster) = shape.cluster {
        let fits = shape
            .grid
            .iter()
            .zip(cluster)
            .all(|(g, c)| c > 0 && g % c == 0);
        let most = super::occupancy::cluster_limit(function)?;
        let blocks = cluster.iter().map(|c| u64::from(*c)).product::<u64>();
        let required = entry.limits.required_cluster;
        if chip.major < 9 && blocks > 1 {
            return Err(Error::NotSupported);
        }
        if !fits || blocks > most.into() || required.is_some_and(|r| r != cluster) {
            return Err(Error::InvalidClusterSize);
        }
    }
    if shape.cooperative {
        let each = super::occupancy::blocks(function, threads, shape.dynamic_shared as usize)?;
        let blocks: u64 = shape.grid.iter().map(|n| u64::from(*n)).product();
        if blocks > u64::from(each * chip.multiprocessors) {
            return Err(Error::CooperativeLaunchTooLarge);
        }
    }
    Ok(())
}

/// Checks a launch, and takes its arguments.
///
/// # Safety
/// As for `cuLaunchKernel`.
pub unsafe fn prepare(
    handle: usize,
    mut shape: Shape,
    params: *const *const u8,
    extra: *const *const c_void,
) -> Result<Kernel> {
    let device = current()?.device()?;
    let (handle, function) = function::resolve(handle)?;
    shape.cluster = shape.cluster.or(function.entry().limits.required_cluster);
    check(&function, &shape, &device.chip)?;
    // SAFETY: the caller's promise.
    let params: Arc<[u8]> = unsafe { arguments(&function, params, extra) }?.into();
    let first = params.as_ptr() as usize;
    let offsets = function.entry().params.iter();
    let pointers = offsets
        .map(|(offset, _)| first + *offset as usize)
        .collect();
    Ok(Kernel {
        function: handle,
        shape,
        params,
        pointers,
    })
}

unsafe fn launch(
    handle: usize,
    shape: Shape,
    stream: usize,
    params: *const *const u8,
    extra: *const *const c_void,
) -> Result<()> {
    super::stream::check(stream)?;
    // SAFETY: the caller's promise.
    submit(
        stream,
        Work::Kernel(unsafe { prepare(handle, shape, params, extra) }?),
    )
}

impl Kernel {
    /// The entry's name.
    pub fn name(&self) -> Result<String> {
        Ok(function::resolve(self.function)?.1.entry().name.clone())
    }

    /// Gives it another shape.
    pub fn reshape(&mut self, mut shape: Shape) -> Result<()> {
        let (_, function) = function::resolve(self.function)?;
        shape.cluster = shape.cluster.or(function.entry().limits.required_cluster);
        check(&function, &shape, &current()?.device()?.chip)?;
        self.shape = shape;
        Ok(())
    }

    /// Runs all of it.
    pub fn run(&self) -> Result<()> {
        let context = current()?;
        let device = context.device()?;
        let (_, function) = function::resolve(self.function)?;
        let memory = context.reach()?;
        let limits = ChipLimits {
            multiprocessors: device.chip.multiprocessors,
            warps_per_sm: device.chip.threads_per_multiprocessor / 32,
        };
        let program = Arc::clone(&function.program);
        let params = self.params.to_vec();
        let mut launch = Launch::new(program, function.index, &self.shape, params, memory, limits);
        launch.id = device.launches.fetch_add(1, Ordering::Relaxed);
        launch.timeout = timeout();
        launch.watches = crate::watch::registered().to_vec();
        if let Err(report) = launch.run(threads()) {
            eprintln!("simt: {report}");
            let error = super::error::of_fault(&report.fault);
            context.broken.store(error as u32, Ordering::Relaxed);
            // As on the chip, it is the calls after the launch that tell.
        }
        Ok(())
    }
}

super::api! {
    /// Runs an entry on a grid.
    fn cuLaunchKernel(
        function: usize,
        grid_x: c_uint,
        grid_y: c_uint,
        grid_z: c_uint,
        block_x: c_uint,
        block_y: c_uint,
        block_z: c_uint,
        shared: c_uint,
        stream: usize,
        params: *const *const u8,
        extra: *const *const c_void,
    ) {
        let shape = Shape {
            grid: [grid_x, grid_y, grid_z],
            block: [block_x, block_y, block_z],
            cluster: None,
            cooperative: false,
            dynamic_shared: shared,
        };
        launch(function, shape, stream, params, extra)
    }
    /// As `cuLaunchKernel`, with blocks that may wait for one another.
    fn cuLaunchCooperativeKernel(
        function: usize,
        grid_x: c_uint,
        grid_y: c_uint,
        grid_z: c_uint,
        block_x: c_uint,
        block_y: c_uint,
        block_z: c_uint,
        shared: c_uint,
        stream: usize,
        params: *const *const u8,
    ) {
        let shape = Shape {
            grid: [grid_x, grid_y, grid_z],
            block: [block_x, block_y, block_z],
            cluster: None,
            cooperative: true,
            dynamic_shared: shared,
        };
        launch(function, shape, stream, params, std::ptr::null())
    }
    /// As `cuLaunchKernel`, with attributes: of these, clusters, cooperation and events count.
    fn cuLaunchKernelEx(
        config: *const Config,
        function: usize,
        params: *const *const u8,
        extra: *const *const c_void,
    ) {
        let config = config.as_ref().ok_or(Error::InvalidValue)?;
        let (mut cooperative, mut happens) = (false, Vec::new());
        for attribute in config.attributes() {
            match attribute.id {
                COOPERATIVE => cooperative = attribute.value[0] != 0,
                PROGRAMMATIC_EVENT | COMPLETION_EVENT => {
                    let event = u64::from(attribute.value[0]) | u64::from(attribute.value[1]) << 32;
                    happens.push(event as usize);
                }
                _ => {}
            }
        }
        let shape = Shape {
            grid: config.grid,
            block: config.block,
            cluster: config.cluster(),
            cooperative,
            dynamic_shared: config.shared,
        };
        launch(function, shape, config.stream, params, extra)?;
        happens.into_iter().try_for_each(|event| event::record(event, config.stream, 0))
    }
    /// Not supported: one kernel on several devices.
    fn cuLaunchCooperativeKernelMultiDevice(_list: *const c_void, _count: c_uint, _flags: c_uint) {
        super::unsupported::note("cuLaunchCooperativeKernelMultiDevice")
    }
}
