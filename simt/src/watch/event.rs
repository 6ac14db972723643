//! What the host does to device memory.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Something that happened to device memory outside of kernels. [`call`] says which entry point of the
/// driver did it.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Memory belongs to the program now; what it holds is undefined.
    Allocated { address: u64, bytes: u64 },
    /// Memory of the host that kernels may touch now; it holds what the host wrote.
    Registered { address: u64, bytes: u64 },
    /// Memory belongs to nobody any more, whether allocated or registered.
    Freed { address: u64, bytes: u64 },
    /// Allocated memory is a variable of a module, and holds what the module says.
    Variable {
        name: &'a str,
        address: u64,
        bytes: u64,
    },
    /// The last context of a device ends: all memory that is left will be freed.
    DeviceEnds,
    /// Bytes have been moved or filled.
    Transferred(Transfer),
    /// A call was refused for what it asked of memory; `bytes` are those of a transfer.
    Refused {
        mistake: Mistake,
        address: u64,
        bytes: u64,
    },
}

/// What is wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// What is to be freed is no allocation.
    Free,
    /// What is to be copied or filled is not all in one allocation.
    Transfer,
}

/// Which way bytes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferKind {
    ToDevice,
    ToHost,
    OnDevice,
    /// Either side may be either memory.
    Anywhere,
    Fill,
}

/// A copy or fill that is done.
#[derive(Debug, Clone, Copy)]
pub struct Transfer {
    pub kind: TransferKind,
    pub to: u64,
    /// Where the bytes came from; 0 of a fill.
    pub from: u64,
    pub bytes: u64,
    pub started: Instant,
    pub took: Duration,
}

thread_local! {
    static CALL: Cell<&'static str> = const { Cell::new("") };
}

/// The entry point of the driver that this thread is in.
pub fn call() -> &'static str {
    CALL.get()
}

/// Runs the body of an entry point under its name.
pub fn with_call<T>(name: &'static str, body: impl FnOnce() -> T) -> T {
    let outer = CALL.replace(name);
    let result = body();
    CALL.set(outer);
    result
}

/// Tells everybody who looks on.
pub fn tell(event: &Event<'_>) {
    for watch in super::registered() {
        watch.host(event);
    }
}

/// Moves or fills `bytes` by `f`, and tells of it.
pub fn transfer(kind: TransferKind, to: u64, from: u64, bytes: usize, f: impl FnOnce()) {
    if super::registered().is_empty() {
        return f();
    }
    let started = Instant::now();
    f();
    tell(&Event::Transferred(Transfer {
        kind,
        to,
        from,
        bytes: bytes as u64,
        started,
        took: started.elapsed(),
    }));
}
