//! Graphs: nodes of work and what they wait for.

pub mod build;
pub mod exec;
mod exec_params;
pub mod generic;
mod kernel_node;
pub mod memory;
pub mod nodes;
pub mod query;
pub mod user_object;

pub use exec::run;

use super::state::{Registry, lock};
use super::work::Work;
use super::{Address, Error, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use user_object::Held;

/// The entry points of all files here.
pub const TABLES: [&[(&str, Address)]; 8] = [
    build::TABLE,
    exec::TABLE,
    exec_params::TABLE,
    generic::TABLE,
    memory::TABLE,
    nodes::TABLE,
    query::TABLE,
    user_object::TABLE,
];

/// A node: what to do, and behind what.
#[derive(Clone)]
pub struct Node {
    pub work: Work,
    pub behind: BTreeSet<usize>,
}

/// The nodes of a graph by their handles, which rise in the order of their making.
#[derive(Default)]
pub struct Graph {
    pub nodes: Mutex<BTreeMap<usize, Node>>,
    /// Nodes of the graph that this one was cloned from, to its own.
    cloned: HashMap<usize, usize>,
    held: Mutex<Vec<Held>>,
}

static GRAPHS: Registry<Graph> = Registry::new();
/// The graph of every node.
static NODES: Registry<usize> = Registry::new();

/// A graph of a handle.
pub fn get(graph: usize) -> Result<Arc<Graph>> {
    GRAPHS.get(graph)
}

/// The graph that a node is in.
pub fn of_node(node: usize) -> Result<Arc<Graph>> {
    GRAPHS.get(*NODES.get(node)?)
}

/// A new graph without nodes.
pub fn create() -> usize {
    GRAPHS.insert(Graph::default())
}

/// What a node does.
pub fn work_of(node: usize) -> Result<Work> {
    let graph = of_node(node)?;
    let nodes = lock(&graph.nodes);
    nodes
        .get(&node)
        .map(|node| node.work.clone())
        .ok_or(Error::InvalidHandle)
}

/// Gives a node other work of the same kind.
pub fn replace(node: usize, work: Work) -> Result<()> {
    let graph = of_node(node)?;
    let mut nodes = lock(&graph.nodes);
    let node = nodes.get_mut(&node).ok_or(Error::InvalidHandle)?;
    if node.work.kind() != work.kind() {
        return Err(Error::InvalidValue);
    }
    node.work = work;
    Ok(())
}

/// Checks that nodes are of a graph, each named once.
pub fn check_nodes(graph: usize, nodes: &[usize]) -> Result<()> {
    let graph = get(graph)?;
    let known = lock(&graph.nodes);
    let mut seen = BTreeSet::new();
    match nodes
        .iter()
        .all(|node| known.contains_key(node) && seen.insert(*node))
    {
        true => Ok(()),
        false => Err(Error::InvalidValue),
    }
}

/// Adds a node behind others.
pub fn add(graph: usize, behind: &[usize], work: Work) -> Result<usize> {
    check_nodes(graph, behind)?;
    let work = match work {
        // A graph in a graph is the node's own.
        Work::Graph(child) => Work::Graph(clone(child)?),
        other => other,
    };
    let node = NODES.insert(graph);
    let behind = behind.iter().copied().collect();
    lock(&get(graph)?.nodes).insert(node, Node { work, behind });
    Ok(node)
}

/// All nodes that some nodes wait for, and they themselves.
pub fn behind(graph: usize, of: &[usize]) -> Result<BTreeSet<usize>> {
    let graph = get(graph)?;
    let nodes = lock(&graph.nodes);
    let mut reached = BTreeSet::new();
    let mut open = of.to_vec();
    while let Some(node) = open.pop() {
        if reached.insert(node)
            && let Some(node) = nodes.get(&node)
        {
            open.extend(&node.behind);
        }
    }
    Ok(reached)
}

/// What a graph and the graphs in it keep alive for the program.
pub fn held(graph: usize) -> Result<Vec<Held>> {
    let graph = get(graph)?;
    let mut held = lock(&graph.held).clone();
    for node in lock(&graph.nodes).values() {
        if let Work::Graph(child) = node.work {
            held.extend(self::held(child)?);
        }
    }
    Ok(held)
}

/// A copy of a graph, with nodes of its own.
pub fn clone(graph: usize) -> Result<usize> {
    let source = get(graph)?;
    let nodes = lock(&source.nodes).clone();
    let copy = create();
    let mut cloned = HashMap::new();
    for (node, content) in order(&nodes)? {
        let behind: Vec<usize> = content
            .behind
            .iter()
            .filter_map(|n| cloned.get(n).copied())
            .collect();
        cloned.insert(node, add(copy, &behind, content.work.clone())?);
    }
    let made = GRAPHS.remove(copy)?;
    let nodes = std::mem::take(&mut *lock(&made.nodes));
    GRAPHS.set(
        copy,
        Graph {
            nodes: Mutex::new(nodes),
            cloned,
            held: Mutex::new(lock(&source.held).clone()),
        },
    );
    Ok(copy)
}

/// Ends a graph, its nodes and the graphs in them.
pub fn destroy(graph: usize) -> Result<()> {
    let graph = GRAPHS.remove(graph)?;
    let nodes = std::mem::take(&mut *lock(&graph.nodes));
    for (node, content) in nodes {
        NODES.remove(node)?;
        if let Work::Graph(child) = content.work {
            destroy(child)?;
        }
    }
    Ok(())
}

/// Nodes in an order in which each comes behind all that it waits for, and otherwise as they were made.
///
/// # Errors
/// Nodes that wait for one another in a ring.
pub fn order(nodes: &BTreeMap<usize, Node>) -> Result<Vec<(usize, &Node)>> {
    let mut waits: BTreeMap<usize, usize> = BTreeMap::new();
    let mut next: HashMap<usize, Vec<usize>> = HashMap::new();
    for (handle, node) in nodes {
        waits.insert(*handle, node.behind.len());
        for before in &node.behind {
            next.entry(*before).or_default().push(*handle);
        }
    }
    let is_ready = |(handle, count): (&usize, &usize)| (*count == 0).then_some(*handle);
    let mut ready: BTreeSet<usize> = waits.iter().filter_map(is_ready).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(handle) = ready.pop_first() {
        order.push((handle, &nodes[&handle]));
        for after in next.get(&handle).into_iter().flatten() {
            let count = waits.entry(*after).or_default();
            *count -= 1;
            if *count == 0 {
                ready.insert(*after);
            }
        }
    }
    match order.len() == nodes.len() {
        true => Ok(order),
        false => Err(Error::InvalidValue),
    }
}
