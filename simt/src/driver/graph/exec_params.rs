//! Other parameters for the steps of a graph that can run.

use super::exec::{set, set_child};
use super::kernel_node::{self, KernelParams};
use super::nodes::{HostParams, fill_of};
use crate::driver::copy::{self, Copy3D};
use crate::driver::event;
use crate::driver::work::{Fill, HostCall, Work};

crate::driver::api! {
    /// Another launch.
    fn cuGraphExecKernelNodeSetParams_v2(exec: usize, node: usize, params: *const KernelParams) {
        set(exec, node, Work::Kernel(kernel_node::of_node(params, true)?))
    }
    /// Another launch.
    fn cuGraphExecKernelNodeSetParams(exec: usize, node: usize, params: *const KernelParams) {
        set(exec, node, Work::Kernel(kernel_node::of_node(params, false)?))
    }
    /// Another copy.
    fn cuGraphExecMemcpyNodeSetParams(exec: usize, node: usize, params: *const Copy3D, _context: usize) {
        set(exec, node, Work::Copy(copy::of_node(params)?))
    }
    /// Another fill.
    fn cuGraphExecMemsetNodeSetParams(exec: usize, node: usize, params: *const Fill, _context: usize) {
        set(exec, node, Work::Fill(fill_of(params)?))
    }
    /// Another function of the host.
    fn cuGraphExecHostNodeSetParams(exec: usize, node: usize, params: *const HostParams) {
        set(exec, node, Work::Host(HostCall::of(params)?))
    }
    /// Another graph of the same shape.
    fn cuGraphExecChildGraphNodeSetParams(exec: usize, node: usize, graph: usize) {
        set_child(exec, node, graph)
    }
    /// Another event.
    fn cuGraphExecEventRecordNodeSetEvent(exec: usize, node: usize, event: usize) {
        event::get(event)?;
        set(exec, node, Work::Record(event))
    }
    /// Another event.
    fn cuGraphExecEventWaitNodeSetEvent(exec: usize, node: usize, event: usize) {
        event::get(event)?;
        set(exec, node, Work::Wait(event))
    }
}
