//! `lrem bench engine`: throughput of the engine's workloads on this machine.

use crate::cli::Error;
use crate::cli::common::{self, AnyDevice, DeviceName, on_device};
use clap::Args;
use lrem::bench::engine::{self, Named};
use lrem::device::Device;
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
    on_device!(opened, |device| measure(args, &folder, &device))
}

fn measure<D: Device>(
    args: &EngineArgs,
    folder: &ModelFolder,
    device: &Arc<D>,
) -> Result<(), Error> {
    let sizes = args.device.sizes();
    let wanted = |name: &str| name.contains(&args.only);
    engine::each(folder, device, &sizes, &wanted, |named, work| {
        args.measure(named, || Ok(engine::time(&**device, work)?))
    })
}

impl EngineArgs {
    /// Prints the throughput in the median time of `run`.
    fn measure(
        &self,
        named: &Named,
        mut run: impl FnMut() -> Result<Duration, Error>,
    ) -> Result<(), Error> {
        run()?;
        let mut times = (0..self.runs)
            .map(|_| run())
            .collect::<Result<Vec<Duration>, Error>>()?;
        times.sort();
        let value = named.units as f64 / times[times.len() / 2].as_secs_f64();
        let (name, unit) = (&named.name, format!("{}/s", named.unit));
        if self.json {
            println!("{}", json!({"name": name, "value": value, "unit": unit}));
        } else {
            println!("{name:26} {value:10.1} {unit}");
        }
        Ok(())
    }
}
