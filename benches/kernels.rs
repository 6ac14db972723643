//! Every op's kernels at the workbench's workloads, shapes of SmolLM2-135M, Qwen2.5-0.5B and Qwen2.5-3B.
//!
//! `cargo bench --bench kernels -- rms_norm` runs one op. `LREM_BENCH_DEVICE` says where: `simt`, the virtual
//! GPU, where the figure is warp instructions and the same each time, or `cuda`, where it is the kernel's time
//! on the GPU; there a table of times beside what the model predicts comes last.

#[path = "shared/instructions.rs"]
mod instructions;
#[path = "shared/predicted.rs"]
mod predicted;

use criterion::measurement::{Measurement, WallTime};
use criterion::{BenchmarkGroup, Criterion, Throughput};
use half::bf16;
use instructions::{Instructions, Profile};
use lrem::device::Real;
use lrem::device::cuda::{Cuda, Driver, kernels};
use lrem::with_contract;
use lrem::workbench::contracts::OPS;
use lrem::workbench::{Contract, Cost, Draw, Probe, Workload, first_of_each, workload};
use predicted::Measured;
use simt::count::record::Record;
use std::cell::RefCell;
use std::time::Duration;

const DEVICE: &str = "LREM_BENCH_DEVICE";
/// Draws the inputs.
const SEED: u64 = 0;

fn main() {
    match std::env::var(DEVICE).as_deref() {
        Ok("cuda") => {
            let mut criterion = Criterion::default().configure_from_args();
            let timed = Timed::default();
            every_workload(&mut criterion, &timed);
            criterion.final_summary();
            predicted::print(&timed.device.take(), &timed.measured.take());
        }
        Ok("simt") | Err(_) => {
            let profile = Profile::begin();
            let mut criterion = instructions::criterion();
            every_workload(&mut criterion, &Counted { profile });
            criterion.final_summary();
        }
        Ok(other) => panic!("{DEVICE} is `{other}`; expected simt or cuda"),
    }
}

/// How the launches of a run are measured.
trait Meter {
    type Of: Measurement;
    const DRIVER: Driver;

    /// Runs, and gives the figure of each instance's first launch; where it is a time, the mean of so many.
    fn launches<T: Real>(
        &self,
        device: &Cuda<T>,
        repeats: u32,
        run: &mut dyn FnMut(),
    ) -> Vec<(String, <Self::Of as Measurement>::Value)>;

    /// Benchmarks an instance of an op at a workload, by their names, that had `first` before; `again` measures the
    /// mean of so many launches.
    fn bench(
        &self,
        op: &'static str,
        group: &mut BenchmarkGroup<'_, Self::Of>,
        name: (String, &str),
        first: <Self::Of as Measurement>::Value,
        again: &mut dyn FnMut(u32) -> <Self::Of as Measurement>::Value,
    );
}

fn every_workload<M: Meter>(criterion: &mut Criterion<M::Of>, meter: &M) {
    // Ops are run to find their kernels: one that is named spares the others that.
    let named = std::env::args()
        .skip(1)
        .find(|a| OPS.iter().any(|(op, _)| op == a));
    let wanted = |op: &str| named.as_ref().is_none_or(|only| only == op);
    for (op, _) in OPS.iter().filter(|(op, _)| wanted(op)) {
        let workloads = workload::built_in(op).expect("workloads of every op");
        let mut group = criterion.benchmark_group(*op);
        for workload in &workloads {
            // Some kernels serve both types of activations.
            let mut seen = Vec::new();
            with_contract!(*op, |C| {
                at::<C, f32, M>(&mut group, meter, workload, &mut seen);
                if C::TYPED {
                    at::<C, bf16, M>(&mut group, meter, workload, &mut seen);
                }
            });
        }
    }
}

fn at<C: Contract, T: Real, M: Meter>(
    group: &mut BenchmarkGroup<'_, M::Of>,
    meter: &M,
    workload: &Workload,
    seen: &mut Vec<String>,
) {
    let shape = workload.shape::<C>().expect("a shape within limits");
    let device = Cuda::<T>::new(M::DRIVER).expect("a GPU");
    let mut run = || {
        let mut probe = Probe::new(&device, f32::NAN);
        C::run(&shape, Draw::Counted, SEED, &mut probe).expect("the op runs");
    };
    let costs = C::costs(&shape, SEED, size_of::<T>());
    for (instance, first) in meter.launches(&device, 1, &mut run) {
        if seen.contains(&instance) {
            continue;
        }
        seen.push(instance.clone());
        // What has none is another op's, and measured there.
        let Some(cost) = Cost::of(&instance, &costs) else {
            continue;
        };
        group.throughput(Throughput::Bytes(cost.bytes));
        let mut again = |repeats| {
            let launches = meter.launches(&device, repeats, &mut run);
            let found = launches.into_iter().find(|(name, _)| *name == instance);
            found.expect("the same launches each time").1
        };
        let name = (instance.clone(), workload.uuid.as_str());
        meter.bench(C::OP, group, name, first, &mut again);
    }
}

/// Time on an NVIDIA GPU.
#[derive(Default)]
struct Timed {
    /// As its driver calls it.
    device: RefCell<String>,
    measured: RefCell<Vec<Measured>>,
}

/// Launches whose mean stands beside the prediction.
const REPEATS: u32 = 20;

impl Meter for Timed {
    type Of = WallTime;
    const DRIVER: Driver = Driver::Nvidia;

    fn launches<T: Real>(
        &self,
        device: &Cuda<T>,
        repeats: u32,
        run: &mut dyn FnMut(),
    ) -> Vec<(String, Duration)> {
        self.device.replace(device.context().name.clone());
        device.context().time_launches(repeats);
        run();
        first_of_each(device.context().launch_times().expect("launches that end"))
    }

    fn bench(
        &self,
        op: &'static str,
        group: &mut BenchmarkGroup<'_, WallTime>,
        (instance, workload): (String, &str),
        _: Duration,
        again: &mut dyn FnMut(u32) -> Duration,
    ) {
        let mut benched = false;
        group.bench_function(format!("{instance}/{workload}"), |b| {
            benched = true;
            b.iter_custom(|n| {
                let n = u32::try_from(n).expect("fewer launches");
                again(n) * n
            })
        });
        // A filter may have left it out.
        if benched {
            let time = again(REPEATS);
            let workload = workload.to_string();
            self.measured.borrow_mut().push(Measured {
                op,
                instance,
                workload,
                time,
            });
        }
    }
}

/// Counts on the virtual GPU.
struct Counted {
    profile: Profile,
}

impl Meter for Counted {
    type Of = Instructions;
    const DRIVER: Driver = Driver::Simt;

    fn launches<T: Real>(&self, _: &Cuda<T>, _: u32, run: &mut dyn FnMut()) -> Vec<(String, u64)> {
        let records = self.profile.of(run).into_iter();
        let instance = |symbol: &str| kernels().iter().find(|k| k.entry == symbol);
        let named = |r: Record| {
            Some((
                instance(&r.kernel)?.instance.to_string(),
                r.instructions.warp,
            ))
        };
        first_of_each(records.filter_map(named).collect())
    }

    fn bench(
        &self,
        _: &'static str,
        group: &mut BenchmarkGroup<'_, Instructions>,
        (instance, workload): (String, &str),
        first: u64,
        _: &mut dyn FnMut(u32) -> u64,
    ) {
        group.bench_function(format!("{instance}/{workload}"), |b| {
            b.iter_custom(|n| n * first)
        });
    }
}
