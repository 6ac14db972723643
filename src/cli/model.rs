//! `lrem model`: inspect, convert and compare models.

use super::Error;
use super::common::{self, CONTEXT, DeviceName, Weights, on_device};
use clap::{Args, Subcommand, ValueEnum};
use lrem::data::npy;
use lrem::device::Device;
use lrem::device::cpu::{Cpu, Multiply};
use lrem::embed::{ModelFolder, save_folder};
use lrem::model::{Activations, Batch, ModelSource, Precision, layout};
use lrem::ops::forest::Forest;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Subcommand)]
pub enum ModelCommand {
    /// Configuration, tensors and tokenizer of a model.
    Info {
        /// Hugging Face folder or GGUF file.
        model: PathBuf,
        /// List every tensor.
        #[arg(long)]
        tensors: bool,
    },
    /// Write a model as a Hugging Face folder, with the three special tokens of LREM.
    Convert {
        /// Hugging Face folder or GGUF file.
        model: PathBuf,
        /// Folder to write.
        out: PathBuf,
        /// Type of the written tensors.
        #[arg(long, value_enum, default_value = "f32")]
        dtype: Dtype,
    },
    /// Logits of a text or of token ids, for comparing with other engines.
    Logits(LogitsArgs),
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Dtype {
    F32,
    Bf16,
}

#[derive(Args)]
pub struct LogitsArgs {
    /// Hugging Face folder or GGUF file.
    model: PathBuf,
    /// Text to tokenize.
    #[arg(long, conflicts_with = "ids", required_unless_present = "ids")]
    text: Option<String>,
    /// Token ids, separated by commas.
    #[arg(long, value_delimiter = ',')]
    ids: Vec<u32>,
    /// File to write, `[tokens, vocab]` f32.
    #[arg(long)]
    npy: PathBuf,
    /// In what to keep the weights.
    #[arg(long, value_enum, default_value = "f32")]
    weights: Weights,
    /// Where to compute.
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceName,
}

pub fn run(command: ModelCommand) -> Result<(), Error> {
    match command {
        ModelCommand::Info { model, tensors } => info(&ModelSource::open(&model)?, tensors),
        ModelCommand::Convert { model, out, dtype } => {
            let folder = common::open(&model)?;
            let device = Arc::new(Cpu::new(Multiply::F32));
            let loaded = folder.load(device, None, 1)?;
            let precision = match dtype {
                Dtype::F32 => Precision::F32,
                Dtype::Bf16 => Precision::Bf16,
            };
            save_folder(
                &out,
                &loaded,
                &folder.tokenizer,
                &folder.settings,
                precision,
            )?;
            println!("wrote {}", out.display());
            Ok(())
        }
        ModelCommand::Logits(args) => logits(&args),
    }
}

fn info(source: &ModelSource, tensors: bool) -> Result<(), Error> {
    let c = source.config();
    let slots = layout(c);
    let parameters: usize = slots.iter().map(|s| s.len()).sum();
    println!("architecture      {}", c.architecture.model_type());
    println!("parameters        {:.1} M", parameters as f64 / 1e6);
    println!("layers            {}", c.num_hidden_layers);
    println!("hidden size       {}", c.hidden_size);
    println!("intermediate size {}", c.intermediate_size);
    let heads = (c.num_attention_heads, c.num_key_value_heads, c.head_dim);
    println!(
        "heads             {} queries, {} keys, {} wide",
        heads.0, heads.1, heads.2
    );
    println!("vocabulary        {}", c.vocab_size);
    println!("context           {}", c.max_position_embeddings);
    println!(
        "rope              theta {}, {:?}",
        c.rope_theta, c.rope_scaling
    );
    println!("tied head         {}", c.tie_word_embeddings);
    println!(
        "tokenizer         {} tokens",
        source.tokenizer()?.vocab_size()
    );
    if tensors {
        for t in source.tensors() {
            println!("{:6} {:?} {}", t.dtype, t.shape, t.name);
        }
    }
    Ok(())
}

fn logits(args: &LogitsArgs) -> Result<(), Error> {
    let folder: ModelFolder = common::open(&args.model)?;
    let ids = match &args.text {
        Some(text) => folder.tokenizer.encode(text)?,
        None => args.ids.clone(),
    };
    if ids.is_empty() {
        return Err("no tokens: the text is empty".into());
    }
    let vocab = folder.config.vocab_size;
    let opened = args.device.for_inference()?;
    let logits = on_device!(opened, |device| logits_of(
        device,
        &folder,
        &ids,
        args.weights
    )?);
    npy::write(&args.npy, ids.len(), vocab, &logits)?;
    println!("wrote {} [{}, {vocab}]", args.npy.display(), ids.len());
    Ok(())
}

/// `[tokens, vocab]`.
fn logits_of<D: Device>(
    device: Arc<D>,
    folder: &ModelFolder,
    ids: &[u32],
    weights: Weights,
) -> Result<Vec<f32>, Error> {
    let model = folder.load(device.clone(), Some(weights.into()), CONTEXT)?;
    let forest = Forest::packed(&[(ids.len(), None)]);
    let positions = forest.positions();
    let mut acts = Activations::for_inference(&*device, &model.config)?;
    let batch = Batch {
        ids,
        forest: &forest,
        positions: &positions,
        wanted: None,
    };
    model.forward(&batch, &mut acts)?;
    let len = ids.len() * model.config.vocab_size;
    let mut out = device.zeros(len)?;
    model.logits(ids.len(), &acts.hidden, &mut out)?;
    Ok(device.download(&out, len)?)
}
