//! `cuStreamBeginCapture` and its kin.

use super::capture::{self, Place};
use super::{Error, Result, graph, put};
use std::cell::Cell;
use std::ffi::c_uint;

/// Nodes from an array that the caller gave.
///
/// # Safety
/// The pointer is null or that of `count` nodes.
pub unsafe fn nodes(from: *const usize, count: usize) -> Result<Vec<usize>> {
    match count {
        0 => Ok(Vec::new()),
        _ if from.is_null() => Err(Error::InvalidValue),
        // SAFETY: the caller's promise.
        _ => Ok(unsafe { std::slice::from_raw_parts(from, count) }.to_vec()),
    }
}

/// `CUstreamCaptureStatus`
fn status(found: &Option<(&mut Place, bool)>) -> c_uint {
    match found {
        None => 0,
        Some((_, false)) => 1,
        Some((_, true)) => 2,
    }
}

/// Writes to a pointer that may be null.
unsafe fn offer<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: not null, and so valid by the caller's promise.
        unsafe { to.write(value) };
    }
}

unsafe fn info(
    stream: usize,
    state: *mut c_uint,
    id: *mut u64,
    graph: *mut usize,
    last: *mut *const usize,
    edges: *mut *const u64,
    count: *mut usize,
) -> Result<()> {
    capture::look(stream, |found| {
        // SAFETY: the entry points give pointers that are null or valid. The list of nodes stays
        // where it is until the stream is asked for something.
        unsafe {
            put(state, status(&found))?;
            if let Some((place, false)) = found {
                offer(id, place.capture.id);
                offer(graph, place.capture.graph);
                offer(last, place.last.as_ptr());
                offer(edges, std::ptr::null());
                offer(count, place.last.len());
            }
        }
        Ok(())
    })?
}

unsafe fn update(stream: usize, nodes: *const usize, count: usize, flags: c_uint) -> Result<()> {
    // SAFETY: the caller gives so many nodes.
    let new = unsafe { self::nodes(nodes, count) }?;
    capture::look(stream, |found| match found {
        Some((place, false)) => {
            graph::check_nodes(place.capture.graph, &new)?;
            if flags & 1 != 0 {
                place.last.clear();
            }
            for node in new {
                if !place.last.contains(&node) {
                    place.last.push(node);
                }
            }
            Ok(())
        }
        Some(_) => Err(Error::StreamCaptureInvalidated),
        None => Err(Error::IllegalState),
    })?
}

thread_local! {
    /// The mode of this thread, which says what else is forbidden while something is captured.
    static MODE: Cell<c_uint> = const { Cell::new(0) };
}

super::api! {
    /// Begins to capture a stream.
    fn cuStreamBeginCapture_v2(stream: usize, mode: c_uint) { capture::begin(stream, mode, None) }
    /// Begins to capture a stream, in the mode of all threads.
    fn cuStreamBeginCapture(stream: usize) { capture::begin(stream, 0, None) }
    /// Begins to capture a stream into a graph that exists.
    fn cuStreamBeginCaptureToGraph(
        stream: usize,
        graph: usize,
        dependencies: *const usize,
        _edges: *const u64,
        count: usize,
        mode: c_uint,
    ) {
        let last = nodes(dependencies, count)?;
        graph::check_nodes(graph, &last)?;
        capture::begin(stream, mode, Some((graph, last)))
    }
    /// Ends it, and gives the graph.
    fn cuStreamEndCapture(stream: usize, graph: *mut usize) {
        let ended = capture::end(stream);
        if let Err(Error::IllegalState) = ended {
            return Err(Error::IllegalState);
        }
        put(graph, ended.unwrap_or(0))?;
        ended.map(drop)
    }
    /// 0: not captured, 1: captured, 2: captured, and broken by an error.
    fn cuStreamIsCapturing(stream: usize, state: *mut c_uint) {
        put(state, capture::look(stream, |found| status(&found))?)
    }
    /// Status and number of a capture.
    fn cuStreamGetCaptureInfo(stream: usize, state: *mut c_uint, id: *mut u64) {
        let none = std::ptr::null_mut();
        info(stream, state, id, none, std::ptr::null_mut(), std::ptr::null_mut(), none)
    }
    /// Also its graph, and the nodes that the next one will depend on.
    fn cuStreamGetCaptureInfo_v2(
        stream: usize,
        state: *mut c_uint,
        id: *mut u64,
        graph: *mut usize,
        last: *mut *const usize,
        count: *mut usize,
    ) {
        info(stream, state, id, graph, last, std::ptr::null_mut(), count)
    }
    /// As before; edges carry no data.
    fn cuStreamGetCaptureInfo_v3(
        stream: usize,
        state: *mut c_uint,
        id: *mut u64,
        graph: *mut usize,
        last: *mut *const usize,
        edges: *mut *const u64,
        count: *mut usize,
    ) {
        info(stream, state, id, graph, last, edges, count)
    }
    /// Adds to, or replaces, the nodes that the next one will depend on.
    fn cuStreamUpdateCaptureDependencies(stream: usize, nodes: *const usize, count: usize, flags: c_uint) {
        update(stream, nodes, count, flags)
    }
    /// As before; edges carry no data.
    fn cuStreamUpdateCaptureDependencies_v2(
        stream: usize,
        nodes: *const usize,
        _edges: *const u64,
        count: usize,
        flags: c_uint,
    ) {
        update(stream, nodes, count, flags)
    }
    /// Sets the thread's mode, and gives the one before.
    fn cuThreadExchangeStreamCaptureMode(mode: *mut c_uint) {
        let asked = *mode.as_ref().ok_or(Error::InvalidValue)?;
        if asked > 2 {
            return Err(Error::InvalidValue);
        }
        put(mode, MODE.replace(asked))
    }
}
