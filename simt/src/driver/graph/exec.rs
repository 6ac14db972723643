//! Graphs that can run: a snapshot of a graph's nodes in their order.

use super::user_object::Held;
use super::{Node, get, order};
use crate::driver::state::{Registry, current, lock};
use crate::driver::work::Work;
use crate::driver::{Error, Result, capture, put, stream};
use std::collections::{BTreeMap, HashMap};
use std::ffi::c_uint;
use std::sync::Mutex;

/// A node as it runs.
#[derive(Clone)]
struct Step {
    /// The node it was made of.
    node: usize,
    work: Work,
    is_enabled: bool,
    /// The steps of a graph in the graph.
    inner: Vec<Step>,
}

/// A graph that can run.
struct Exec {
    steps: Mutex<Vec<Step>>,
    /// Edges by the places of their ends.
    edges: Vec<(usize, usize)>,
    flags: u64,
    /// What it keeps alive for the program.
    held: Mutex<Vec<Held>>,
}

static EXECS: Registry<Exec> = Registry::new();

/// `CUgraphExecUpdateResultInfo`
#[repr(C)]
pub struct UpdateResult {
    result: c_uint,
    node: usize,
    from: usize,
}

/// `CUDA_GRAPH_INSTANTIATE_PARAMS`
#[repr(C)]
pub struct InstantiateParams {
    flags: u64,
    stream: usize,
    node: usize,
    result: c_uint,
}

fn steps_of(nodes: &BTreeMap<usize, Node>) -> Result<Vec<Step>> {
    let step = |(node, content): (usize, &Node)| {
        let inner = match content.work {
            Work::Graph(child) => steps_of(&lock(&get(child)?.nodes))?,
            _ => Vec::new(),
        };
        Ok(Step {
            node,
            work: content.work.clone(),
            is_enabled: true,
            inner,
        })
    };
    order(nodes)?.into_iter().map(step).collect()
}

fn edges_of(nodes: &BTreeMap<usize, Node>) -> Result<Vec<(usize, usize)>> {
    let order = order(nodes)?;
    let place: HashMap<usize, usize> = order
        .iter()
        .enumerate()
        .map(|(at, (node, _))| (*node, at))
        .collect();
    let edges = order.iter().enumerate().flat_map(|(at, (_, node))| {
        let place = &place;
        node.behind.iter().map(move |before| (place[before], at))
    });
    let mut edges: Vec<(usize, usize)> = edges.collect();
    edges.sort_unstable();
    Ok(edges)
}

fn instantiate(to: *mut usize, graph: usize, flags: u64) -> Result<()> {
    let held = Mutex::new(super::held(graph)?);
    let graph = get(graph)?;
    let nodes = lock(&graph.nodes);
    let exec = Exec {
        steps: Mutex::new(steps_of(&nodes)?),
        edges: edges_of(&nodes)?,
        flags,
        held,
    };
    // SAFETY: the entry points give pointers that are null or valid.
    unsafe { put(to, EXECS.insert(exec)) }
}

fn run_steps(steps: &[Step]) -> Result<()> {
    for step in steps.iter().filter(|step| step.is_enabled) {
        match step.work {
            Work::Graph(_) => run_steps(&step.inner)?,
            _ => step.work.run()?,
        }
        // A kernel's fault shows in its context.
        current()?;
    }
    Ok(())
}

impl Exec {
    /// A graph of its steps as they are now.
    fn as_graph(&self, steps: &[Step]) -> Result<usize> {
        let graph = super::create();
        let mut nodes = Vec::with_capacity(steps.len());
        for (at, step) in steps.iter().enumerate() {
            let before = self.edges.iter().filter(|(_, to)| *to == at);
            let behind: Vec<usize> = before.map(|(from, _)| nodes[*from]).collect();
            let work = match step.is_enabled {
                true => step.work.clone(),
                false => Work::Nothing,
            };
            nodes.push(super::add(graph, &behind, work)?);
        }
        Ok(graph)
    }
}

/// Runs a graph that was not made an [`Exec`] before.
pub fn run(graph: usize) -> Result<()> {
    let steps = steps_of(&lock(&get(graph)?.nodes))?;
    run_steps(&steps)
}

fn find(steps: &mut [Step], node: usize) -> Option<&mut Step> {
    for step in steps {
        if step.node == node {
            return Some(step);
        }
        if let Some(found) = find(&mut step.inner, node) {
            return Some(found);
        }
    }
    None
}

/// Changes a step; the node is that of the graph it was made of.
fn with_step<T>(
    exec: usize,
    node: usize,
    change: impl FnOnce(&mut Step) -> Result<T>,
) -> Result<T> {
    let exec = EXECS.get(exec)?;
    let mut steps = lock(&exec.steps);
    change(find(&mut steps, node).ok_or(Error::InvalidValue)?)
}

/// Gives a step other work of the same kind.
pub fn set(exec: usize, node: usize, work: Work) -> Result<()> {
    with_step(exec, node, |step| {
        if step.work.kind() != work.kind() {
            return Err(Error::InvalidValue);
        }
        step.work = work;
        Ok(())
    })
}

/// Gives a step that is a graph the work of another graph of the same shape.
pub fn set_child(exec: usize, node: usize, graph: usize) -> Result<()> {
    let new = steps_of(&lock(&get(graph)?.nodes))?;
    with_step(exec, node, |step| {
        let is_graph = matches!(step.work, Work::Graph(_));
        match is_graph && difference(&step.inner, &new).is_none() {
            true => take_over(&mut step.inner, new),
            false => return Err(Error::InvalidValue),
        }
        Ok(())
    })
}

/// `CUgraphExecUpdateResult`, and the node where two graphs differ.
fn difference(old: &[Step], new: &[Step]) -> Option<(c_uint, usize)> {
    const TOPOLOGY: c_uint = 2;
    const NODE_TYPE: c_uint = 3;
    if old.len() != new.len() {
        return Some((TOPOLOGY, 0));
    }
    old.iter()
        .zip(new)
        .find_map(|(old, new)| match old.work.kind() == new.work.kind() {
            true => difference(&old.inner, &new.inner),
            false => Some((NODE_TYPE, new.node)),
        })
}

fn take_over(old: &mut [Step], new: Vec<Step>) {
    for (old, new) in old.iter_mut().zip(new) {
        old.work = new.work;
        take_over(&mut old.inner, new.inner);
    }
}

fn update(exec: usize, graph: usize) -> Result<UpdateResult> {
    let exec = EXECS.get(exec)?;
    let held = super::held(graph)?;
    let graph = get(graph)?;
    let nodes = lock(&graph.nodes);
    let new = steps_of(&nodes)?;
    let mut steps = lock(&exec.steps);
    let topology = (edges_of(&nodes)? != exec.edges).then_some((2, 0));
    let (result, node) = difference(&steps, &new).or(topology).unwrap_or((0, 0));
    if result == 0 {
        take_over(&mut steps, new);
        *lock(&exec.held) = held;
    }
    Ok(UpdateResult {
        result,
        node,
        from: 0,
    })
}

crate::driver::api! {
    /// A graph that can run.
    fn cuGraphInstantiateWithFlags(to: *mut usize, graph: usize, flags: u64) { instantiate(to, graph, flags) }
    /// As before; the log stays empty.
    fn cuGraphInstantiate_v2(to: *mut usize, graph: usize, node: *mut usize, log: *mut u8, bytes: usize) {
        if !node.is_null() {
            node.write(0);
        }
        if !log.is_null() && bytes > 0 {
            log.write(0);
        }
        instantiate(to, graph, 0)
    }
    /// As before; says what is wrong.
    fn cuGraphInstantiateWithParams(to: *mut usize, graph: usize, params: *mut InstantiateParams) {
        let params = params.as_mut().ok_or(Error::InvalidValue)?;
        let made = instantiate(to, graph, params.flags);
        params.node = 0;
        params.result = if made.is_ok() { 0 } else { 1 };
        made
    }
    /// Ends it.
    fn cuGraphExecDestroy(exec: usize) { EXECS.remove(exec).map(drop) }
    /// The flags it was made with.
    fn cuGraphExecGetFlags(exec: usize, flags: *mut u64) { put(flags, EXECS.get(exec)?.flags) }
    /// Nothing has to be brought anywhere.
    fn cuGraphUpload(exec: usize, stream: usize) {
        EXECS.get(exec)?;
        stream::check(stream)
    }
    /// Does all that is in it; in a captured stream it becomes a node.
    fn cuGraphLaunch(exec: usize, stream: usize) {
        stream::check(stream)?;
        let exec = EXECS.get(exec)?;
        let steps = lock(&exec.steps).clone();
        if capture::look(stream, |found| found.is_some())? {
            let graph = exec.as_graph(&steps)?;
            // The node has a copy.
            let kept = capture::add(stream, &Work::Graph(graph));
            super::destroy(graph)?;
            return kept.map(drop);
        }
        capture::forbid(stream)?;
        run_steps(&steps)
    }
    /// Gives it the work of another graph of the same shape.
    fn cuGraphExecUpdate_v2(exec: usize, graph: usize, info: *mut UpdateResult) {
        let result = update(exec, graph)?;
        let is_done = result.result == 0;
        put(info, result)?;
        if is_done { Ok(()) } else { Err(Error::GraphExecUpdateFailure) }
    }
    /// As before.
    fn cuGraphExecUpdate(exec: usize, graph: usize, node: *mut usize, result: *mut c_uint) {
        let found = update(exec, graph)?;
        put(node, found.node)?;
        put(result, found.result)?;
        if found.result == 0 { Ok(()) } else { Err(Error::GraphExecUpdateFailure) }
    }
    /// Whether a step runs.
    fn cuGraphNodeGetEnabled(exec: usize, node: usize, enabled: *mut c_uint) {
        put(enabled, with_step(exec, node, |step| Ok(step.is_enabled.into()))?)
    }
    /// Lets a kernel, copy or fill run, or not.
    fn cuGraphNodeSetEnabled(exec: usize, node: usize, enabled: c_uint) {
        with_step(exec, node, |step| match step.work {
            Work::Kernel(_) | Work::Copy(_) | Work::Fill(_) => {
                step.is_enabled = enabled != 0;
                Ok(())
            }
            _ => Err(Error::InvalidValue),
        })
    }
}
