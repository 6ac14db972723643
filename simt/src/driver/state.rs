//! What the driver keeps: devices, contexts, and the things that handles stand for.

use super::chip::Chip;
use super::{Error, Result};
use crate::memory::{Allocations, Arena};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Locks; what a panicking thread left behind is still consistent, since it is changed in one step.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A virtual GPU.
pub struct Device {
    pub chip: Chip,
    pub arena: Mutex<Arena>,
    /// How often the primary context is held.
    pub primary: Mutex<(usize, u32)>,
    pub primary_flags: AtomicU32,
    /// Contexts that exist on it.
    contexts: AtomicUsize,
    pub launches: AtomicU64,
    /// How often all its memory has been given back: what is older holds none of it.
    pub epoch: AtomicUsize,
}

/// A context: what is current on a thread.
pub struct Context {
    pub device: usize,
    /// The error that ended it, or 0. As on the chip, it stays.
    pub broken: AtomicU32,
    pub limits: Mutex<HashMap<u32, usize>>,
    /// Devices whose memory its kernels may touch beside its own.
    pub peers: Mutex<BTreeSet<usize>>,
    /// A number that no other context of the process has.
    pub id: u64,
    pub flags: AtomicU32,
}

/// Things by handle. A handle is no address, so that a wrong one is noticed.
pub struct Registry<T>(OnceLock<Mutex<HashMap<usize, Arc<T>>>>);

/// Handles are numbered from here on, in steps that leave room for handles with a meaning.
static NEXT: AtomicUsize = AtomicUsize::new(0x1_0000);

impl<T> Registry<T> {
    pub const fn new() -> Registry<T> {
        Registry(OnceLock::new())
    }

    fn map(&self) -> MutexGuard<'_, HashMap<usize, Arc<T>>> {
        lock(self.0.get_or_init(Mutex::default))
    }

    /// A handle for a new thing.
    pub fn insert(&self, thing: T) -> usize {
        let handle = NEXT.fetch_add(16, Ordering::Relaxed);
        self.map().insert(handle, Arc::new(thing));
        handle
    }

    /// Puts a thing in the place of one that has been removed.
    pub fn set(&self, handle: usize, thing: T) {
        self.map().insert(handle, Arc::new(thing));
    }

    /// The thing that a handle stands for.
    pub fn get(&self, handle: usize) -> Result<Arc<T>> {
        self.map().get(&handle).cloned().ok_or(Error::InvalidHandle)
    }

    /// Forgets a handle.
    pub fn remove(&self, handle: usize) -> Result<Arc<T>> {
        self.map().remove(&handle).ok_or(Error::InvalidHandle)
    }
}

pub static CONTEXTS: Registry<Context> = Registry::new();
static INITIALISED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Contexts of this thread, the current one last.
    static STACK: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// What `cuInit` does.
pub fn initialise() {
    INITIALISED.store(true, Ordering::Relaxed);
}

/// The devices, of which there are `SIMT_DEVICES`, or as many as `SIMT_ARCH` names, each with `SIMT_MEMORY` bytes.
pub fn devices() -> Result<&'static [Device]> {
    static DEVICES: OnceLock<Vec<Device>> = OnceLock::new();
    if !INITIALISED.load(Ordering::Relaxed) {
        return Err(Error::NotInitialized);
    }
    let devices = DEVICES.get_or_init(|| {
        let named = Chip::chosen().len() as u64;
        let count = number("SIMT_DEVICES").unwrap_or(named).min(64);
        let bytes = number("SIMT_MEMORY").unwrap_or(80 << 30).max(1 << 20);
        let device = |at| {
            let mut bytes = bytes;
            // A host with a limit on addresses gives what it can.
            let mut arena = loop {
                match Arena::new(bytes) {
                    Ok(arena) => break arena,
                    Err(_) if bytes > 1 << 24 => bytes /= 2,
                    Err(_) => return None,
                }
            };
            if !crate::watch::registered().is_empty() {
                arena.listener = Some(crate::watch::tell);
                arena.keeps_freed = crate::check::keeps_freed();
            }
            Some(Device {
                chip: Chip::of(at as usize),
                arena: Mutex::new(arena),
                primary: Mutex::new((0, 0)),
                primary_flags: AtomicU32::new(0),
                contexts: AtomicUsize::new(0),
                launches: AtomicU64::new(0),
                epoch: AtomicUsize::new(0),
            })
        };
        (0..count).map_while(device).collect()
    });
    Ok(devices)
}

/// A number of a variable, with an optional K, M or G behind it.
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" | "k" | "KiB" => 1 << 10,
        "M" | "m" | "MiB" => 1 << 20,
        "G" | "g" | "GiB" => 1u64 << 30,
        _ => 0,
    };
    let value = digits
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(unit))
        .filter(|n| *n > 0);
    if value.is_none() {
        eprintln!("simt: {variable}={text} is no number");
    }
    value
}

/// The device of an ordinal.
pub fn device(ordinal: i32) -> Result<&'static Device> {
    let devices = devices()?;
    usize::try_from(ordinal)
        .ok()
        .and_then(|at| devices.get(at))
        .ok_or(Error::InvalidDevice)
}

impl Device {
    /// A new context on the device of that index.
    pub fn create_context(&self, index: usize) -> usize {
        static IDS: AtomicU64 = AtomicU64::new(1);
        self.contexts.fetch_add(1, Ordering::Relaxed);
        CONTEXTS.insert(Context {
            device: index,
            broken: AtomicU32::new(0),
            limits: Mutex::default(),
            peers: Mutex::default(),
            id: IDS.fetch_add(1, Ordering::Relaxed),
            flags: AtomicU32::new(0),
        })
    }

    /// Ends a context; with the last one goes all memory of the device.
    pub fn destroy_context(&self, handle: usize) -> Result<()> {
        CONTEXTS.remove(handle)?;
        if self.contexts.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.epoch.fetch_add(1, Ordering::Relaxed);
            crate::watch::tell(&crate::watch::Event::DeviceEnds);
            lock(&self.arena).free_all();
        }
        Ok(())
    }
}

/// The contexts of this thread.
pub fn with_stack<T>(f: impl FnOnce(&mut Vec<usize>) -> T) -> T {
    STACK.with(|stack| f(&mut stack.borrow_mut()))
}

/// The current context's handle, 0 where there is none.
pub fn current_handle() -> usize {
    with_stack(|stack| stack.last().copied().unwrap_or(0))
}

/// The current context, whatever state it is in.
pub fn current_any() -> Result<Arc<Context>> {
    devices()?;
    CONTEXTS
        .get(current_handle())
        .map_err(|_| Error::InvalidContext)
}

/// The current context.
///
/// # Errors
/// None is current, or an error has ended it: every later call gets the same one.
pub fn current() -> Result<Arc<Context>> {
    let context = current_any()?;
    super::error::check(context.broken.load(Ordering::Relaxed))?;
    Ok(context)
}

impl Context {
    /// Its device.
    pub fn device(&self) -> Result<&'static Device> {
        devices()?.get(self.device).ok_or(Error::InvalidDevice)
    }

    /// What its kernels may touch.
    pub fn reach(&self) -> Result<Allocations> {
        let own = lock(&self.device()?.arena).allocations();
        let peers = lock(&self.peers);
        if peers.is_empty() {
            return Ok(own);
        }
        let others = peers.iter().filter_map(|peer| devices().ok()?.get(*peer));
        Ok(others.fold(own, |all, device| {
            all.joined(&lock(&device.arena).allocations())
        }))
    }
}
