//! `cuGraphAddNode` and its kin, which take the parameters of any kind of node.

use super::exec::{set, set_child};
use super::kernel_node::{self, KernelParams};
use super::memory::{AllocParams, Reservation};
use super::nodes::{HostParams, add_node, fill_of};
use super::replace;
use crate::driver::copy::{self, Copy3D};
use crate::driver::wait_value::{self, BatchParams};
use crate::driver::work::{Fill, HostCall, Work};
use crate::driver::{Error, Result, event, unsupported};
use std::ffi::c_uint;

/// `CUgraphNodeParams`: a kind and the parameters of that kind.
#[repr(C)]
pub struct NodeParams {
    kind: c_uint,
    _reserved: [c_uint; 3],
    params: [u64; 29],
    _end: u64,
}

/// `CUDA_MEMCPY_NODE_PARAMS`
#[repr(C)]
struct CopyParams {
    flags: c_uint,
    _reserved: c_uint,
    context: usize,
    copy: Copy3D,
}

/// What the parameters ask for; memory's address is written into them.
unsafe fn work(params: *mut NodeParams) -> Result<Work> {
    // SAFETY: the entry points give pointers that are null or valid, with the kind that they say.
    unsafe {
        let params = params.as_mut().ok_or(Error::InvalidValue)?;
        let first = params.params.as_mut_ptr();
        let event = || event::get(first.read() as usize).map(|_| first.read() as usize);
        Ok(match params.kind {
            0 => Work::Kernel(kernel_node::of_node(first.cast::<KernelParams>(), true)?),
            1 => Work::Copy(copy::of_node(
                &raw const (*first.cast::<CopyParams>()).copy,
            )?),
            2 => Work::Fill(fill_of(first.cast::<Fill>())?),
            3 => Work::Host(HostCall::of(first.cast::<HostParams>())?),
            4 => Work::Graph(first.read() as usize),
            5 => Work::Nothing,
            6 => Work::Wait(event()?),
            7 => Work::Record(event()?),
            10 => Work::Allocate(Reservation::of(first.cast::<AllocParams>())?),
            11 if super::memory::is_reserved(first.read()) => Work::Free(first.read()),
            11 => return Err(Error::InvalidValue),
            12 => Work::Words(wait_value::of_node(first.cast::<BatchParams>())?),
            13 => return unsupported::note("conditional graph nodes"),
            8 | 9 => return unsupported::note("external semaphores in graphs"),
            _ => return Err(Error::InvalidValue),
        })
    }
}

crate::driver::api! {
    /// A node of any kind.
    fn cuGraphAddNode(
        to: *mut usize, graph: usize, behind: *const usize, count: usize, params: *mut NodeParams,
    ) {
        add_node(to, graph, behind, count, work(params)?)
    }
    /// As before; edges carry no data.
    fn cuGraphAddNode_v2(
        to: *mut usize,
        graph: usize,
        behind: *const usize,
        _edges: *const u64,
        count: usize,
        params: *mut NodeParams,
    ) {
        add_node(to, graph, behind, count, work(params)?)
    }
    /// Other parameters of the same kind.
    fn cuGraphNodeSetParams(node: usize, params: *mut NodeParams) { replace(node, work(params)?) }
    /// Other parameters of the same kind.
    fn cuGraphExecNodeSetParams(exec: usize, node: usize, params: *mut NodeParams) {
        match work(params)? {
            Work::Graph(child) => set_child(exec, node, child),
            other => set(exec, node, other),
        }
    }
}
