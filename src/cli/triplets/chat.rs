//! Which models are asked, and what it costs.

use crate::cli::Error;
use crate::cli::common::{self, Inference, Loaded, on_device};
use clap::Args;
use lrem::teacher::{Endpoint, EndpointOptions, Local, Teacher};
use std::path::PathBuf;
use std::time::Duration;

/// The teacher, and the judge.
#[derive(Args, Clone)]
pub struct ChatArgs {
    /// OpenAI-compatible endpoint of the teacher, such as http://127.0.0.1:8080/v1.
    #[arg(long, required_unless_present = "teacher_model")]
    teacher: Option<String>,
    /// A chat model that this program runs, in place of an endpoint: Hugging Face folder or GGUF file.
    #[arg(long, conflicts_with = "teacher")]
    teacher_model: Option<PathBuf>,
    /// Name of the model at the endpoint.
    #[arg(long, default_value = "default")]
    teacher_name: String,
    /// Endpoint of the judge of relevance; by default the teacher judges.
    #[arg(long)]
    judge: Option<String>,
    /// Name of the judge's model.
    #[arg(long, default_value = "default")]
    judge_name: String,
    /// Environment variable that holds the endpoints' key.
    #[arg(long)]
    key_env: Option<String>,
    /// Queries that an endpoint is asked about at a time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    parallel: u32,
    /// Most requests a minute to an endpoint; 0: no limit.
    #[arg(long, default_value_t = 0)]
    per_minute: u32,
    /// How often a request is tried again.
    #[arg(long, default_value_t = 5)]
    retries: u32,
    /// Seconds that an endpoint has for an answer.
    #[arg(long, default_value_t = 120)]
    timeout: u64,
    /// Most tokens of the teacher's free reasoning.
    #[arg(long, default_value_t = 256)]
    reasoning: usize,
    /// Price of a million prompt tokens, to be told the cost.
    #[arg(long, default_value_t = 0.0)]
    price_in: f64,
    /// Price of a million tokens of answers.
    #[arg(long, default_value_t = 0.0)]
    price_out: f64,
}

impl ChatArgs {
    /// Most tokens of the free reasoning.
    pub fn reasoning(&self) -> usize {
        self.reasoning
    }

    /// What tokens of prompts and of answers cost, in words.
    pub fn cost(&self, (prompt, answer): (u64, u64)) -> String {
        let cost = (prompt as f64 * self.price_in + answer as f64 * self.price_out) / 1e6;
        let tokens = format!("{prompt} prompt tokens, {answer} answer tokens");
        match self.price_in + self.price_out {
            0.0 => tokens,
            _ => format!("{tokens}, cost {cost:.4}"),
        }
    }

    fn endpoint(&self, url: &str, model: &str) -> Result<Endpoint, Error> {
        let key = match &self.key_env {
            None => None,
            Some(name) => {
                let message = |_| format!("--key-env: the environment has no {name}");
                Some(std::env::var(name).map_err(message)?)
            }
        };
        Ok(Endpoint::new(EndpointOptions {
            url: url.to_string(),
            model: model.to_string(),
            key,
            parallel: self.parallel as usize,
            per_minute: self.per_minute,
            retries: self.retries,
            timeout: Duration::from_secs(self.timeout),
        }))
    }
}

/// Calls `f` with teacher and judge.
pub fn with_teachers(
    args: &ChatArgs,
    inference: Inference,
    f: impl FnOnce(&dyn Teacher, &dyn Teacher) -> Result<(), Error>,
) -> Result<(), Error> {
    let judge = match &args.judge {
        Some(url) => Some(args.endpoint(url, &args.judge_name)?),
        None => None,
    };
    let with = |teacher: &dyn Teacher| match &judge {
        Some(judge) => f(teacher, judge),
        None => f(teacher, teacher),
    };
    match (&args.teacher, &args.teacher_model) {
        (Some(url), _) => with(&args.endpoint(url, &args.teacher_name)?),
        (None, Some(path)) => {
            let folder = common::open(path)?;
            on_device!(inference.device.for_inference()?, |device| {
                let loaded = Loaded::new(folder, device, inference.weights)?;
                with(&Local::new(loaded.model(), &loaded.folder.tokenizer)?)
            })
        }
        // The arguments' rules leave no other case.
        (None, None) => Err("expected --teacher or --teacher-model".into()),
    }
}
