//! The engine end to end: prefill, embedding, decoding and the steps of both trainings, the same work as
//! `lrem bench engine`.
//!
//! `LREM_BENCH_MODEL` names the model, a Hugging Face folder or GGUF file; SmolLM2-135M by default.
//! `LREM_BENCH_DEVICE` says where: `cpu` (the default), `cuda`, or `simt`, the virtual GPU, where the figure is
//! warp instructions, the same each time, of smaller work.

#[path = "shared/instructions.rs"]
mod instructions;

use criterion::measurement::{Measurement, WallTime};
use criterion::{BenchmarkGroup, Criterion, Throughput};
use half::bf16;
use instructions::{Instructions, Profile};
use lrem::bench::Work;
use lrem::bench::engine::{self, Sizes};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::device::cuda::{Cuda, Driver};
use lrem::device::{Device, DeviceError};
use lrem::embed::{FolderError, ModelFolder, NewTokens};
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const MODEL: &str = ".cache/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join(MODEL);
    let path = std::env::var_os("LREM_BENCH_MODEL").map_or_else(default, PathBuf::from);
    if !path.exists() {
        eprintln!(
            "{} is missing; `make setup` fetches SmolLM2-135M",
            path.display()
        );
        return Ok(());
    }
    let device = std::env::var("LREM_BENCH_DEVICE").unwrap_or("cpu".into());
    let folder = ModelFolder::open(&path, &NewTokens::default())?;
    let timed = || {
        Criterion::default()
            .sample_size(10)
            .measurement_time(Duration::from_secs(8))
            .configure_from_args()
    };
    match device.as_str() {
        "cpu" => suite(timed(), &folder, Cpu::new(Multiply::Bf16), "engine", &Timed)?,
        "cuda" => {
            let gpu = Cuda::<bf16>::new(Driver::Nvidia)?;
            suite(timed(), &folder, gpu, "engine on cuda", &Timed)?;
        }
        "simt" => {
            let counted = Counted {
                profile: Profile::begin(),
            };
            let gpu = Cuda::<bf16>::new(Driver::Simt)?;
            let criterion = instructions::criterion();
            suite(criterion, &folder, gpu, "engine on simt", &counted)?;
        }
        other => panic!("LREM_BENCH_DEVICE is `{other}`; expected cpu, cuda or simt"),
    }
    Ok(())
}

fn suite<D: Device, M: Meter>(
    mut criterion: Criterion<M::Of>,
    folder: &ModelFolder,
    device: D,
    name: &str,
    meter: &M,
) -> Result<(), Failure> {
    let device = Arc::new(device);
    let mut group = criterion.benchmark_group(name);
    // Models are loaded for what is asked for alone; criterion decides what runs.
    let arguments: Vec<String> = std::env::args().collect();
    // What follows an option may be its value.
    let free = |pair: &&[String]| pair.iter().all(|a| !a.starts_with('-'));
    let filter = arguments.windows(2).find(free).map(|pair| &pair[1]);
    let wanted = |workload: &str| {
        let id = format!("{name}/{workload}");
        filter.is_none_or(|filter| id.contains(filter))
    };
    engine::each(folder, &device, &M::SIZES, &wanted, |named, work| {
        group.throughput(Throughput::Elements(named.units as u64));
        meter.bench(&mut group, &named.name, &*device, work);
        Ok::<(), Failure>(())
    })?;
    group.finish();
    criterion.final_summary();
    Ok(())
}

/// How a workload is measured.
trait Meter {
    type Of: Measurement;
    const SIZES: Sizes;

    fn bench<D: Device>(
        &self,
        group: &mut BenchmarkGroup<'_, Self::Of>,
        name: &str,
        device: &D,
        work: &mut dyn Work,
    );
}

/// By the clock.
struct Timed;

impl Meter for Timed {
    type Of = WallTime;
    const SIZES: Sizes = Sizes::TIMED;

    fn bench<D: Device>(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        name: &str,
        device: &D,
        work: &mut dyn Work,
    ) {
        let mut time = || engine::time(device, work).expect("a device that works");
        group.bench_function(name, |b| b.iter_custom(|n| (0..n).map(|_| time()).sum()));
    }
}

/// By what the virtual GPU counts.
struct Counted {
    profile: Profile,
}

impl Meter for Counted {
    type Of = Instructions;
    const SIZES: Sizes = Sizes::COUNTED;

    fn bench<D: Device>(
        &self,
        group: &mut BenchmarkGroup<'_, Instructions>,
        name: &str,
        device: &D,
        work: &mut dyn Work,
    ) {
        let mut count = || {
            work.prepare().expect("a device that works");
            let records = self.profile.of(|| {
                let ran = work.run().and_then(|()| device.wait());
                ran.expect("a device that works");
            });
            records.iter().map(|r| r.instructions.warp).sum::<u64>()
        };
        let counted = OnceCell::new();
        group.bench_function(name, |b| {
            b.iter_custom(|n| n * counted.get_or_init(&mut count))
        });
    }
}

/// What a suite can fail at.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Device(#[from] DeviceError),
}
