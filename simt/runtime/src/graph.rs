//! Graphs that were recorded from streams: copies of them, their nodes, launches.

use crate::context;
use crate::device::{by_name, said};
use crate::error::Said;
use crate::stream::cudaStream_t;
use cudarc::driver::sys::{self, CUgraph, CUgraphExec, CUgraphNode};
use std::ffi::{c_uint, c_void};

entry_points! {
    /// An empty graph.
    fn cudaGraphCreate(graph: *mut CUgraph, flags: c_uint) {
        context::current()?;
        sys::cuGraphCreate(graph, flags).ok()
    }

    /// A copy of a graph.
    fn cudaGraphClone(copy: *mut CUgraph, graph: CUgraph) {
        context::current()?;
        sys::cuGraphClone(copy, graph).ok()
    }

    /// Makes a graph ready.
    fn cudaGraphInstantiate(ready: *mut CUgraphExec, graph: CUgraph, flags: u64) {
        context::current()?;
        sys::cuGraphInstantiateWithFlags(ready, graph, flags).ok()
    }

    /// The same under its other name.
    fn cudaGraphInstantiateWithFlags(ready: *mut CUgraphExec, graph: CUgraph, flags: u64) {
        context::current()?;
        sys::cuGraphInstantiateWithFlags(ready, graph, flags).ok()
    }

    /// Takes another graph's arguments, where its nodes are the same; the answer has the driver's layout.
    fn cudaGraphExecUpdate(ready: CUgraphExec, graph: CUgraph, answer: *mut c_void) {
        type Update = unsafe extern "C" fn(CUgraphExec, CUgraph, *mut c_void) -> c_uint;
        context::current()?;
        said(by_name::<Update>(b"cuGraphExecUpdate_v2\0")?(ready, graph, answer))
    }

    /// Brings a graph to the device.
    fn cudaGraphUpload(ready: CUgraphExec, stream: cudaStream_t) {
        context::current()?;
        sys::cuGraphUpload(ready, stream).ok()
    }

    /// Runs a graph.
    fn cudaGraphLaunch(ready: CUgraphExec, stream: cudaStream_t) {
        context::current()?;
        sys::cuGraphLaunch(ready, stream).ok()
    }

    /// Ends a graph.
    fn cudaGraphDestroy(graph: CUgraph) {
        context::current()?;
        sys::cuGraphDestroy(graph).ok()
    }

    /// Ends a graph that was made ready.
    fn cudaGraphExecDestroy(ready: CUgraphExec) {
        context::current()?;
        sys::cuGraphExecDestroy(ready).ok()
    }

    /// The nodes of a graph.
    fn cudaGraphGetNodes(graph: CUgraph, nodes: *mut CUgraphNode, count: *mut usize) {
        context::current()?;
        sys::cuGraphGetNodes(graph, nodes, count).ok()
    }

    /// The nodes that wait for none.
    fn cudaGraphGetRootNodes(graph: CUgraph, nodes: *mut CUgraphNode, count: *mut usize) {
        context::current()?;
        sys::cuGraphGetRootNodes(graph, nodes, count).ok()
    }

    /// What a node does.
    fn cudaGraphNodeGetType(node: CUgraphNode, kind: *mut c_uint) {
        type Get = unsafe extern "C" fn(CUgraphNode, *mut c_uint) -> c_uint;
        context::current()?;
        said(by_name::<Get>(b"cuGraphNodeGetType\0")?(node, kind))
    }
}
