//! Arguments and helpers that several commands share.

use super::Error;
use clap::{Args, ValueEnum};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::embed::{ModelFolder, NewTokens};
use lrem::ops::linear::WeightFormat;
use std::path::Path;
use std::sync::Arc;

/// Longest sequence of inference commands, in tokens.
pub const CONTEXT: usize = 2048;

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeviceName {
    /// All cores of this machine.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// The virtual GPU.
    Simt,
}

/// In what inference keeps weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Weights {
    F32,
    Bf16,
    Int8,
}

impl From<Weights> for WeightFormat {
    fn from(w: Weights) -> WeightFormat {
        match w {
            Weights::F32 => WeightFormat::F32,
            Weights::Bf16 => WeightFormat::Bf16,
            Weights::Int8 => WeightFormat::Int8,
        }
    }
}

/// The device and precision of inference commands.
#[derive(Args, Clone, Copy, Debug)]
pub struct Inference {
    /// Where to compute.
    #[arg(long, value_enum, default_value = "cpu")]
    pub device: DeviceName,
    /// In what to keep the weights.
    #[arg(long, value_enum, default_value = "bf16")]
    pub weights: Weights,
}

/// The CPU device, or why the named device cannot be had.
pub fn device(name: DeviceName, multiply: Multiply) -> Result<Arc<Cpu>, Error> {
    match name {
        DeviceName::Cpu => Ok(Arc::new(Cpu::new(multiply))),
        DeviceName::Cuda => {
            lrem::device::cuda::available()?;
            Err(
                "the engine does not run on CUDA yet: only the kernels are built; use --device cpu"
                    .into(),
            )
        }
        DeviceName::Simt => {
            Err("the virtual GPU does not run the engine yet; use --device cpu".into())
        }
    }
}

/// Opens a model with the default rows for new tokens.
pub fn open(model: &Path) -> Result<ModelFolder, Error> {
    Ok(ModelFolder::open(model, &NewTokens::default())?)
}
