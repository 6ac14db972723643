//! `lrem bench engine`: throughput of the engine's workloads on this machine.

use crate::cli::Error;
use crate::cli::common::{self, AnyDevice, DeviceName, on_device};
use clap::Args;
use lrem::bench::{ColdStartStep, DECODED, Decode, Encode, PAIRS, QUERIES, ROLLOUTS, RlStep};
use lrem::device::Device;
use lrem::embed::ModelFolder;
use lrem::ops::linear::WeightFormat;
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
    /// Where to compute.
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
    on_device!(opened, |device| measure(args, &folder, device))
}

fn measure<D: Device>(
    args: &EngineArgs,
    folder: &ModelFolder,
    device: Arc<D>,
) -> Result<(), Error> {
    for (label, format) in [("bf16", WeightFormat::Bf16), ("int8", WeightFormat::Int8)] {
        let decodes: &[usize] = match format {
            WeightFormat::Int8 => &[1],
            _ => &[1, 8, 64],
        };
        let named = |&n: &usize| (n, format!("decode batch {n} {label}"));
        let mut decodes: Vec<(usize, String)> = decodes.iter().map(named).collect();
        decodes.retain(|(_, name)| args.wants(name));
        let encodes = format == WeightFormat::Bf16
            && (args.wants("prefill 512") || args.wants("embed 64x24"));
        if decodes.is_empty() && !encodes {
            continue;
        }
        let model = folder.load(device.clone(), Some(format), common::CONTEXT)?;
        if encodes {
            for (name, sequences, len, work, unit) in [
                ("prefill 512", 1, 512, 512, "tok/s"),
                ("embed 64x24", 64, 24, 64, "items/s"),
            ] {
                let mut workload = Encode::new(&model, sequences, len)?;
                args.measure(name, work, unit, || Ok(workload.run(&model)?))?;
            }
        }
        for (sequences, name) in decodes {
            let mut workload = Decode::new(&model, sequences)?;
            args.measure(&name, sequences * DECODED, "tok/s", || {
                Ok(workload.run(&model)?)
            })?;
        }
    }
    let name = format!("cold-start step {PAIRS} pairs");
    if args.wants(&name) {
        let masters = folder.load(device.clone(), None, common::CONTEXT)?;
        let mut workload = ColdStartStep::new(masters)?;
        args.measure(&name, PAIRS, "pairs/s", || Ok(workload.run()?))?;
    }
    let name = format!("RL step {QUERIES} queries x {ROLLOUTS}");
    if args.wants(&name) {
        let masters = folder.load(device, None, common::CONTEXT)?;
        let mut workload = RlStep::new(masters)?;
        args.measure(&name, QUERIES, "queries/s", || Ok(workload.run()?))?;
    }
    Ok(())
}

impl EngineArgs {
    fn wants(&self, name: &str) -> bool {
        name.contains(&self.only)
    }

    /// Prints the throughput of `work` units in the median time of `run`.
    fn measure(
        &self,
        name: &str,
        work: usize,
        unit: &str,
        mut run: impl FnMut() -> Result<Duration, Error>,
    ) -> Result<(), Error> {
        if !self.wants(name) {
            return Ok(());
        }
        run()?;
        let mut times = (0..self.runs)
            .map(|_| run())
            .collect::<Result<Vec<Duration>, Error>>()?;
        times.sort();
        let value = work as f64 / times[times.len() / 2].as_secs_f64();
        if self.json {
            println!("{}", json!({"name": name, "value": value, "unit": unit}));
        } else {
            println!("{name:26} {value:10.1} {unit}");
        }
        Ok(())
    }
}
