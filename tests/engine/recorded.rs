//! Launches that are recorded and sent as graphs, in the order of what goes to the stream besides.

use crate::common::{bits, gpu_f32, message, normals};
use crate::graphs::{anew, anew_with_cached_memory};
use lrem::device::cuda::{Calls, Cuda, CudaBuffer};
use lrem::device::{DeviceError, Memory, Result};
use lrem::ops::linear::{Linear, LinearShape, Weight};
use lrem::ops::rms_norm::{NormShape, RmsNorm};
use std::panic::{AssertUnwindSafe, catch_unwind};

const ROWS: usize = 3;
const WIDTH: usize = 16;

/// Two ops to make runs of, over rows of a width.
struct Ops<'d> {
    device: &'d Cuda<f32>,
    norm: CudaBuffer<f32>,
    matrix: CudaBuffer<f32>,
}

impl Ops<'_> {
    fn on(device: &Cuda<f32>) -> Ops<'_> {
        Ops {
            device,
            norm: device.upload(&normals(1, 0, WIDTH)).unwrap(),
            matrix: device.upload(&normals(2, 0, WIDTH * WIDTH)).unwrap(),
        }
    }

    fn normed(&self, x: &CudaBuffer<f32>) -> Result<CudaBuffer<f32>> {
        let mut y = self.device.zeros(ROWS * WIDTH)?;
        let shape = NormShape {
            rows: ROWS,
            dim: WIDTH,
            eps: 1e-5,
        };
        self.device.rms_norm(shape, x, &self.norm, &mut y)?;
        Ok(y)
    }

    fn product(&self, x: &CudaBuffer<f32>) -> Result<CudaBuffer<f32>> {
        let mut y = self.device.zeros(ROWS * WIDTH)?;
        let (m, n, k) = (ROWS, WIDTH, WIDTH);
        let (shape, w) = (LinearShape { m, n, k }, Weight::Master(&self.matrix));
        self.device.linear(shape, x, w, None, &mut y, false)?;
        Ok(y)
    }

    /// Five of them by the bits of a number, each over what the one before leaves.
    fn chain(&self, number: u32, data: &[f32]) -> Result<CudaBuffer<f32>> {
        let mut x = self.device.upload(data)?;
        for bit in 0..5 {
            x = match number >> bit & 1 {
                0 => self.normed(&x)?,
                _ => self.product(&x)?,
            };
        }
        Ok(x)
    }

    fn got(&self, x: &CudaBuffer<f32>) -> Vec<u32> {
        bits(&self.device.download(x, ROWS * WIDTH).unwrap())
    }

    fn calls(&self) -> Calls {
        self.device.context().calls()
    }
}

fn data(seed: u64) -> Vec<f32> {
    normals(seed, 1, ROWS * WIDTH)
}

#[test]
fn other_kernels_and_other_arguments_make_other_graphs() {
    let Some(device) = anew_with_cached_memory::<f32>() else {
        return;
    };
    let ops = Ops::on(&device);
    let run = |number: u32, seed| {
        let before = ops.calls();
        let done = device.recorded(|| ops.chain(number, &data(seed))).unwrap();
        let got = (ops.got(&done), ops.calls().since(&before));
        assert_eq!(got.0, ops.got(&ops.chain(number, &data(seed)).unwrap()));
        got.1
    };
    let counts = |calls: Calls| (calls.launches, calls.graphs, calls.graph_launches);
    for number in 0..30 {
        let seed = u64::from(number);
        assert_eq!(counts(run(number, seed)), (5, 0, 0));
        assert_eq!(counts(run(number, seed + 100)), (0, 1, 1));
        let third = run(number, seed + 200);
        assert_eq!((counts(third), third.node_updates), ((0, 0, 1), 0));
        // What lies elsewhere is told to the nodes.
        let _kept: Vec<_> = (0..3).map(|_| device.upload(&data(0)).unwrap()).collect();
        let moved = run(number, seed + 300);
        assert_eq!(counts(moved), (0, 0, 1));
        assert!((1..=5).contains(&moved.node_updates), "{moved:?}");
    }
    // The last is still known, the first is forgotten.
    assert_eq!(counts(run(29, 1)), (0, 0, 1));
    assert_eq!(counts(run(0, 1)), (5, 0, 0));
    assert_eq!(counts(run(0, 2)), (0, 1, 1));
}

/// Each of these would see what came later, were it not for the order.
#[test]
fn what_is_recorded_comes_before_what_follows() {
    let Some(device) = anew::<f32>() else { return };
    let ops = Ops::on(&device);
    let (first, second) = (data(1), data(2));
    let [want_first, want_second] =
        [&first, &second].map(|x| ops.got(&ops.normed(&device.upload(x).unwrap()).unwrap()));
    device
        .recorded(|| {
            // Memory given back is not filled again before it was read.
            let a = ops.normed(&device.upload(&first)?)?;
            let used = device.context().usage().used;
            let b = ops.normed(&device.upload(&second)?)?;
            assert!(device.context().usage().used > used);
            assert_eq!(
                [ops.got(&a), ops.got(&b)],
                [want_first.clone(), want_second.clone()]
            );
            // A buffer that was read is cleared, then overwritten, then read.
            let mut x = device.upload(&first)?;
            let a = ops.normed(&x)?;
            device.clear(&mut x, ROWS * WIDTH)?;
            let zero = ops.normed(&x)?;
            device.copy(&device.upload(&second)?, 0, &mut x, 0, ROWS * WIDTH)?;
            let b = ops.normed(&x)?;
            assert_eq!(ops.got(&a), want_first);
            assert!(ops.got(&zero).iter().all(|&bits| bits << 1 == 0));
            assert_eq!(ops.got(&b), want_second);
            // A download that is started has what was recorded before it, and not after.
            let a = ops.normed(&x)?;
            let download = device.start_download(&a, ROWS * WIDTH)?;
            assert_eq!(bits(&device.finish_download(download)?), want_second);
            // What is waited for has run.
            let before = ops.calls();
            let _a = ops.normed(&x)?;
            assert_eq!(ops.calls().since(&before).launches, 0);
            device.wait()?;
            assert_eq!(ops.calls().since(&before).launches, 1);
            Ok(())
        })
        .unwrap();
}

#[test]
fn nothing_stays_recorded_where_the_work_fails() {
    let Some(device) = anew::<f32>() else { return };
    let ops = Ops::on(&device);
    let broken = || DeviceError::Argument {
        op: "chain",
        message: "broken off".into(),
    };
    let mut kept = Vec::new();
    for _ in 0..3 {
        let failed = device.recorded(|| {
            kept.push(ops.chain(3, &data(4))?);
            // A recording in a recording ends with the outer one.
            device.recorded(|| ops.chain(3, &data(5)))?;
            Err::<(), _>(broken())
        });
        assert_eq!(message(failed), "chain: broken off");
    }
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        device.recorded(|| {
            kept.push(ops.chain(3, &data(4))?);
            panic!("broken off")
        })
    }));
    let panicked: std::thread::Result<Result<()>> = panicked;
    assert!(panicked.is_err());
    // Everything was sent, and what comes next goes by itself.
    let before = ops.calls();
    let want = ops.chain(3, &data(4)).unwrap();
    assert_eq!(ops.calls().since(&before).launches, 5);
    for x in &kept {
        assert_eq!(ops.got(x), ops.got(&want));
    }
    drop((kept, want));
    let used = device.context().usage().used;
    drop(ops);
    assert_eq!(device.context().usage().used, 0, "of {used}");
}

#[test]
fn threads_may_record_at_the_same_time() {
    let Some(device) = gpu_f32() else { return };
    let ops = Ops::on(device);
    let want = |thread: u32| ops.got(&ops.chain(thread, &data(thread.into())).unwrap());
    let want: Vec<Vec<u32>> = (0..4).map(want).collect();
    std::thread::scope(|scope| {
        for (thread, want) in (0..4).zip(&want) {
            let ops = &ops;
            scope.spawn(move || {
                for _ in 0..50 {
                    let chain = || ops.chain(thread, &data(thread.into()));
                    // One of them never records.
                    let x = if thread == 3 {
                        chain()
                    } else {
                        device.recorded(chain)
                    };
                    assert_eq!(&ops.got(&x.unwrap()), want);
                }
            });
        }
    });
}

#[test]
fn timed_launches_go_one_by_one() {
    let Some(device) = anew::<f32>() else { return };
    let ops = Ops::on(&device);
    let run = || device.recorded(|| ops.chain(5, &data(1))).unwrap();
    drop([run(), run(), run()]);
    let before = ops.calls();
    let want = ops.got(&run());
    assert_eq!(ops.calls().since(&before).graph_launches, 1);
    let before = ops.calls();
    device.context().time_launches(2);
    let got = ops.got(&run());
    let times = device.context().launch_times().unwrap();
    assert_eq!((times.len(), got), (5, want));
    assert_eq!(ops.calls().since(&before).graph_launches, 0);
    assert_eq!(device.context().launched().len(), 2);
}
