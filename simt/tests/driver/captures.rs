//! Streams whose work becomes a graph.

use super::support::stream;
use super::{AddArguments, WORDS, Words, function, image, module, ok};
use cudarc::driver::sys::{self, CUresult, CUstreamCaptureMode, CUstreamCaptureStatus};
use std::ptr::null_mut;

const GLOBAL: CUstreamCaptureMode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL;

fn new_stream() -> sys::CUstream {
    let mut stream = null_mut();
    // SAFETY: a context is current.
    ok(unsafe { sys::cuStreamCreate(&mut stream, 1) });
    stream
}

fn new_event() -> sys::CUevent {
    let mut event = null_mut();
    // SAFETY: a context is current.
    ok(unsafe { sys::cuEventCreate(&mut event, 2) });
    event
}

/// Launches `add` or `twice`.
fn launch(module: sys::CUmodule, name: &str, words: &Words, by: u32, stream: sys::CUstream) {
    let mut arguments = AddArguments::new(words, by);
    // SAFETY: `twice` takes the first two arguments.
    ok(unsafe {
        sys::cuLaunchKernel(
            function(module, name),
            4,
            1,
            1,
            32,
            1,
            1,
            0,
            stream,
            arguments.pointers().as_mut_ptr(),
            null_mut(),
        )
    });
}

#[test]
fn nothing_runs_before_the_graph_and_a_fork_joins_again() {
    let _context = stream();
    let module = module(&image(WORDS)).unwrap();
    let (words, other) = (Words::new(&[3; 100]), Words::new(&[3; 100]));
    let (main, side) = (new_stream(), new_stream());
    let (fork, join) = (new_event(), new_event());
    let mut graph = null_mut();
    let host = [8u32; 100];
    // SAFETY: handles are live.
    unsafe {
        ok(sys::cuStreamBeginCapture_v2(main, GLOBAL));
        launch(module, "add", &words, 1, main);
        ok(sys::cuEventRecord(fork, main));
        ok(sys::cuStreamWaitEvent(side, fork, 0));
        launch(module, "twice", &words, 0, side);
        ok(sys::cuMemcpyHtoDAsync_v2(
            other.0,
            host.as_ptr().cast(),
            400,
            main,
        ));
        ok(sys::cuMemsetD32Async(other.0, 77, 10, main));
        ok(sys::cuEventRecord(join, side));
        ok(sys::cuStreamWaitEvent(main, join, 0));
        launch(module, "add", &words, 100, main);
        for captured in [main, side] {
            let mut status = CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
            ok(sys::cuStreamIsCapturing(captured, &mut status));
            assert_eq!(
                status,
                CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_ACTIVE
            );
        }
        ok(sys::cuStreamEndCapture(main, &mut graph));
        assert_eq!((words.read(), other.read()), (vec![3; 100], vec![3; 100]));
        let mut edges = 0;
        ok(sys::cuGraphGetEdges(
            graph,
            null_mut(),
            null_mut(),
            &mut edges,
        ));
        // add → twice, add → copy → fill, and both before the last add.
        assert_eq!(edges, 5);
        let mut exec = null_mut();
        ok(sys::cuGraphInstantiateWithFlags(&mut exec, graph, 0));
        ok(sys::cuGraphLaunch(exec, main));
        ok(sys::cuStreamSynchronize(main));
        assert_eq!(words.read(), [108; 100]);
        ok(sys::cuGraphLaunch(exec, side));
        assert_eq!(words.read(), [318; 100]);
        let expected: Vec<u32> = (0..100).map(|at| if at < 10 { 77 } else { 8 }).collect();
        assert_eq!(other.read(), expected);
        // A graph that is launched while a stream is captured is a graph in the graph.
        let (mut outer, mut outer_exec) = (null_mut(), null_mut());
        ok(sys::cuStreamBeginCapture_v2(side, GLOBAL));
        ok(sys::cuGraphLaunch(exec, side));
        launch(module, "add", &words, 1, side);
        ok(sys::cuStreamEndCapture(side, &mut outer));
        ok(sys::cuGraphExecDestroy(exec));
        ok(sys::cuGraphDestroy(graph));
        assert_eq!(words.read(), [318; 100]);
        ok(sys::cuGraphInstantiateWithFlags(&mut outer_exec, outer, 0));
        ok(sys::cuGraphLaunch(outer_exec, main));
        assert_eq!(words.read(), [739; 100]);
        // Both streams work as before.
        launch(module, "add", &words, 1, main);
        launch(module, "add", &words, 1, side);
        assert_eq!(words.read(), [741; 100]);
    }
}

#[test]
fn mistakes_break_the_capture_and_nothing_else() {
    let _context = stream();
    let module = module(&image(WORDS)).unwrap();
    let words = Words::new(&[1; 100]);
    let (main, side) = (new_stream(), new_stream());
    let event = new_event();
    let mut graph = null_mut();
    // SAFETY: handles are live.
    unsafe {
        // Waiting for what has not begun.
        ok(sys::cuStreamBeginCapture_v2(main, GLOBAL));
        assert_eq!(
            sys::cuStreamSynchronize(main),
            CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
        );
        let mut status = CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
        ok(sys::cuStreamIsCapturing(main, &mut status));
        assert_eq!(
            status,
            CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_INVALIDATED
        );
        let ended = sys::cuStreamEndCapture(main, &mut graph);
        assert_eq!(ended, CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
        assert!(graph.is_null());

        // A fork that nobody waits for.
        ok(sys::cuStreamBeginCapture_v2(main, GLOBAL));
        launch(module, "add", &words, 1, main);
        ok(sys::cuEventRecord(event, main));
        ok(sys::cuStreamWaitEvent(side, event, 0));
        launch(module, "add", &words, 1, side);
        assert_eq!(
            sys::cuEventSynchronize(event),
            CUresult::CUDA_ERROR_CAPTURED_EVENT
        );
        let ended = sys::cuStreamEndCapture(side, &mut graph);
        assert_eq!(ended, CUresult::CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
        let ended = sys::cuStreamEndCapture(main, &mut graph);
        assert_eq!(ended, CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
        ok(sys::cuStreamBeginCapture_v2(main, GLOBAL));
        ok(sys::cuEventRecord(event, main));
        ok(sys::cuStreamWaitEvent(side, event, 0));
        launch(module, "add", &words, 1, side);
        let ended = sys::cuStreamEndCapture(main, &mut graph);
        assert_eq!(ended, CUresult::CUDA_ERROR_STREAM_CAPTURE_UNJOINED);

        assert_eq!(
            sys::cuStreamEndCapture(main, &mut graph),
            CUresult::CUDA_ERROR_ILLEGAL_STATE
        );
        let legacy = sys::cuStreamBeginCapture_v2(null_mut(), GLOBAL);
        assert_eq!(legacy, CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        assert_eq!(words.read(), [1; 100]);
    }
}
