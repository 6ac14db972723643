//! What is in a graph.

use super::{Node, get, of_node, order, work_of};
use crate::driver::state::lock;
use crate::driver::work::Work;
use crate::driver::{Error, Result, put, text};
use std::collections::BTreeMap;
use std::ffi::{c_char, c_uint};
use std::fmt::Write;

/// Writes as many handles as there is room for, and how many there are; or, without a list, only that.
unsafe fn fill(to: *mut usize, count: *mut usize, from: &[usize]) -> Result<()> {
    // SAFETY: the entry points give pointers that are null or valid, and a list as long as `count` says.
    unsafe {
        let room = *count.as_ref().ok_or(Error::InvalidValue)?;
        if to.is_null() {
            return put(count, from.len());
        }
        for at in 0..room {
            to.add(at).write(from.get(at).copied().unwrap_or(0));
        }
        put(count, from.len().min(room))
    }
}

unsafe fn edges(
    graph: usize,
    from: *mut usize,
    to: *mut usize,
    data: *mut u64,
    count: *mut usize,
) -> Result<()> {
    let graph = get(graph)?;
    let nodes = lock(&graph.nodes);
    let pairs = nodes
        .iter()
        .flat_map(|(to, node)| node.behind.iter().map(move |from| (*from, *to)));
    let (starts, ends): (Vec<usize>, Vec<usize>) = pairs.unzip();
    if from.is_null() != to.is_null() {
        return Err(Error::InvalidValue);
    }
    // SAFETY: as above, and `data` has as many entries.
    unsafe {
        let room = *count.as_ref().ok_or(Error::InvalidValue)?;
        fill(from, count, &starts)?;
        if !to.is_null() {
            count.write(room);
            fill(to, count, &ends)?;
            if !data.is_null() {
                data.write_bytes(0, starts.len().min(room));
            }
        }
    }
    Ok(())
}

/// The nodes that a node waits for, or that wait for it.
unsafe fn neighbours(
    node: usize,
    to: *mut usize,
    data: *mut u64,
    count: *mut usize,
    are_before: bool,
) -> Result<()> {
    let graph = of_node(node)?;
    let nodes = lock(&graph.nodes);
    let found: Vec<usize> = match are_before {
        true => nodes[&node].behind.iter().copied().collect(),
        false => {
            let waits = |(_, other): &(&usize, &Node)| other.behind.contains(&node);
            nodes
                .iter()
                .filter(waits)
                .map(|(handle, _)| *handle)
                .collect()
        }
    };
    // SAFETY: as above.
    unsafe {
        let room = *count.as_ref().ok_or(Error::InvalidValue)?;
        if !to.is_null() && !data.is_null() {
            data.write_bytes(0, found.len().min(room));
        }
        fill(to, count, &found)
    }
}

fn describe(nodes: &BTreeMap<usize, Node>) -> Result<String> {
    const KINDS: [&str; 13] = [
        "kernel", "memcpy", "memset", "host", "graph", "empty", "wait", "record", "signal",
        "await", "alloc", "free", "memop",
    ];
    let mut dot = String::from("digraph dot {\n");
    for (handle, node) in order(nodes)? {
        let label = match &node.work {
            Work::Kernel(kernel) => kernel.name().unwrap_or_default(),
            work => KINDS[work.kind() as usize].to_owned(),
        };
        // Writing to a string does not fail.
        let _ = writeln!(dot, "  \"{handle:#x}\" [label=\"{label}\"];");
        for before in &node.behind {
            let _ = writeln!(dot, "  \"{before:#x}\" -> \"{handle:#x}\";");
        }
    }
    dot.push_str("}\n");
    Ok(dot)
}

crate::driver::api! {
    /// All nodes.
    fn cuGraphGetNodes(graph: usize, nodes: *mut usize, count: *mut usize) {
        let graph = get(graph)?;
        let all: Vec<usize> = lock(&graph.nodes).keys().copied().collect();
        fill(nodes, count, &all)
    }
    /// Nodes that wait for none.
    fn cuGraphGetRootNodes(graph: usize, nodes: *mut usize, count: *mut usize) {
        let graph = get(graph)?;
        let is_root = |(handle, node): (&usize, &Node)| node.behind.is_empty().then_some(*handle);
        let roots: Vec<usize> = lock(&graph.nodes).iter().filter_map(is_root).collect();
        fill(nodes, count, &roots)
    }
    /// All edges.
    fn cuGraphGetEdges(graph: usize, from: *mut usize, to: *mut usize, count: *mut usize) {
        edges(graph, from, to, std::ptr::null_mut(), count)
    }
    /// All edges, without data.
    fn cuGraphGetEdges_v2(graph: usize, from: *mut usize, to: *mut usize, data: *mut u64, count: *mut usize) {
        edges(graph, from, to, data, count)
    }
    /// What a node waits for.
    fn cuGraphNodeGetDependencies(node: usize, to: *mut usize, count: *mut usize) {
        neighbours(node, to, std::ptr::null_mut(), count, true)
    }
    /// What a node waits for.
    fn cuGraphNodeGetDependencies_v2(node: usize, to: *mut usize, data: *mut u64, count: *mut usize) {
        neighbours(node, to, data, count, true)
    }
    /// What waits for a node.
    fn cuGraphNodeGetDependentNodes(node: usize, to: *mut usize, count: *mut usize) {
        neighbours(node, to, std::ptr::null_mut(), count, false)
    }
    /// What waits for a node.
    fn cuGraphNodeGetDependentNodes_v2(node: usize, to: *mut usize, data: *mut u64, count: *mut usize) {
        neighbours(node, to, data, count, false)
    }
    /// `CUgraphNodeType`
    fn cuGraphNodeGetType(node: usize, kind: *mut c_uint) { put(kind, work_of(node)?.kind()) }
    /// Writes a graph as a text for Graphviz.
    fn cuGraphDebugDotPrint(graph: usize, path: *const c_char, _flags: c_uint) {
        let graph = get(graph)?;
        let dot = describe(&lock(&graph.nodes))?;
        std::fs::write(text(path)?, dot).map_err(|_| Error::OperatingSystem)
    }
}
