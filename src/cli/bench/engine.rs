//! `lrem bench engine`: throughput of the engine's workloads on this machine, and on a GPU the calls of its driver
//! that they take.

use crate::cli::Error;
use crate::cli::common::{self, AnyDevice, DeviceName, on_device};
use clap::Args;
use lrem::bench::Work;
use lrem::bench::engine::{self, Named};
use lrem::device::cuda::Calls;
use lrem::device::{self, Device};
use lrem::embed::ModelFolder;
use lrem::recipe::Precision;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

#[derive(Args)]
pub struct EngineArgs {
    /// Hugging Face folder or GGUF file.
    #[arg(default_value = ".cache/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")]
    model: PathBuf,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Only the workloads whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Timed runs of each, after one to warm up; the median counts.
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Where to compute; the virtual GPU gets less to do.
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceName,
}

pub fn run(args: &EngineArgs) -> Result<(), Error> {
    let folder = common::open(&args.model)?;
    let opened = args.device.for_training(Precision::Bf16)?;
    if !args.json {
        match &opened {
            AnyDevice::Cpu(cpu) => {
                let threads = lrem::device::cpu::parallel::threads();
                println!("{}, {threads} threads", cpu.isa.name());
            }
            AnyDevice::Cuda(gpu) => println!("{}", gpu.context().name),
            AnyDevice::CudaF32(gpu) => println!("{}", gpu.context().name),
        }
    }
    let calls = || opened.calls();
    on_device!(&opened, |device| measure(args, &folder, device, &calls))
}

/// A workload whose runs are counted.
struct Counted<'w> {
    work: &'w mut dyn Work,
    calls: &'w dyn Fn() -> Option<Calls>,
    /// Of the last run.
    spent: Option<Calls>,
}

impl Work for Counted<'_> {
    fn prepare(&mut self) -> device::Result<()> {
        self.work.prepare()
    }

    fn run(&mut self) -> device::Result<()> {
        let before = (self.calls)();
        self.work.run()?;
        let spent = (self.calls)().zip(before);
        self.spent = spent.map(|(after, before)| after.since(&before));
        Ok(())
    }
}

fn measure<D: Device>(
    args: &EngineArgs,
    folder: &ModelFolder,
    device: &Arc<D>,
    calls: &dyn Fn() -> Option<Calls>,
) -> Result<(), Error> {
    let sizes = args.device.sizes();
    let wanted = |name: &str| name.contains(&args.only);
    engine::each(folder, device, &sizes, &wanted, |named, work| {
        let spent = None;
        let mut work = Counted { work, calls, spent };
        args.measure(named, || {
            let time = engine::time(&**device, &mut work)?;
            Ok((time, work.spent))
        })
    })
}

impl EngineArgs {
    /// Prints the throughput in the median time of `run`, and the driver's calls in the last.
    fn measure(
        &self,
        named: &Named,
        mut run: impl FnMut() -> Result<(Duration, Option<Calls>), Error>,
    ) -> Result<(), Error> {
        run()?;
        let mut spent = None;
        let mut times = Vec::new();
        for _ in 0..self.runs {
            let (time, calls) = run()?;
            times.push(time);
            spent = calls;
        }
        times.sort();
        let per_unit = |calls: Calls| calls.total() as f64 / named.units as f64;
        let calls = spent.map(per_unit);
        let value = named.units as f64 / times[times.len() / 2].as_secs_f64();
        let (name, unit) = (&named.name, format!("{}/s", named.unit));
        if self.json {
            let mut line = json!({"name": name, "value": value, "unit": unit});
            if let Some(calls) = calls {
                line["driver_calls"] = calls.into();
            }
            println!("{line}");
        } else {
            let calls = calls.map(|calls| format!(", {calls:.1} driver calls/{}", named.unit));
            println!("{name:26} {value:10.1} {unit}{}", calls.unwrap_or_default());
        }
        Ok(())
    }
}
