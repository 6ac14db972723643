//! A trace of launches and copies in the Trace Event Format, which Perfetto and `chrome://tracing` load.
//!
//! It is an array of events whose closing bracket is left out, as the format allows: the trace is whole
//! whenever the process ends.

use super::output::File;
use crate::exec::fault::Report;
use crate::exec::grid::Launch;
use crate::watch::{Event, LaunchWatch, Observer, Transfer, TransferKind, Watch, call};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows of the trace.
const KERNELS: u32 = 1;
const COPIES: u32 = 2;

/// Writes an event of every launch and copy.
struct Trace {
    file: File,
    /// Time 0.
    origin: Instant,
}

impl Trace {
    fn event(&self, row: u32, name: &str, started: Instant, took: Duration, arguments: &Value) {
        let process = std::process::id();
        let microseconds = |time: Duration| time.as_nanos() as f64 / 1e3;
        let event = json!({
            "name": name,
            "ph": "X",
            "pid": process,
            "tid": row,
            "ts": microseconds(started.saturating_duration_since(self.origin)),
            "dur": microseconds(took),
            "args": arguments,
        });
        let name_of = |row: u32, name: &str| {
            let about = json!({"name": "thread_name", "ph": "M", "pid": process, "tid": row,
                "args": {"name": name}});
            format!("{about},\n")
        };
        let first = format!(
            "[\n{}{}",
            name_of(KERNELS, "kernels"),
            name_of(COPIES, "copies")
        );
        self.file.append(&first, &format!("{event},\n"));
    }
}

/// What a process that is traced tells of.
struct Tracing(Arc<Trace>);

impl Watch for Tracing {
    fn launch(&self, _: &Launch) -> Option<Box<dyn LaunchWatch>> {
        Some(Box::new(Span {
            trace: Arc::clone(&self.0),
            started: Instant::now(),
        }))
    }

    fn host(&self, event: &Event<'_>) {
        let Event::Transferred(transfer) = event else {
            return;
        };
        let Transfer {
            kind,
            bytes,
            started,
            took,
            ..
        } = transfer;
        let name = match kind {
            TransferKind::ToDevice => "host to device",
            TransferKind::ToHost => "device to host",
            TransferKind::OnDevice => "device to device",
            TransferKind::Anywhere => "copy",
            TransferKind::Fill => "fill",
        };
        let arguments = json!({"bytes": bytes, "call": call()});
        self.0.event(COPIES, name, *started, *took, &arguments);
    }
}

/// A launch under way.
struct Span {
    trace: Arc<Trace>,
    started: Instant,
}

impl LaunchWatch for Span {
    fn observer(&self) -> Option<Box<dyn Observer>> {
        None
    }

    fn end(self: Box<Self>, launch: &Launch, fault: Option<&Report>) {
        let entry = &launch.program.functions[launch.function];
        let arguments = json!({
            "launch": launch.id,
            "grid": launch.grid,
            "block": launch.block,
            "shared": launch.shared_bytes,
            "registers": entry.registers,
            "fault": fault.map(ToString::to_string),
        });
        let took = self.started.elapsed();
        self.trace
            .event(KERNELS, &entry.name, self.started, took, &arguments);
    }
}

/// A trace into the file that `SIMT_TRACE` names.
pub fn from_environment() -> Option<Arc<dyn Watch>> {
    let path = std::env::var_os("SIMT_TRACE").filter(|path| !path.is_empty())?;
    let trace = Trace {
        file: File::new("SIMT_TRACE", path.into()),
        origin: Instant::now(),
    };
    Some(Arc::new(Tracing(Arc::new(trace))))
}
