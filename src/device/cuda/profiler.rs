//! The range of the driver's profiler.

use super::context::{Context, failed};
use crate::device::Result;
use cudarc::driver::{profiler_start, profiler_stop};

impl Context {
    /// Does `work` as a range of the driver's profiler: whatever was asked for before is done when it begins, and
    /// all that `work` asks for when it ends. The virtual GPU counts what the range's launches move together.
    ///
    /// # Errors
    /// What `work` returns, and what goes wrong in what was asked for.
    pub(super) fn profiled<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        self.synchronize()?;
        profiler_start().map_err(failed("start the profiler"))?;
        let done = work();
        let waited = self.synchronize();
        let stopped = profiler_stop().map_err(failed("stop the profiler"));
        let result = done?;
        waited.and(stopped).map(|()| result)
    }
}
