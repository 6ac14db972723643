//! Stream capture: what captured streams are asked to do becomes nodes of a graph.

use super::state::lock;
use super::work::Work;
use super::{Error, Result, graph, stream};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::ThreadId;

/// A capture sequence: from the stream that began it to all that have joined.
pub struct Capture {
    pub id: u64,
    pub graph: usize,
    origin: usize,
    /// `CUstreamCaptureMode`
    mode: u32,
    thread: ThreadId,
    is_broken: AtomicBool,
    /// Whether the graph was there before, so that a broken capture does not end it.
    owns_graph: bool,
}

/// A stream, or what an event was recorded behind: its sequence and the last nodes.
pub struct Place {
    pub capture: Arc<Capture>,
    pub last: Vec<usize>,
}

#[derive(Default)]
struct State {
    streams: HashMap<usize, Place>,
    events: HashMap<usize, Place>,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);
/// How many sequences there are: without one, nothing has to be looked up.
static ACTIVE: AtomicUsize = AtomicUsize::new(0);
static IDS: AtomicU64 = AtomicU64::new(1);

/// `CU_STREAM_CAPTURE_MODE_RELAXED`: any thread may end the sequence.
const RELAXED: u32 = 2;

/// What stands for a stream: the per-thread default stream is one of each thread.
fn key(stream: usize) -> usize {
    thread_local!(static OWN: u8 = const { 0 });
    match stream {
        2 => OWN.with(|own| std::ptr::from_ref(own) as usize) | 1 << 63,
        other => other,
    }
}

fn is_active() -> bool {
    ACTIVE.load(Ordering::Relaxed) > 0
}

impl Capture {
    fn break_off<T>(&self, error: Error) -> Result<T> {
        self.is_broken.store(true, Ordering::Relaxed);
        Err(error)
    }

    fn check(&self) -> Result<()> {
        match self.is_broken.load(Ordering::Relaxed) {
            true => Err(Error::StreamCaptureInvalidated),
            false => Ok(()),
        }
    }
}

impl State {
    /// The legacy stream waits for every blocking stream, which a capture cannot express.
    fn legacy(&self, handle: usize) -> Result<()> {
        let blocking =
            |key: &usize| key & 1 << 63 == 0 && stream::flags(*key) & stream::NON_BLOCKING == 0;
        match self.streams.iter().find(|(key, _)| blocking(key)) {
            Some((_, place)) if handle <= 1 && place.capture.mode != RELAXED => {
                place.capture.break_off(Error::StreamCaptureImplicit)
            }
            _ => Ok(()),
        }
    }
}

/// Adds work to the graph of a captured stream; `false`: it is not captured.
pub fn add(handle: usize, work: &Work) -> Result<bool> {
    if !is_active() {
        return Ok(false);
    }
    let mut state = lock(&STATE);
    let Some(place) = state.streams.get_mut(&key(handle)) else {
        state.legacy(handle)?;
        return Ok(false);
    };
    place.capture.check()?;
    match graph::add(place.capture.graph, &place.last, work.clone()) {
        Ok(node) => place.last = vec![node],
        Err(error) => return place.capture.break_off(error),
    }
    Ok(true)
}

/// Refuses what asks whether a captured stream is done.
pub fn forbid(handle: usize) -> Result<()> {
    if !is_active() {
        return Ok(());
    }
    let state = lock(&STATE);
    match state.streams.get(&key(handle)) {
        Some(place) => place.capture.break_off(Error::StreamCaptureUnsupported),
        None => state.legacy(handle),
    }
}

/// Refuses what asks whether a captured event has happened.
pub fn forbid_event(event: usize) -> Result<()> {
    if !is_active() {
        return Ok(());
    }
    match lock(&STATE).events.get(&event) {
        Some(place) => place.capture.break_off(Error::CapturedEvent),
        None => Ok(()),
    }
}

/// Lets an event stand for what a captured stream has been asked so far; `false`: it is not captured.
pub fn record(event: usize, handle: usize) -> Result<bool> {
    if !is_active() {
        return Ok(false);
    }
    let mut state = lock(&STATE);
    let Some(place) = state.streams.get(&key(handle)) else {
        state.legacy(handle)?;
        state.events.remove(&event);
        return Ok(false);
    };
    place.capture.check()?;
    let place = Place {
        capture: Arc::clone(&place.capture),
        last: place.last.clone(),
    };
    state.events.insert(event, place);
    Ok(true)
}

/// Lets a stream go on behind an event: by a captured one it joins the sequence.
pub fn wait(handle: usize, event: usize) -> Result<()> {
    if !is_active() {
        return Ok(());
    }
    let mut state = lock(&STATE);
    let State { streams, events } = &mut *state;
    match (streams.get_mut(&key(handle)), events.get(&event)) {
        (None, None) => state.legacy(handle),
        (Some(_), None) if !super::event::is_recorded(event) => Ok(()),
        (Some(place), None) => place.capture.break_off(Error::StreamCaptureIsolation),
        (None, Some(_)) if handle <= 1 => Err(Error::StreamCaptureImplicit),
        (None, Some(from)) => {
            from.capture.check()?;
            let joined = Place {
                capture: Arc::clone(&from.capture),
                last: from.last.clone(),
            };
            streams.insert(key(handle), joined);
            Ok(())
        }
        (Some(place), Some(from)) if !Arc::ptr_eq(&place.capture, &from.capture) => {
            place.capture.break_off(Error::StreamCaptureMerge)
        }
        (Some(place), Some(from)) => {
            let new = from.last.iter().filter(|node| !place.last.contains(node));
            let new: Vec<usize> = new.copied().collect();
            place.last.extend(new);
            Ok(())
        }
    }
}

/// Begins a sequence on a stream, into a graph that is there already or a new one.
pub fn begin(handle: usize, mode: u32, into: Option<(usize, Vec<usize>)>) -> Result<()> {
    stream::check(handle)?;
    if handle <= 1 {
        return Err(Error::StreamCaptureUnsupported);
    }
    if mode > RELAXED {
        return Err(Error::InvalidValue);
    }
    let mut state = lock(&STATE);
    if state.streams.contains_key(&key(handle)) {
        return Err(Error::IllegalState);
    }
    let owns_graph = into.is_none();
    let (graph, last) = into.unwrap_or_else(|| (graph::create(), Vec::new()));
    let capture = Arc::new(Capture {
        id: IDS.fetch_add(1, Ordering::Relaxed),
        graph,
        origin: key(handle),
        mode,
        thread: std::thread::current().id(),
        is_broken: AtomicBool::new(false),
        owns_graph,
    });
    state.streams.insert(key(handle), Place { capture, last });
    ACTIVE.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Ends the sequence of a stream, and gives its graph.
pub fn end(handle: usize) -> Result<usize> {
    stream::check(handle)?;
    let mut state = lock(&STATE);
    let place = state.streams.get(&key(handle)).ok_or(Error::IllegalState)?;
    let capture = Arc::clone(&place.capture);
    if capture.origin != key(handle) {
        return capture.break_off(Error::StreamCaptureUnmatched);
    }
    if capture.mode != RELAXED && capture.thread != std::thread::current().id() {
        return Err(Error::StreamCaptureWrongThread);
    }
    let reached = graph::behind(capture.graph, &place.last)?;
    let mut unjoined = false;
    state.streams.retain(|_, place| {
        let ours = Arc::ptr_eq(&place.capture, &capture);
        unjoined |= ours && place.last.iter().any(|node| !reached.contains(node));
        !ours
    });
    let others = |_: &usize, place: &mut Place| !Arc::ptr_eq(&place.capture, &capture);
    state.events.retain(others);
    ACTIVE.fetch_sub(1, Ordering::Relaxed);
    drop(state);
    let error = match capture.check() {
        Err(error) => error,
        Ok(()) if unjoined => Error::StreamCaptureUnjoined,
        Ok(()) => return Ok(capture.graph),
    };
    if capture.owns_graph {
        graph::destroy(capture.graph)?;
    }
    Err(error)
}

/// A stream is gone, and what it began with it.
pub fn forget(handle: usize) {
    if !is_active() {
        return;
    }
    let mut state = lock(&STATE);
    if let Some(place) = state.streams.remove(&key(handle)) {
        place.capture.is_broken.store(true, Ordering::Relaxed);
        if place.capture.origin == key(handle) {
            ACTIVE.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What is known of a stream's capture: whether it is broken, and the rest through `see`.
pub fn look<T>(handle: usize, see: impl FnOnce(Option<(&mut Place, bool)>) -> T) -> Result<T> {
    stream::check(handle)?;
    let mut state = lock(&STATE);
    let found = state.streams.get_mut(&key(handle)).map(|place| {
        let broken = place.capture.is_broken.load(Ordering::Relaxed);
        (place, broken)
    });
    Ok(see(found))
}
