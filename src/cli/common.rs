//! Arguments and helpers that several commands share.

use super::Error;
use clap::{Args, ValueEnum};
use half::bf16;
use indicatif::{ProgressBar, ProgressStyle};
use lrem::bench::engine::Sizes;
use lrem::device::Device;
use lrem::device::cpu::{Cpu, Multiply};
use lrem::device::cuda::{Calls, Cuda, Driver};
use lrem::embed::{EmbedError, Embedder, ModelFolder, NewTokens};
use lrem::model::Model;
use lrem::ops::linear::WeightFormat;
use lrem::recipe::Precision;
use lrem::text::Prompts;
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
    /// The virtual GPU: the same kernels, executed on the CPU.
    Simt,
}

/// In what inference keeps weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Weights {
    F32,
    Bf16,
    Int8,
    Int4,
}

impl From<Weights> for WeightFormat {
    fn from(w: Weights) -> WeightFormat {
        match w {
            Weights::F32 => WeightFormat::F32,
            Weights::Bf16 => WeightFormat::Bf16,
            Weights::Int8 => WeightFormat::Int8,
            Weights::Int4 => WeightFormat::Int4,
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

/// A device by its name and precision.
pub enum AnyDevice {
    Cpu(Arc<Cpu>),
    Cuda(Arc<Cuda<bf16>>),
    /// In f32, for recipes that ask for it.
    CudaF32(Arc<Cuda<f32>>),
}

impl AnyDevice {
    /// What a GPU's driver was asked for so far.
    pub fn calls(&self) -> Option<Calls> {
        match self {
            AnyDevice::Cpu(_) => None,
            AnyDevice::Cuda(gpu) => Some(gpu.context().calls()),
            AnyDevice::CudaF32(gpu) => Some(gpu.context().calls()),
        }
    }
}

impl DeviceName {
    /// For inference: f32 on the CPU, bf16 on a GPU.
    ///
    /// # Errors
    /// Where the device cannot be had, in one line.
    pub fn for_inference(self) -> Result<AnyDevice, Error> {
        match self.driver() {
            None => Ok(AnyDevice::Cpu(Arc::new(Cpu::new(Multiply::F32)))),
            Some(driver) => Ok(AnyDevice::Cuda(Arc::new(Cuda::new(driver)?))),
        }
    }

    /// For training in a precision.
    ///
    /// # Errors
    /// Where the device cannot be had, in one line.
    pub fn for_training(self, precision: Precision) -> Result<AnyDevice, Error> {
        Ok(match (self.driver(), precision) {
            (None, Precision::F32) => AnyDevice::Cpu(Arc::new(Cpu::new(Multiply::F32))),
            (None, Precision::Bf16) => AnyDevice::Cpu(Arc::new(Cpu::new(Multiply::Bf16))),
            (Some(driver), Precision::F32) => AnyDevice::CudaF32(Arc::new(Cuda::new(driver)?)),
            (Some(driver), Precision::Bf16) => AnyDevice::Cuda(Arc::new(Cuda::new(driver)?)),
        })
    }

    /// How much is measured on it.
    pub fn sizes(self) -> Sizes {
        match self {
            DeviceName::Simt => Sizes::COUNTED,
            DeviceName::Cpu | DeviceName::Cuda => Sizes::TIMED,
        }
    }

    fn driver(self) -> Option<Driver> {
        match self {
            DeviceName::Cpu => None,
            DeviceName::Cuda => Some(Driver::Nvidia),
            DeviceName::Simt => Some(Driver::Simt),
        }
    }
}

/// Evaluates an expression, generic over the device, with the one that was opened.
macro_rules! on_device {
    ($opened:expr, |$device:ident| $body:expr) => {
        match $opened {
            $crate::cli::common::AnyDevice::Cpu($device) => $body,
            $crate::cli::common::AnyDevice::Cuda($device) => $body,
            $crate::cli::common::AnyDevice::CudaF32($device) => $body,
        }
    };
}
pub(super) use on_device;

/// Opens a model with the default rows for new tokens.
pub fn open(model: &Path) -> Result<ModelFolder, Error> {
    Ok(ModelFolder::open(model, &NewTokens::default())?)
}

/// A model on its device, ready to embed.
pub struct Loaded<D: Device> {
    pub folder: ModelFolder,
    pub device: Arc<D>,
    model: Model<D>,
    prompts: Prompts,
}

impl<D: Device> Loaded<D> {
    /// Puts an opened model on the device.
    pub fn new(folder: ModelFolder, device: Arc<D>, weights: Weights) -> Result<Self, Error> {
        let prompts = folder.prompts()?;
        let model = folder.load(device.clone(), Some(weights.into()), CONTEXT)?;
        Ok(Loaded {
            folder,
            device,
            model,
            prompts,
        })
    }

    /// The model on its device.
    pub fn model(&self) -> &Model<D> {
        &self.model
    }

    /// What embeds titles and queries.
    pub fn embedder(&self) -> Embedder<'_, D> {
        Embedder {
            model: &self.model,
            tokenizer: &self.folder.tokenizer,
            prompts: &self.prompts,
            pooling: self.folder.settings.pooling,
        }
    }
}

/// Says of an embedding error where its text comes from: `place` names text `number`, from 1.
pub fn placed(error: EmbedError, place: impl Fn(usize) -> String) -> Error {
    match error {
        EmbedError::Empty { number, .. } => {
            format!("{} is empty; expected some text", place(number)).into()
        }
        EmbedError::TooLong {
            what,
            number,
            tokens,
            context,
        } => {
            let around = match what {
                "title" => "prompt",
                _ => "prompt and thought",
            };
            let place = place(number);
            format!("{place} takes {tokens} tokens with its {around}; the context holds {context}")
                .into()
        }
        other => other.into(),
    }
}

/// A command stopped by a signal, with what it had done kept.
#[derive(Debug)]
pub struct Interrupted(pub String);

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "interrupted: {}", self.0)
    }
}

impl std::error::Error for Interrupted {}

/// A bar on a terminal, a counter where the total is not known, and nothing elsewhere.
pub fn bar(what: &'static str, total: Option<usize>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total as u64),
            "{prefix} {bar:28} {pos}/{len} {per_sec} {eta} left {msg}",
        ),
        None => (
            ProgressBar::no_length(),
            "{prefix} {spinner} {pos} {per_sec}",
        ),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(what);
    bar
}
