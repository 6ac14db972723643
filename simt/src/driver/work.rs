//! What a stream or a graph is asked to do: done at once, or kept as a node.

use super::copy::Copy3D;
use super::graph::memory::Reservation;
use super::launch::Kernel;
use super::wait_value::Operation;
use super::{Result, capture, event, stream};
use std::ffi::c_void;
use std::sync::Arc;

/// `CUhostFn`
pub type HostFn = unsafe extern "C" fn(*mut c_void);

/// A function of the host and its argument.
#[derive(Clone, Copy)]
pub struct HostCall {
    pub function: HostFn,
    pub data: usize,
}

/// `CUDA_MEMSET_NODE_PARAMS`
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Fill {
    pub to: u64,
    /// Bytes from row to row.
    pub pitch: usize,
    pub value: u32,
    /// Bytes: 1, 2 or 4.
    pub element: u32,
    /// Elements.
    pub width: usize,
    pub height: usize,
}

/// One thing to do.
#[derive(Clone)]
pub enum Work {
    Nothing,
    Kernel(Kernel),
    Copy(Copy3D),
    Fill(Fill),
    Host(HostCall),
    Record(usize),
    Wait(usize),
    /// A graph by its handle.
    Graph(usize),
    Allocate(Arc<Reservation>),
    /// Ends the life of an allocation, by its address.
    Free(u64),
    Words(Arc<[Operation]>),
}

impl Work {
    /// `CUgraphNodeType`
    pub fn kind(&self) -> u32 {
        match self {
            Work::Kernel(_) => 0,
            Work::Copy(_) => 1,
            Work::Fill(_) => 2,
            Work::Host(_) => 3,
            Work::Graph(_) => 4,
            Work::Nothing => 5,
            Work::Wait(_) => 6,
            Work::Record(_) => 7,
            Work::Allocate(_) => 10,
            Work::Free(_) => 11,
            Work::Words(_) => 12,
        }
    }

    /// Does it.
    pub fn run(&self) -> Result<()> {
        match self {
            Work::Nothing | Work::Wait(_) | Work::Allocate(_) | Work::Free(_) => Ok(()),
            Work::Kernel(kernel) => kernel.run(),
            Work::Copy(copy) => copy.run(),
            Work::Fill(fill) => super::memory::fill_any(fill),
            Work::Host(call) => {
                // SAFETY: whoever gave the function promised that it may be called with its data.
                unsafe { (call.function)(call.data as *mut c_void) };
                Ok(())
            }
            Work::Record(event) => event::happened(*event),
            Work::Graph(graph) => super::graph::run(*graph),
            Work::Words(operations) => operations.iter().try_for_each(Operation::run),
        }
    }
}

/// Does something in the order of a stream: now, or, where the stream is captured, when the graph is
/// launched.
pub fn submit(handle: usize, work: Work) -> Result<()> {
    stream::check(handle)?;
    match capture::add(handle, &work)? {
        true => Ok(()),
        false => work.run(),
    }
}
