//! Runs of launches that come again and again, each kept as a graph.

use super::context::failed;
use super::graph::Graph;
use super::kernel_call::KernelCall;
use super::recorder::Calls;
use crate::device::Result;
use cudarc::driver::{result, sys};

/// A run of fewer launches is not worth a graph.
const FEWEST: usize = 4;
/// Runs that are known at a time: those of a decode loop by its numbers of rows.
const MOST: usize = 24;

/// The runs that came last, the latest first.
#[derive(Default)]
pub(super) struct Graphs {
    runs: Vec<Run>,
}

/// The kernels of a run and the first one's grid, which tells a pass's rows, and its graph. Making one takes about as
/// long as the launches and many runs (those of a prompt) do not come again, so a run's first time makes none; nor
/// does it where there is one for other rows, which can be told of these.
struct Run {
    functions: Vec<sys::CUfunction>,
    grid: [u32; 3],
    graph: Option<Graph>,
}

impl Run {
    fn has_kernels_of(&self, calls: &[KernelCall]) -> bool {
        let functions = calls.iter().map(|call| call.function);
        self.functions.iter().copied().eq(functions)
    }
}

impl Graphs {
    /// Puts a run of launches on the stream, in as few calls of the driver as it takes. The context has to be
    /// current.
    ///
    /// # Safety
    /// As of [`KernelCall::send`] for each.
    pub unsafe fn send(
        &mut self,
        mut run: Vec<KernelCall>,
        stream: sys::CUstream,
        counts: &mut Calls,
    ) -> Result<()> {
        let place = match run.len() {
            FEWEST.. => self.place(&run, stream)?,
            _ => None,
        };
        let Some(place) = place else {
            counts.launches += run.len();
            // SAFETY: the caller's promise.
            return run
                .iter_mut()
                .try_for_each(|call| unsafe { call.send(stream) });
        };
        let graph = match place {
            Some(graph) => {
                counts.node_updates += graph.update(run)?;
                graph
            }
            none => {
                counts.graphs += 1;
                none.insert(Graph::new(run)?)
            }
        };
        counts.graph_launches += 1;
        // SAFETY: the caller's promise.
        unsafe { graph.launch(stream) }
    }

    /// The graph for a run, or where it is to be made: that of the same kernels for as many rows where they came
    /// before, or else for others. `None` for kernels that did not come before. The run that was not asked for
    /// longest is forgotten.
    fn place(
        &mut self,
        calls: &[KernelCall],
        stream: sys::CUstream,
    ) -> Result<Option<&mut Option<Graph>>> {
        let grid = calls[0].grid;
        let same = |run: &Run| run.grid == grid && run.has_kernels_of(calls);
        if let Some(at) = self.runs.iter().position(same) {
            self.runs[..=at].rotate_right(1);
            return Ok(Some(&mut self.runs[0].graph));
        }
        if self.runs.len() == MOST
            && let Some(graph) = self.runs.pop().and_then(|run| run.graph)
        {
            // SAFETY: the stream's work is over when it is ended.
            unsafe {
                let waited = result::stream::synchronize(stream);
                graph.destroy();
                waited.map_err(failed("synchronize"))?;
            }
        }
        let run = Run {
            functions: calls.iter().map(|call| call.function).collect(),
            grid,
            graph: None,
        };
        self.runs.insert(0, run);
        let others = || (1..self.runs.len()).filter(|&at| self.runs[at].has_kernels_of(calls));
        let made = others().find(|&at| self.runs[at].graph.is_some());
        let at = made.or_else(|| others().next().map(|_| 0));
        Ok(at.map(|at| &mut self.runs[at].graph))
    }

    /// Ends all graphs.
    ///
    /// # Safety
    /// The context is current, and no run of them is under way.
    pub unsafe fn release(&mut self) {
        for graph in self.runs.drain(..).filter_map(|run| run.graph) {
            // SAFETY: the caller's promise.
            unsafe { graph.destroy() };
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::device::cuda::{Context, Driver, kernels};
    use cudarc::driver::sys;

    /// Of a device of its own; `None` in a build without kernels.
    fn context() -> Option<Context> {
        (!kernels().is_empty()).then(|| Context::open(Driver::Simt, 0).unwrap())
    }

    fn exists(exec: sys::CUgraphExec) -> bool {
        let mut flags = 0;
        // SAFETY: the virtual GPU's driver knows which handles are in use.
        unsafe { sys::cuGraphExecGetFlags(exec, &mut flags).result() }.is_ok()
    }

    /// Launches of an empty sum, with a run's number told by how many they are.
    fn run(context: &Context, launches: usize) -> Vec<sys::CUgraphExec> {
        let recording = context.record();
        for _ in 0..launches {
            let kernel = context.kernel("add_parts").unwrap().value(0u64);
            let kernel = kernel.value(0u64).int(0).unwrap().int(0).unwrap();
            // SAFETY: no thread has an element to add.
            unsafe { kernel.value(0i32).launch([1, 1, 1], 32) }.unwrap();
        }
        recording.end().unwrap();
        let recorder = context.recorder();
        let graphs = recorder.graphs().runs.iter();
        graphs
            .filter_map(|run| Some(run.graph.as_ref()?.exec()))
            .collect()
    }

    #[test]
    fn graphs_end_when_they_are_forgotten_and_with_their_context() {
        let Some(context) = context() else { return };
        let mut made = Vec::new();
        for launches in 1..super::FEWEST {
            run(&context, launches);
            assert!(run(&context, launches).is_empty());
        }
        for launches in super::FEWEST..super::FEWEST + super::MOST + 3 {
            run(&context, launches);
            made.push(run(&context, launches)[0]);
        }
        let alive: Vec<bool> = made.iter().map(|exec| exists(*exec)).collect();
        let forgotten = vec![false; 3];
        assert_eq!(alive, [forgotten, vec![true; super::MOST]].concat());
        drop(context);
        assert!(made.into_iter().all(|exec| !exists(exec)));
    }
}
