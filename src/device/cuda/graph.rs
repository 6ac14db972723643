//! Launches that go to the driver as one: a graph whose nodes run one behind the other.

use super::context::failed;
use super::kernel_call::KernelCall;
use crate::device::{DeviceError, Result};
use cudarc::driver::{DriverError, result, sys};
use std::ptr::null_mut;

/// A graph that can run, and what its nodes were last told.
pub(super) struct Graph {
    /// What the nodes are of; without it they could not be told anything else.
    graph: sys::CUgraph,
    exec: sys::CUgraphExec,
    nodes: Vec<sys::CUgraphNode>,
    calls: Vec<KernelCall>,
}

impl Graph {
    /// A graph of some launches, each behind the one before. The context has to be current.
    pub fn new(calls: Vec<KernelCall>) -> Result<Graph> {
        let mut graph = Graph {
            graph: null_mut(),
            exec: null_mut(),
            nodes: Vec::with_capacity(calls.len()),
            calls,
        };
        let Err(code) = graph.build() else {
            return Ok(graph);
        };
        let error = wrong(&graph.calls, "make a graph", code);
        // SAFETY: it never ran.
        unsafe { graph.destroy() };
        Err(error)
    }

    fn build(&mut self) -> std::result::Result<(), DriverError> {
        // SAFETY: the handle is written.
        unsafe { sys::cuGraphCreate(&mut self.graph, 0).result() }?;
        for call in &mut self.calls {
            let behind = self.nodes.as_slice();
            let behind = &behind[behind.len().saturating_sub(1)..];
            let mut node = null_mut();
            // SAFETY: the graph and the node before are alive; the driver copies the parameters.
            call.with_node(|params| unsafe {
                sys::cuGraphAddKernelNode_v2(
                    &mut node,
                    self.graph,
                    behind.as_ptr(),
                    behind.len(),
                    params,
                )
                .result()
            })?;
            self.nodes.push(node);
        }
        let flags = sys::CUgraphInstantiate_flags(0);
        // SAFETY: the graph is alive.
        self.exec = unsafe { result::graph::instantiate(self.graph, flags) }?;
        Ok(())
    }

    /// Tells the nodes what has changed, of as many calls of the same functions; returns how many nodes that
    /// were. A run under way keeps what it was told. The context has to be current.
    pub fn update(&mut self, calls: Vec<KernelCall>) -> Result<usize> {
        let mut changed = 0;
        let mut nodes = self.nodes.iter().zip(&mut self.calls).zip(calls);
        let told = nodes.try_for_each(|((node, old), mut new)| {
            if old.same(&new) {
                return Ok(());
            }
            // SAFETY: both graphs and the node are alive; the driver copies the parameters.
            new.with_node(|params| unsafe {
                sys::cuGraphExecKernelNodeSetParams_v2(self.exec, *node, params).result()
            })?;
            *old = new;
            changed += 1;
            Ok(())
        });
        told.map_err(|code| wrong(&self.calls, "change a graph", code))?;
        Ok(changed)
    }

    /// Puts it on the stream. The context has to be current.
    ///
    /// # Safety
    /// As of [`KernelCall::send`] for each of its calls.
    pub unsafe fn launch(&self, stream: sys::CUstream) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { result::graph::launch(self.exec, stream) }
            .map_err(|code| wrong(&self.calls, "launch a graph", code))
    }

    /// Its handle.
    #[cfg(test)]
    pub fn exec(&self) -> sys::CUgraphExec {
        self.exec
    }

    /// Ends it.
    ///
    /// # Safety
    /// The context is current, and no run of it is under way.
    pub unsafe fn destroy(self) {
        // SAFETY: both were made here and are ended once. A failure has nobody left to be told to.
        unsafe {
            if !self.exec.is_null() {
                let _ = result::graph::exec_destroy(self.exec);
            }
            if !self.graph.is_null() {
                let _ = result::graph::destroy(self.graph);
            }
        }
    }
}

/// Says what could not be done with the graph of some launches.
fn wrong(calls: &[KernelCall], what: &str, code: DriverError) -> DeviceError {
    let name = |call: Option<&KernelCall>| call.map_or("", |call| &call.instance).to_owned();
    let (first, last) = (name(calls.first()), name(calls.last()));
    let count = calls.len();
    failed(&format!("{what} of {count} launches, {first} to {last}"))(code)
}
