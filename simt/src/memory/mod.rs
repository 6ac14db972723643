//! Memory of the virtual GPU.
//!
//! Global memory lies in one reserved range of the host's addresses, and a device address is the host
//! address: pinned host memory needs no other pointer, as on a system with unified addressing. Shared,
//! local and parameter memory have offsets of their own, and windows in the generic address space far
//! above any host address.

mod allocations;
mod arena;
mod reserved;

pub use allocations::Allocations;
pub use arena::{Arena, OutOfMemory};
pub use reserved::{Reserved, anonymous_file};

/// Generic address of the first byte of shared memory. Its low half is zero, as programs that cut a
/// generic address to 32 bits expect.
pub const SHARED_WINDOW: u64 = 1 << 56;
/// Generic address of the first byte of a thread's local memory.
pub const LOCAL_WINDOW: u64 = 2 << 56;
/// Generic address of the first byte of a kernel's parameters.
pub const PARAM_WINDOW: u64 = 3 << 56;
/// Addresses of functions: the index of the function follows.
pub const FUNCTION_WINDOW: u64 = 4 << 56;
/// The bits that tell a window.
pub const WINDOW_MASK: u64 = 0xff << 56;
