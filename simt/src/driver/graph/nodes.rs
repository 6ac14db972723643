//! Nodes of each kind: added, read and changed.

use super::kernel_node::{self, KernelParams};
use super::memory::{AllocParams, Reservation};
use super::{add, replace, work_of};
use crate::driver::copy::{self, Copy3D};
use crate::driver::stream::AttributeValue;
use crate::driver::stream_capture::nodes as list;
use crate::driver::wait_value::{self, BatchParams};
use crate::driver::work::{Fill, HostCall, HostFn, Work};
use crate::driver::{Error, Result, event, put, unsupported};
use crate::exec::grid::Shape;
use std::ffi::{c_uint, c_void};

/// `CUDA_HOST_NODE_PARAMS`
#[repr(C)]
pub struct HostParams {
    function: Option<HostFn>,
    data: *mut c_void,
}

impl HostCall {
    /// From a node's parameters.
    ///
    /// # Safety
    /// The pointer is null or valid.
    pub unsafe fn of(params: *const HostParams) -> Result<HostCall> {
        // SAFETY: the caller's promise.
        let params = unsafe { params.as_ref() }.ok_or(Error::InvalidValue)?;
        let function = params.function.ok_or(Error::InvalidValue)?;
        Ok(HostCall {
            function,
            data: params.data as usize,
        })
    }
}

/// Checks what can be known of a fill before it runs.
///
/// # Safety
/// The pointer is null or valid.
pub unsafe fn fill_of(params: *const Fill) -> Result<Fill> {
    // SAFETY: the caller's promise.
    let fill = *unsafe { params.as_ref() }.ok_or(Error::InvalidValue)?;
    match fill.element {
        1 | 2 | 4 => Ok(fill),
        _ => Err(Error::InvalidValue),
    }
}

/// Adds a node, and gives its handle.
///
/// # Safety
/// The pointers are null or valid.
pub unsafe fn add_node(
    to: *mut usize,
    graph: usize,
    behind: *const usize,
    count: usize,
    work: Work,
) -> Result<()> {
    if to.is_null() {
        return Err(Error::InvalidValue);
    }
    // SAFETY: the caller gives so many nodes, and room for one.
    unsafe { put(to, add(graph, &list(behind, count)?, work)?) }
}

crate::driver::api! {
    /// A node that does nothing, for others to wait for.
    fn cuGraphAddEmptyNode(to: *mut usize, graph: usize, behind: *const usize, count: usize) {
        add_node(to, graph, behind, count, Work::Nothing)
    }
    /// A launch.
    fn cuGraphAddKernelNode_v2(
        to: *mut usize, graph: usize, behind: *const usize, count: usize, params: *const KernelParams,
    ) {
        add_node(to, graph, behind, count, Work::Kernel(kernel_node::of_node(params, true)?))
    }
    /// A launch.
    fn cuGraphAddKernelNode(
        to: *mut usize, graph: usize, behind: *const usize, count: usize, params: *const KernelParams,
    ) {
        add_node(to, graph, behind, count, Work::Kernel(kernel_node::of_node(params, false)?))
    }
    /// A copy.
    fn cuGraphAddMemcpyNode(
        to: *mut usize, graph: usize, behind: *const usize, count: usize, params: *const Copy3D, _context: usize,
    ) {
        add_node(to, graph, behind, count, Work::Copy(copy::of_node(params)?))
    }
    /// A fill.
    fn cuGraphAddMemsetNode(
        to: *mut usize, graph: usize, behind: *const usize, count: usize, params: *const Fill, _context: usize,
    ) {
        add_node(to, graph, behind, count, Work::Fill(fill_of(params)?))
    }
    /// A function of the host.
    fn cuGraphAddHostNode(
        to: *mut usize, graph: usize, behind: *const usize, count: usize, params: *const HostParams,
    ) {
        add_node(to, graph, behind, count, Work::Host(HostCall::of(params)?))
    }
    /// A copy of a graph.
    fn cuGraphAddChildGraphNode(
        to: *mut usize, graph: usize, behind: *const usize, count: usize, child: usize,
    ) {
        if child == graph {
            return Err(Error::InvalidValue);
        }
        add_node(to, graph, behind, count, Work::Graph(child))
    }
    /// An event that happens.
    fn cuGraphAddEventRecordNode(
        to: *mut usize, graph: usize, behind: *const usize, count: usize, event: usize,
    ) {
        event::get(event)?;
        add_node(to, graph, behind, count, Work::Record(event))
    }
    /// An event that is waited for: it has happened.
    fn cuGraphAddEventWaitNode(
        to: *mut usize, graph: usize, behind: *const usize, count: usize, event: usize,
    ) {
        event::get(event)?;
        add_node(to, graph, behind, count, Work::Wait(event))
    }
    /// Memory, whose address is known at once and stays.
    fn cuGraphAddMemAllocNode(
        to: *mut usize, graph: usize, behind: *const usize, count: usize, params: *mut AllocParams,
    ) {
        let reservation = Reservation::of(params)?;
        add_node(to, graph, behind, count, Work::Allocate(reservation))
    }
    /// The end of such memory.
    fn cuGraphAddMemFreeNode(
        to: *mut usize, graph: usize, behind: *const usize, count: usize, address: u64,
    ) {
        if !super::memory::is_reserved(address) {
            return Err(Error::InvalidValue);
        }
        add_node(to, graph, behind, count, Work::Free(address))
    }
    /// Words written and waited for.
    fn cuGraphAddBatchMemOpNode(
        to: *mut usize, graph: usize, behind: *const usize, count: usize, params: *const BatchParams,
    ) {
        add_node(to, graph, behind, count, Work::Words(wait_value::of_node(params)?))
    }
    /// A launch's parameters; the pointers live as long as they are not changed.
    fn cuGraphKernelNodeGetParams_v2(node: usize, params: *mut KernelParams) {
        let Work::Kernel(kernel) = work_of(node)? else { return Err(Error::InvalidValue) };
        kernel_node::show(&kernel, params, true)
    }
    /// As before.
    fn cuGraphKernelNodeGetParams(node: usize, params: *mut KernelParams) {
        let Work::Kernel(kernel) = work_of(node)? else { return Err(Error::InvalidValue) };
        kernel_node::show(&kernel, params, false)
    }
    /// Another launch.
    fn cuGraphKernelNodeSetParams_v2(node: usize, params: *const KernelParams) {
        replace(node, Work::Kernel(kernel_node::of_node(params, true)?))
    }
    /// Another launch.
    fn cuGraphKernelNodeSetParams(node: usize, params: *const KernelParams) {
        replace(node, Work::Kernel(kernel_node::of_node(params, false)?))
    }
    /// Clusters and cooperation as set; zeros for the rest.
    fn cuGraphKernelNodeGetAttribute(node: usize, attribute: c_uint, value: *mut AttributeValue) {
        let Work::Kernel(kernel) = work_of(node)? else { return Err(Error::InvalidValue) };
        put(value, kernel.attribute(attribute))
    }
    /// Sets clusters or cooperation; the rest changes nothing.
    fn cuGraphKernelNodeSetAttribute(node: usize, attribute: c_uint, value: *const AttributeValue) {
        let value = *value.as_ref().ok_or(Error::InvalidValue)?;
        let Work::Kernel(mut kernel) = work_of(node)? else { return Err(Error::InvalidValue) };
        kernel.set_attribute(attribute, value)?;
        replace(node, Work::Kernel(kernel))
    }
    /// Gives a launch another's attributes.
    fn cuGraphKernelNodeCopyAttributes(to: usize, from: usize) {
        let (Work::Kernel(mut to_kernel), Work::Kernel(from)) = (work_of(to)?, work_of(from)?) else {
            return Err(Error::InvalidValue);
        };
        to_kernel.reshape(Shape {
            cluster: from.shape.cluster,
            cooperative: from.shape.cooperative,
            ..to_kernel.shape
        })?;
        replace(to, Work::Kernel(to_kernel))
    }
    /// A copy's parameters.
    fn cuGraphMemcpyNodeGetParams(node: usize, params: *mut Copy3D) {
        let Work::Copy(copy) = work_of(node)? else { return Err(Error::InvalidValue) };
        put(params, copy)
    }
    /// Another copy.
    fn cuGraphMemcpyNodeSetParams(node: usize, params: *const Copy3D) {
        replace(node, Work::Copy(copy::of_node(params)?))
    }
    /// A fill's parameters.
    fn cuGraphMemsetNodeGetParams(node: usize, params: *mut Fill) {
        let Work::Fill(fill) = work_of(node)? else { return Err(Error::InvalidValue) };
        put(params, fill)
    }
    /// Another fill.
    fn cuGraphMemsetNodeSetParams(node: usize, params: *const Fill) {
        replace(node, Work::Fill(fill_of(params)?))
    }
    /// A host function and its argument.
    fn cuGraphHostNodeGetParams(node: usize, params: *mut HostParams) {
        let Work::Host(call) = work_of(node)? else { return Err(Error::InvalidValue) };
        put(params, HostParams { function: Some(call.function), data: call.data as *mut c_void })
    }
    /// Another host function.
    fn cuGraphHostNodeSetParams(node: usize, params: *const HostParams) {
        replace(node, Work::Host(HostCall::of(params)?))
    }
    /// The graph that is a node's own.
    fn cuGraphChildGraphNodeGetGraph(node: usize, graph: *mut usize) {
        let Work::Graph(child) = work_of(node)? else { return Err(Error::InvalidValue) };
        put(graph, child)
    }
    /// The event of a node.
    fn cuGraphEventRecordNodeGetEvent(node: usize, to: *mut usize) {
        let Work::Record(event) = work_of(node)? else { return Err(Error::InvalidValue) };
        put(to, event)
    }
    /// Another event.
    fn cuGraphEventRecordNodeSetEvent(node: usize, event: usize) {
        event::get(event)?;
        replace(node, Work::Record(event))
    }
    /// The event of a node.
    fn cuGraphEventWaitNodeGetEvent(node: usize, to: *mut usize) {
        let Work::Wait(event) = work_of(node)? else { return Err(Error::InvalidValue) };
        put(to, event)
    }
    /// Another event.
    fn cuGraphEventWaitNodeSetEvent(node: usize, event: usize) {
        event::get(event)?;
        replace(node, Work::Wait(event))
    }
    /// Address and size of a node's memory.
    fn cuGraphMemAllocNodeGetParams(node: usize, params: *mut AllocParams) {
        let Work::Allocate(reservation) = work_of(node)? else { return Err(Error::InvalidValue) };
        reservation.show(params)
    }
    /// The address whose life a node ends.
    fn cuGraphMemFreeNodeGetParams(node: usize, address: *mut u64) {
        let Work::Free(at) = work_of(node)? else { return Err(Error::InvalidValue) };
        put(address, at)
    }
    /// Other words.
    fn cuGraphBatchMemOpNodeSetParams(node: usize, params: *const BatchParams) {
        replace(node, Work::Words(wait_value::of_node(params)?))
    }
    /// Not supported: semaphores of other programs.
    fn cuGraphAddExternalSemaphoresSignalNode() { unsupported::note("cuGraphAddExternalSemaphoresSignalNode") }
    /// Not supported: semaphores of other programs.
    fn cuGraphAddExternalSemaphoresWaitNode() { unsupported::note("cuGraphAddExternalSemaphoresWaitNode") }
}
