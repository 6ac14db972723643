//! Launches that are put off and then sent together, and counts of what the driver was asked for.
//!
//! Within a recording a launch is only noted. What was noted goes to the stream at the recording's end, or before
//! anything else that is to come behind it there: a download, a copy, a wait. New memory is the exception. No
//! launch that was noted can know it, as memory given back meanwhile stays out of use until they are sent; so it
//! is filled at once, and the lists that an op uploads for its kernel do not cut the launches into pieces.

use super::context::Context;
use super::graphs::Graphs;
use super::kernel_call::KernelCall;
use crate::device::Result;

/// Bytes that launches may keep from being used again before they are sent.
const MOST_HELD_BACK: usize = 64 << 20;
/// Set: every launch goes to the driver on its own, where a profiler is to see it so.
const OFF: &str = "LREM_NO_GRAPHS";

/// What the driver was asked to put on the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Kernels by themselves.
    pub launches: usize,
    /// Graphs, each of several kernels.
    pub graph_launches: usize,
    /// Graphs made.
    pub graphs: usize,
    /// Nodes of graphs that were told other arguments or another grid.
    pub node_updates: usize,
    /// Copies from and to the GPU and on it, and fills.
    pub copies: usize,
}

impl Calls {
    /// Calls of the driver, but for those that make graphs.
    pub fn total(&self) -> usize {
        self.launches + self.graph_launches + self.node_updates + self.copies
    }

    /// Those that came after `before`.
    pub fn since(&self, before: &Calls) -> Calls {
        Calls {
            launches: self.launches - before.launches,
            graph_launches: self.graph_launches - before.graph_launches,
            graphs: self.graphs - before.graphs,
            node_updates: self.node_updates - before.node_updates,
            copies: self.copies - before.copies,
        }
    }
}

/// What is recorded.
pub(super) struct Recorder {
    /// Whether anything is.
    is_on: bool,
    /// Recordings under way, of whatever threads.
    open: usize,
    /// Launches that were not sent yet.
    calls: Vec<KernelCall>,
    graphs: Graphs,
    counts: Calls,
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder {
            is_on: std::env::var_os(OFF).is_none(),
            open: 0,
            calls: Vec::new(),
            graphs: Graphs::default(),
            counts: Calls::default(),
        }
    }
}

impl Recorder {
    #[cfg(test)]
    pub fn graphs(&self) -> &Graphs {
        &self.graphs
    }

    /// Ends all graphs.
    ///
    /// # Safety
    /// The context is current, and nothing is under way.
    pub unsafe fn release(&mut self) {
        // SAFETY: the caller's promise.
        unsafe { self.graphs.release() };
    }

    fn flush(&mut self, context: &Context) -> Result<()> {
        if self.calls.is_empty() {
            return Ok(());
        }
        let calls = std::mem::take(&mut self.calls);
        let sent = context.bind().and_then(|()| {
            // SAFETY: promised for each of them when it was put here; its memory was held back.
            unsafe { self.graphs.send(calls, context.stream, &mut self.counts) }
        });
        context.allocator().let_go();
        sent
    }
}

/// A recording under way. Where it is dropped what was recorded is sent, as if it had never been put off.
pub(super) struct Recording<'c> {
    context: &'c Context,
    is_over: bool,
}

impl Recording<'_> {
    /// Ends it: the last of several sends what was recorded.
    pub fn end(mut self) -> Result<()> {
        self.close()
    }

    fn close(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.is_over, true) {
            return Ok(());
        }
        let mut recorder = self.context.recorder();
        recorder.open -= 1;
        match recorder.open {
            0 => recorder.flush(self.context),
            _ => Ok(()),
        }
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        // Whoever unwinds has an error of its own.
        let _ = self.close();
    }
}

impl Context {
    /// Puts launches off from now on.
    pub(super) fn record(&self) -> Recording<'_> {
        self.recorder().open += 1;
        Recording {
            context: self,
            is_over: false,
        }
    }

    /// Sends what was recorded: called before anything goes to the stream that is to come behind it.
    pub(super) fn flush(&self) -> Result<()> {
        self.recorder().flush(self)
    }

    /// Launches a kernel, or records it. Where launches are timed nothing is recorded.
    ///
    /// # Safety
    /// As of [`KernelCall::send`], until the kernel has run, but for memory given back to this context.
    pub(super) unsafe fn put(&self, mut call: KernelCall) -> Result<()> {
        let mut recorder = self.recorder();
        let mut launches = self.launches();
        if !recorder.is_on || recorder.open == 0 || launches.is_timed() {
            recorder.flush(self)?;
            self.bind()?;
            recorder.counts.launches += 1;
            let instance = call.instance.clone();
            // SAFETY: the caller's promise.
            let launch = || unsafe { call.send(self.stream) };
            return launches.around(self.stream, &instance, launch);
        }
        launches.note(&call.instance);
        if self.allocator().hold_back() > MOST_HELD_BACK {
            recorder.flush(self)?;
            self.allocator().hold_back();
        }
        recorder.calls.push(call);
        Ok(())
    }

    /// One more copy or fill.
    pub(super) fn count_copy(&self) {
        self.recorder().counts.copies += 1;
    }

    /// What the driver was asked for so far.
    pub fn calls(&self) -> Calls {
        self.recorder().counts
    }

    /// Whether launches that may be put off are, and sent as graphs; otherwise each is sent on its own. The
    /// bits are the same.
    pub fn use_graphs(&self, is_on: bool) {
        self.recorder().is_on = is_on;
    }
}
