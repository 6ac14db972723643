//! `lrem bench latency`: how long a query takes, one at a time, by how long it may think.

use super::columns;
use crate::cli::Error;
use crate::cli::common::{self, Inference, Loaded, on_device};
use crate::cli::latency::{TIMED, milliseconds};
use crate::cli::searcher::Searching;
use clap::Args;
use lrem::data::{Query, read_queries};
use lrem::device::Device;
use lrem::embed::{ModelFolder, Session, Thinking};
use lrem::report::{Latency, Table};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Args)]
pub struct LatencyArgs {
    /// Model folder, best one that was trained to think.
    model: PathBuf,
    /// JSON Lines of queries; at most a hundred, spread over the file, are timed.
    #[arg(long, default_value = "data/shop/test.jsonl")]
    queries: PathBuf,
    /// Most tokens of a thought; 0 is the embedding without one.
    #[arg(long, value_delimiter = ',', default_value = "0,4,8,16,32")]
    think: Vec<u32>,
    /// Think a token at a time, without drafts from earlier thoughts; the thoughts are the same.
    #[arg(long)]
    no_drafts: bool,
    /// One JSON object a budget.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    inference: Inference,
}

pub fn run(args: &LatencyArgs) -> Result<(), Error> {
    let queries = read_queries(&args.queries)?;
    let folder = common::open(&args.model)?;
    for &tokens in &args.think {
        Searching::new(Some(tokens), args.inference).budget(&folder)?;
    }
    let opened = args.inference.device.for_inference()?;
    on_device!(opened, |device| measure(args, &queries, folder, device))
}

/// What a budget costs.
struct Measured {
    budget: u32,
    latency: Latency,
    /// Tokens of a thought and passes of the model for a query, in the mean.
    tokens: f64,
    passes: f64,
}

fn measure<D: Device>(
    args: &LatencyArgs,
    queries: &[Query],
    folder: ModelFolder,
    device: Arc<D>,
) -> Result<(), Error> {
    let loaded = Loaded::new(folder, device, args.inference.weights)?;
    let measured = args.think.iter().map(|&b| args.budget(&loaded, queries, b));
    let measured = measured.collect::<Result<Vec<Measured>, Error>>()?;
    if args.json {
        measured
            .iter()
            .for_each(|m| println!("{}", m.json(!args.no_drafts)));
    } else {
        columns(&table(&measured));
    }
    Ok(())
}

impl Measured {
    fn json(&self, drafts: bool) -> Value {
        let l = &self.latency;
        json!({
            "think": self.budget, "drafts": drafts,
            "mean_ms": l.mean, "p50_ms": l.p50, "p95_ms": l.p95, "p99_ms": l.p99,
            "tokens": self.tokens, "passes": self.passes,
        })
    }

    /// A row of the table; `first` is the first budget's p50.
    fn row(&self, first: f64) -> Vec<String> {
        let l = &self.latency;
        let tenths = [self.tokens, self.passes, l.p50, l.p95, l.p99].map(|x| format!("{x:.1}"));
        let mut row = vec![self.budget.to_string()];
        row.extend(tenths);
        row.push(format!("{:.2}", l.p50 / first));
        row
    }
}

impl LatencyArgs {
    fn budget<D: Device>(
        &self,
        loaded: &Loaded<D>,
        queries: &[Query],
        budget: u32,
    ) -> Result<Measured, Error> {
        let thinking = Thinking::own(budget as usize, loaded.folder.settings.thoughts);
        let embedder = loaded.embedder();
        let mut session = Session::new(&embedder)?;
        if self.no_drafts {
            session = session.without_drafts();
        }
        let (mut tokens, mut thoughts, mut answered) = (0, 0, 0);
        let before = session.passes();
        let milliseconds = milliseconds(queries.len(), TIMED, |at| {
            let Query { query, line, .. } = &queries[at];
            let place = |_| format!("{}:{line}: the query", self.queries.display());
            let embedded = session
                .query(query, &thinking, None)
                .map_err(|e| common::placed(e, place))?;
            for thought in embedded.thoughts.iter().flatten() {
                tokens += thought.tokens;
                thoughts += 1;
            }
            answered += 1;
            Ok(())
        })?;
        let share = |sum: usize, of: usize| sum as f64 / of.max(1) as f64;
        Ok(Measured {
            budget,
            latency: Latency::of(milliseconds, 0.0),
            tokens: share(tokens, thoughts),
            passes: share(session.passes() - before, answered),
        })
    }
}

/// A row a budget, each also as a multiple of the first.
fn table(measured: &[Measured]) -> Table {
    let caption = "From a query's text to its embedding, one query at a time, the instructions and earlier \
                   thoughts warm.";
    let header = [
        "think",
        "tokens",
        "passes",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "p50 / first",
    ];
    let mut table = Table::new(caption, &header);
    let first = measured.first().map_or(1.0, |m| m.latency.p50);
    table.rows = measured.iter().map(|m| m.row(first)).collect();
    table
}
