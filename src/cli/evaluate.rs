//! `lrem evaluate`: a run file, or a model with its index, against judgements.

use super::Error;
use super::answers::{Answers, answer, check_items, given_thoughts};
use super::common::on_device;
use super::searcher::{Searcher, Searching};
use clap::{Args, ValueEnum};
use lrem::data::{DataError, read_triplets};
use lrem::device::Device;
use lrem::embed::{Pooling, ThoughtText};
use lrem::reason::Ending;
use lrem::recipe::Contents;
use lrem::retrieve::evaluate::kinds_of;
use lrem::retrieve::{Evaluation, Metric, Missing, Qrels, Run, TextTable, evaluate, trec};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Items found for measures without a cut-off, as TREC runs hold.
const DEPTH: usize = 1000;

#[derive(Args)]
#[command(
    override_usage = "lrem evaluate [OPTIONS] <MODEL> <INDEX> --queries <QUERIES>\n       \
    lrem evaluate [OPTIONS] --qrels <QRELS> --run <RUN>"
)]
pub struct EvaluateArgs {
    /// Hugging Face folder or GGUF file: the one that made the index. Without it, --qrels and --run
    /// are compared.
    #[arg(requires_all = ["index", "queries"], required_unless_present = "qrels",
        conflicts_with = "qrels")]
    model: Option<PathBuf>,
    /// Folder that `lrem index` wrote.
    index: Option<PathBuf>,
    /// Queries to search for: JSON Lines of `id`, `kind`, `query`, `items` (the relevant ones).
    #[arg(long, requires = "model")]
    queries: Option<PathBuf>,
    /// TREC judgements to compare --run with.
    #[arg(long, requires = "run")]
    qrels: Option<PathBuf>,
    /// TREC run: read with --qrels, written with a model.
    #[arg(long)]
    run: Option<PathBuf>,
    /// With --qrels: the queries' file, for a row per kind.
    #[arg(long, requires = "qrels")]
    kinds: Option<PathBuf>,
    /// With --qrels: count judged queries that the run lacks as 0, as `trec_eval -c` does.
    #[arg(long, requires = "qrels")]
    complete: bool,
    /// With a model: write the judgements of the queries, for trec_eval.
    #[arg(long, requires = "model")]
    qrels_out: Option<PathBuf>,
    /// With a model: with whose thoughts queries are embedded.
    #[arg(
        long,
        requires = "model",
        conflicts_with = "rewriter",
        value_enum,
        default_value = "own"
    )]
    thoughts: Contents,
    /// What to measure, separated by commas: hit, precision, recall, ndcg, mrr, map, each @k or over
    /// all that was found; trec_eval's names too.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "hit@10,precision@10,recall@10,ndcg@10,mrr@10,map@100"
    )]
    measures: Vec<Metric>,
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Print every query's values too.
    #[arg(long)]
    per_query: bool,
    #[command(flatten)]
    searching: Searching,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Means per kind of query, aligned.
    Table,
    /// The lines of trec_eval.
    Trec,
    Json,
}

pub fn run(args: EvaluateArgs) -> Result<(), Error> {
    let (qrels, run, kinds) = match (&args.model, &args.index, &args.queries) {
        (Some(model), Some(index), Some(queries)) => search(model, index, queries, &args)?,
        _ => read(&args)?,
    };
    let missing = match args.complete {
        true => Missing::Zero,
        false => Missing::Skip,
    };
    let lacking = qrels
        .keys()
        .filter(|query| !run.contains_key(*query))
        .count();
    if lacking > 0 {
        let counted = match missing {
            Missing::Zero => "counted as 0",
            Missing::Skip => "left out; --complete counts them as 0",
        };
        let judged = qrels.len();
        eprintln!("{lacking} of {judged} judged queries are not in the run: {counted}");
    }
    let evaluation = evaluate(&qrels, &run, &args.measures, missing);
    print(&evaluation, &kinds, &args)
}

/// Judgements, run, and the kind of every query that has one.
type Judged = (Qrels, Run, BTreeMap<String, String>);

fn read(args: &EvaluateArgs) -> Result<Judged, Error> {
    let (Some(qrels_path), Some(run_path)) = (&args.qrels, &args.run) else {
        // The arguments' rules leave no other case.
        return Err("expected a model, an index and --queries, or --qrels and --run".into());
    };
    let qrels = trec::read_qrels(qrels_path)?;
    let run = trec::read_run(run_path)?;
    if !run.keys().any(|query| qrels.contains_key(query)) {
        let message = format!("none of its queries is judged in {}", qrels_path.display());
        return Err(DataError::file(run_path, message).into());
    }
    let kinds = match &args.kinds {
        Some(path) => kinds_of(&read_triplets(path, None)?),
        None => BTreeMap::new(),
    };
    Ok((qrels, run, kinds))
}

fn search(model: &Path, index: &Path, path: &Path, args: &EvaluateArgs) -> Result<Judged, Error> {
    let opened = args.searching.inference.device.for_inference()?;
    on_device!(opened, |device| {
        let searcher = Searcher::open(device, model, index, &args.searching)?;
        search_with(&searcher, index, path, args)
    })
}

fn search_with<D: Device>(
    searcher: &Searcher<D>,
    index: &Path,
    path: &Path,
    args: &EvaluateArgs,
) -> Result<Judged, Error> {
    let triplets = read_triplets(path, None)?;
    check_items(&triplets, path, searcher, index)?;
    check_thoughts(args.thoughts, searcher)?;
    let cutoffs = args.measures.iter().map(|m| m.cutoff.unwrap_or(DEPTH));
    let depth = cutoffs.max().unwrap_or(DEPTH);
    let given = given_thoughts(args.thoughts, &triplets, path)?;
    let answers = answer(searcher, &triplets, path, given.as_deref(), depth)?;
    report(&answers, searcher.gate);
    let run = answers.run;
    let qrels = trec::qrels_of(&triplets);
    if let Some(path) = &args.qrels_out {
        trec::write_qrels(path, &qrels)?;
    }
    if let Some(path) = &args.run {
        trec::write_run(path, &run, "lrem")?;
    }
    Ok((qrels, run, kinds_of(&triplets)))
}

fn check_thoughts<D: Device>(thoughts: Contents, searcher: &Searcher<D>) -> Result<(), Error> {
    let given = thoughts != Contents::Own;
    if given && searcher.gate.is_some() {
        return Err(
            "--gate: given thoughts cost nothing to be spared; expected --thoughts own".into(),
        );
    }
    if given && searcher.loaded.folder.settings.pooling != Pooling::Emb {
        return Err("--thoughts: the model's pooling reads no thought; expected own".into());
    }
    if given && thoughts != Contents::Empty && searcher.budget == 0 {
        return Err(
            "--thoughts: without a budget they are cut to nothing; expected --think of at least 1"
                .into(),
        );
    }
    Ok(())
}

/// What the queries took, on stderr, so that the measures stay alone on stdout.
fn report(answers: &Answers, gate: Option<f32>) {
    let (queries, seconds) = (answers.thoughts.len(), answers.seconds);
    let rate = queries as f64 / seconds.max(1e-9);
    eprint!("{queries} queries in {seconds:.1} s, {rate:.1} a second");
    if let Some(margin) = gate {
        let share = 100.0 * answers.thought_about();
        eprint!("; {share:.0} % thought about, their margin below {margin}");
    }
    let thoughts: Vec<&ThoughtText> = answers.thoughts.iter().flatten().collect();
    if !thoughts.is_empty() {
        let count = thoughts.len() as f64;
        let tokens = thoughts.iter().map(|t| t.tokens).sum::<usize>() as f64 / count;
        eprint!("; thoughts of {tokens:.1} tokens");
        let own = thoughts.iter().filter_map(|t| t.ending);
        let closed = own
            .clone()
            .filter(|&ending| ending == Ending::Closed)
            .count();
        if own.count() > 0 {
            eprint!(
                ", {:.0} % closed by the model",
                100.0 * closed as f64 / count
            );
        }
    }
    eprintln!();
}

fn print(
    evaluation: &Evaluation,
    kinds: &BTreeMap<String, String>,
    args: &EvaluateArgs,
) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let summary = evaluation.summary(kinds);
    match args.format {
        Format::Trec => write!(out, "{}", evaluation.trec_text(args.per_query))?,
        Format::Json => {
            let mut value = serde_json::to_value(&summary)?;
            if args.per_query {
                value["per_query"] = json!(evaluation.queries);
            }
            writeln!(out, "{value}")?;
        }
        Format::Table => {
            if args.per_query {
                writeln!(out, "{}", per_query_table(evaluation, kinds))?;
            }
            write!(out, "{}", summary.table())?;
        }
    }
    Ok(())
}

fn per_query_table(evaluation: &Evaluation, kinds: &BTreeMap<String, String>) -> TextTable {
    let mut header = vec!["query".to_string(), "kind".to_string()];
    header.extend(evaluation.metrics.iter().map(Metric::to_string));
    let mut table = TextTable::new(header);
    for (query, values) in &evaluation.queries {
        let kind = kinds.get(query).cloned().unwrap_or_default();
        let mut row = vec![query.clone(), kind];
        row.extend(values.iter().map(|value| format!("{value:.4}")));
        table.push(row);
    }
    table
}
