//! Which kernels are launched, and how long that takes, by events on the stream before and after some repeats.

use super::context::{Context, failed};
use crate::device::Result;
use cudarc::driver::{result, sys};
use std::collections::BTreeSet;
use std::time::Duration;

/// A launch between two events.
struct Span {
    instance: String,
    start: sys::CUevent,
    end: sys::CUevent,
}

/// The launches of a context.
#[derive(Default)]
pub(super) struct Launches {
    /// Instances, each once.
    launched: BTreeSet<String>,
    /// Since timing began.
    spans: Option<Vec<Span>>,
    /// Launches between two events.
    repeats: u32,
}

impl Launches {
    /// Times launches from now on, each as the mean of so many.
    pub fn begin(&mut self, repeats: u32) {
        self.spans.get_or_insert_default();
        self.repeats = repeats.max(1);
    }

    /// Whether launches are timed.
    pub fn is_timed(&self) -> bool {
        self.spans.is_some()
    }

    /// Remembers what is launched.
    pub fn note(&mut self, instance: &str) {
        if !self.launched.contains(instance) {
            self.launched.insert(instance.to_owned());
        }
    }

    /// Runs a launch; where launches are timed, then again between two events. The context has to be current.
    pub fn around(
        &mut self,
        stream: sys::CUstream,
        instance: &str,
        mut launch: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        self.note(instance);
        let Some(spans) = &mut self.spans else {
            return launch();
        };
        let event = || {
            result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT)
                .map_err(failed("make an event"))
        };
        let (start, end) = (event()?, event()?);
        // SAFETY: event and stream are of the current context.
        let record = |event| {
            unsafe { result::event::record(event, stream) }.map_err(failed("record an event"))
        };
        launch()?;
        record(start)?;
        for _ in 0..self.repeats {
            launch()?;
        }
        record(end)?;
        let instance = instance.to_owned();
        spans.push(Span {
            instance,
            start,
            end,
        });
        Ok(())
    }

    /// Instance and time of every launch so far, in their order; all of them have ended.
    fn take(&mut self) -> Result<Vec<(String, Duration)>> {
        let spans = self.spans.take().unwrap_or_default();
        let mut times = Vec::new();
        for Span {
            instance,
            start,
            end,
        } in spans
        {
            // SAFETY: both events were recorded and have passed; they are destroyed once.
            let elapsed = unsafe {
                let elapsed = result::event::elapsed(start, end);
                let _ = result::event::destroy(start);
                let _ = result::event::destroy(end);
                elapsed
            };
            let ms = elapsed.map_err(failed("read the time of a launch"))?;
            let seconds = f64::from(ms.max(0.0)) / 1e3 / f64::from(self.repeats);
            times.push((instance, Duration::from_secs_f64(seconds)));
        }
        Ok(times)
    }
}

impl Context {
    /// The kernel instances that have been launched.
    pub fn launched(&self) -> Vec<String> {
        self.launches().launched.iter().cloned().collect()
    }

    /// Times every launch from now on, until [`Context::launch_times`] is asked: each is made once, then
    /// `repeats` times more, of which the mean counts. Where a launch adds to what is there the results are
    /// then others, not the time.
    pub fn time_launches(&self, repeats: u32) {
        self.launches().begin(repeats);
    }

    /// Instance and time on the GPU of every launch since [`Context::time_launches`], in their order.
    ///
    /// # Errors
    /// What went wrong in them.
    pub fn launch_times(&self) -> Result<Vec<(String, Duration)>> {
        self.synchronize()?;
        self.launches().take()
    }
}
