//! A GPU in use: its context, one stream for all work, its memory and its kernels.

use super::allocator::{Allocator, Usage};
use super::download::Landing;
use super::driver::{self, Driver, unavailable};
use super::launches::Launches;
use super::modules::Modules;
use super::recorder::Recorder;
use super::staging::Staging;
use crate::device::{DeviceError, Result};
use cudarc::driver::sys::CUdevice_attribute::*;
use cudarc::driver::{DriverError, result, sys};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The first architecture with what the kernels use: bf16 products, asynchronous copies to shared
/// memory.
const OLDEST: (u32, u32) = (8, 0);

/// Compute capability of sm_90a.
const HOPPER: (u32, u32) = (9, 0);
/// Set: Hopper runs the kernels that every GPU runs.
const NO_HOPPER: &str = "LREM_NO_HOPPER";

/// A GPU with everything that lives on it. All work goes to one stream in the order of the calls, so
/// memory that was given back can be handed out again at once, or when the launches that were put off are
/// sent.
pub struct Context {
    /// As the driver calls the GPU.
    pub name: String,
    /// Compute capability, such as (9, 0).
    pub capability: (u32, u32),
    pub multiprocessors: u32,
    /// Most bytes of shared memory that a block may ask for.
    pub shared_memory: usize,
    is_hopper: bool,
    pub(super) stream: sys::CUstream,
    context: sys::CUcontext,
    device: sys::CUdevice,
    allocator: Mutex<Allocator>,
    staging: Mutex<Option<Staging>>,
    /// Not in use.
    landings: Mutex<Vec<Landing>>,
    modules: Mutex<Modules>,
    launches: Mutex<Launches>,
    recorder: Mutex<Recorder>,
}

// SAFETY: handles of the driver, which any thread may use after it has made the context current; what
// is not a handle is behind locks.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    /// Opens GPU `ordinal` of a driver.
    ///
    /// # Errors
    /// In one line: no driver, no such GPU, one that is too old, or a program without kernels.
    pub fn open(driver: Driver, ordinal: usize) -> Result<Context> {
        driver::open(driver)?;
        if super::kernels().is_empty() {
            let what = "this program was built without NVRTC and has no kernels; run `make setup`, then build again";
            return Err(unavailable(driver, what));
        }
        Context::start(driver, ordinal).map_err(|error| match error {
            Start::Driver(error) => unavailable(driver, format!("GPU {ordinal}: {:?}", error.0)),
            Start::TooOld(name, (major, minor)) => unavailable(
                driver,
                format!(
                    "GPU {ordinal} ({name}) has compute capability {major}.{minor}; the kernels need {}.{} or later",
                    OLDEST.0, OLDEST.1
                ),
            ),
        })
    }

    fn start(driver: Driver, ordinal: usize) -> std::result::Result<Context, Start> {
        let device = result::device::get(i32::try_from(ordinal).unwrap_or(i32::MAX))?;
        // SAFETY: `device` comes from the driver.
        let attribute = |which| unsafe { result::device::get_attribute(device, which) };
        let number = |which| attribute(which).map(|value| value.max(0) as u32);
        let name = result::device::get_name(device)?;
        let capability = (
            number(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            number(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        );
        if capability < OLDEST {
            return Err(Start::TooOld(name, capability));
        }
        // SAFETY: retained once here and released once when dropped; current before the stream is made.
        let (context, stream) = unsafe {
            let context = result::primary_ctx::retain(device)?;
            result::ctx::set_current(context)?;
            let stream = result::stream::create(result::stream::StreamKind::NonBlocking)?;
            (context, stream)
        };
        let shared = number(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)? as usize;
        Ok(Context {
            name,
            capability,
            multiprocessors: number(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            shared_memory: shared,
            is_hopper: capability == HOPPER && std::env::var_os(NO_HOPPER).is_none(),
            stream,
            context,
            device,
            allocator: Mutex::default(),
            staging: Mutex::default(),
            landings: Mutex::default(),
            modules: Mutex::new(Modules::new(driver, capability, shared)),
            launches: Mutex::default(),
            recorder: Mutex::default(),
        })
    }

    /// Whether its kernels are those of sm_90a where there are some: products of warpgroups, copies by tensor maps.
    pub fn is_hopper(&self) -> bool {
        self.is_hopper
    }

    /// Makes the context current on this thread, which every call of the driver needs.
    pub(super) fn bind(&self) -> Result<()> {
        // SAFETY: the context is alive as long as `self`.
        unsafe { result::ctx::set_current(self.context) }.map_err(failed("set the context"))
    }

    /// Waits until all work is done, and tells what went wrong in it.
    pub fn synchronize(&self) -> Result<()> {
        // Copies may be under way to memory of the caller, so what cannot be sent is no reason not to wait.
        let sent = self.flush();
        self.bind()?;
        // SAFETY: the stream is alive as long as `self`.
        let waited = unsafe { result::stream::synchronize(self.stream) };
        sent.and(waited.map_err(failed("synchronize")))
    }

    /// Memory in use, at most in use, and held from the driver.
    pub fn usage(&self) -> Usage {
        self.allocator().usage()
    }

    /// An address of at least `bytes` bytes with nothing in particular in them.
    pub(super) fn allocate(&self, bytes: usize) -> Result<sys::CUdeviceptr> {
        self.bind()?;
        let allocate = || self.allocator().allocate(bytes, self.stream);
        if let Some(address) = allocate() {
            return Ok(address);
        }
        // Where there is no more, what launches hold back may do.
        self.flush()?;
        if let Some(address) = allocate() {
            return Ok(address);
        }
        let free = result::mem_get_info().map_or(0, |(free, _)| free);
        let held = self.usage().held;
        Err(DeviceError::OutOfMemory {
            device: format!("{} ({free} bytes free, {held} held)", self.name),
            needed: bytes,
        })
    }

    /// Takes back what [`Context::allocate`] gave for `bytes`.
    pub(super) fn free(&self, address: sys::CUdeviceptr, bytes: usize) {
        self.allocator().free(address, bytes);
    }

    /// Copies `bytes` to `address` on the stream, before the launches that were put off. They may change as
    /// soon as this returns.
    ///
    /// # Safety
    /// As many bytes at `address` are the stream's to write, and of new memory that nothing was told of.
    pub(super) unsafe fn upload(&self, bytes: &[u8], address: sys::CUdeviceptr) -> Result<()> {
        self.bind()?;
        self.count_copy();
        let mut slot = lock(&self.staging);
        let staging = match &mut *slot {
            Some(staging) => staging,
            none => none.insert(Staging::new()?),
        };
        // SAFETY: the context is current; the rest is the caller's promise.
        if unsafe { staging.send(bytes, address, self.stream) }? {
            return Ok(());
        }
        // SAFETY: as above; `bytes` outlive the copy, as the stream is waited for.
        unsafe { result::memcpy_htod_async(address, bytes, self.stream) }
            .map_err(failed("copy to the GPU"))?;
        self.synchronize()
    }

    /// The function of a kernel instance; its module is loaded at the first call.
    pub(super) fn function(&self, instance: &str) -> Result<sys::CUfunction> {
        let mut modules = lock(&self.modules);
        if let Some(function) = modules.loaded(instance) {
            return Ok(function);
        }
        self.bind()?;
        modules.function(instance)
    }

    pub(super) fn allocator(&self) -> MutexGuard<'_, Allocator> {
        lock(&self.allocator)
    }

    /// Pinned memory for downloads that is not in use.
    pub(super) fn landings(&self) -> MutexGuard<'_, Vec<Landing>> {
        lock(&self.landings)
    }

    pub(super) fn launches(&self) -> MutexGuard<'_, Launches> {
        lock(&self.launches)
    }

    /// Locked before the launches and the allocator, where a call needs several.
    pub(super) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        lock(&self.recorder)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.bind().is_err() {
            return;
        }
        // SAFETY: buffers hold the context, so none is left; the stream and the modules are not used
        // again. A failure here has nobody left to be told to.
        unsafe {
            let _ = result::stream::synchronize(self.stream);
            self.recorder().release();
            self.allocator().release();
            if let Some(staging) = lock(&self.staging).take() {
                staging.release();
            }
            for landing in self.landings().drain(..) {
                landing.release();
            }
            lock(&self.modules).unload();
            let _ = result::stream::destroy(self.stream);
            let _ = result::primary_ctx::release(self.device);
        }
    }
}

/// Why a GPU cannot be used.
enum Start {
    Driver(DriverError),
    TooOld(String, (u32, u32)),
}

impl From<DriverError> for Start {
    fn from(error: DriverError) -> Start {
        Start::Driver(error)
    }
}

/// Says which call failed, and how.
pub(super) fn failed(what: &str) -> impl FnOnce(DriverError) -> DeviceError {
    let what = what.to_owned();
    move |error| DeviceError::Driver {
        what,
        message: format!("{:?}", error.0),
    }
}

/// What the locks guard is whole between its calls, also where one of them panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
