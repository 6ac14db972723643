//! Graphs and their edges: made, cloned, changed, ended.

use super::{NODES, get, of_node};
use crate::driver::state::lock;
use crate::driver::stream_capture::nodes as list;
use crate::driver::work::Work;
use crate::driver::{Error, Result, put, unsupported};
use std::ffi::c_uint;

/// Adds or takes away edges. Data of an edge says when its end may begin early, which it never does.
unsafe fn edges(
    graph: usize,
    from: *const usize,
    to: *const usize,
    count: usize,
    add: bool,
) -> Result<()> {
    // SAFETY: the caller gives so many nodes.
    let (from, to) = unsafe { (list(from, count)?, list(to, count)?) };
    let graph = get(graph)?;
    let mut nodes = lock(&graph.nodes);
    let known = |node: &usize| nodes.contains_key(node);
    let is_new = |(from, to): (&usize, &usize)| nodes[to].behind.contains(from) != add;
    if !from.iter().chain(&to).all(known)
        || from.iter().zip(&to).any(|(a, b)| a == b)
        || !from.iter().zip(&to).all(is_new)
    {
        return Err(Error::InvalidValue);
    }
    for (from, to) in from.iter().zip(&to) {
        if let Some(node) = nodes.get_mut(to) {
            match add {
                true => node.behind.insert(*from),
                false => node.behind.remove(from),
            };
        }
    }
    Ok(())
}

crate::driver::api! {
    /// A graph without nodes.
    fn cuGraphCreate(to: *mut usize, flags: c_uint) {
        if flags != 0 {
            return Err(Error::InvalidValue);
        }
        put(to, super::create())
    }
    /// Ends a graph; what was made of it goes on.
    fn cuGraphDestroy(graph: usize) { super::destroy(graph) }
    /// A copy of a graph.
    fn cuGraphClone(to: *mut usize, graph: usize) { put(to, super::clone(graph)?) }
    /// A node of a clone by the node it was cloned from.
    fn cuGraphNodeFindInClone(to: *mut usize, node: usize, clone: usize) {
        put(to, *get(clone)?.cloned.get(&node).ok_or(Error::InvalidValue)?)
    }
    /// Lets nodes wait for others.
    fn cuGraphAddDependencies(graph: usize, from: *const usize, to: *const usize, count: usize) {
        edges(graph, from, to, count, true)
    }
    /// As `cuGraphAddDependencies`.
    fn cuGraphAddDependencies_v2(
        graph: usize,
        from: *const usize,
        to: *const usize,
        _edges: *const u64,
        count: usize,
    ) {
        edges(graph, from, to, count, true)
    }
    /// Lets nodes no longer wait for others.
    fn cuGraphRemoveDependencies(graph: usize, from: *const usize, to: *const usize, count: usize) {
        edges(graph, from, to, count, false)
    }
    /// As `cuGraphRemoveDependencies`.
    fn cuGraphRemoveDependencies_v2(
        graph: usize,
        from: *const usize,
        to: *const usize,
        _edges: *const u64,
        count: usize,
    ) {
        edges(graph, from, to, count, false)
    }
    /// Takes a node and its edges out of its graph.
    fn cuGraphDestroyNode(node: usize) {
        let graph = of_node(node)?;
        NODES.remove(node)?;
        let mut nodes = lock(&graph.nodes);
        let gone = nodes.remove(&node);
        for other in nodes.values_mut() {
            other.behind.remove(&node);
        }
        drop(nodes);
        match gone.map(|node| node.work) {
            Some(Work::Graph(child)) => super::destroy(child),
            _ => Ok(()),
        }
    }
    /// Not supported: nodes that a kernel switches on.
    fn cuGraphConditionalHandleCreate(
        _to: *mut u64,
        graph: usize,
        _context: usize,
        _value: c_uint,
        _flags: c_uint,
    ) {
        get(graph)?;
        unsupported::note("cuGraphConditionalHandleCreate")
    }
}
