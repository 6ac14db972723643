//! `lrem triplets`: query-CoT-item triplets from a catalogue and a query log (lrem, Data 1 to 4).
//!
//! For every query a teacher reasons freely, then extracts keywords, which rules clean. A direct retriever
//! finds items for the query and for "query (keywords)"; what only the second finds is judged by the
//! teacher or by another model. A query for which nothing relevant is left is dropped. The rest is split
//! at random into triplets for the cold start and query-item pairs for the reinforcement stage.
//!
//! Every finished query is a line of `work.jsonl`, so an interrupted run goes on.

mod build;
mod chat;
mod work;

use super::common::Inference;
use super::common::on_device;
use super::searcher::{Searcher, Searching};
use super::{Error, common, train};
use build::Builder;
use chat::{ChatArgs, with_teachers};
use clap::Args;
use lrem::data::{Catalogue, KeywordRules, Query, read_catalogue, read_queries};
use lrem::device::Device;
use lrem::teacher::Teacher;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use work::{Journal, Outcome};

#[derive(Args)]
pub struct TripletsArgs {
    /// Direct retriever: the model that made the index.
    model: PathBuf,
    /// Folder that `lrem index` wrote of the catalogue.
    index: PathBuf,
    /// Catalogue, JSON Lines of `id` and `title`.
    #[arg(long)]
    catalogue: PathBuf,
    /// Query log: JSON Lines of `id` and `query` (and `kind`), or one query a line.
    #[arg(long)]
    queries: PathBuf,
    /// Folder for `train.jsonl`, `rl.jsonl` and `work.jsonl`.
    #[arg(long)]
    out: PathBuf,
    /// Items that each of the two searches finds.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Most items of the difference that are judged, best first.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    judged: u32,
    /// Drop queries that direct search serves: this share of its first ten items is relevant. Costs ten
    /// judgements a query.
    #[arg(long)]
    served: Option<f32>,
    /// Most keywords of a thought.
    #[arg(long, default_value_t = 6)]
    keywords: usize,
    /// File of words, one a line, that no keyword may hold.
    #[arg(long)]
    banned: Option<PathBuf>,
    /// Share of the kept queries that become pairs for the reinforcement stage.
    #[arg(long, default_value_t = 0.05)]
    rl_share: f64,
    /// Seed of the split.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    chat: ChatArgs,
    #[command(flatten)]
    inference: Inference,
}

pub fn run(args: TripletsArgs) -> Result<(), Error> {
    if !(0.0..=1.0).contains(&args.rl_share) {
        return Err("--rl-share: expected a share from 0 to 1".into());
    }
    let queries = read_queries(&args.queries)?;
    let catalogue = read_catalogue(&args.catalogue)?;
    on_device!(args.inference.device.for_inference()?, |device| {
        let searching = Searching::new(Some(0), args.inference);
        let searcher = Searcher::open(device, &args.model, &args.index, &searching)?;
        run_with(&args, &queries, &catalogue, &searcher)
    })
}

fn run_with<D: Device>(
    args: &TripletsArgs,
    queries: &[Query],
    catalogue: &Catalogue,
    searcher: &Searcher<D>,
) -> Result<(), Error> {
    if let Some(id) = searcher
        .index
        .ids()
        .iter()
        .find(|id| catalogue.get(id).is_none())
    {
        let (index, catalogue) = (args.index.display(), args.catalogue.display());
        return Err(
            format!("{index}: item `{id}` is not in {catalogue}; expected its index").into(),
        );
    }
    let rules = KeywordRules {
        banned: banned(args.banned.as_deref())?,
        most: args.keywords,
    };
    std::fs::create_dir_all(&args.out)?;
    let journal = Journal::open(&args.out.join("work.jsonl"))?;
    with_teachers(&args.chat, args.inference, |teacher, judge| {
        let builder = Builder {
            searcher,
            catalogue,
            teacher,
            judge,
            rules: &rules,
            top: args.top as usize,
            judged: args.judged as usize,
            served: args.served,
            reasoning: args.chat.reasoning(),
        };
        make(args, queries, journal, &builder, teacher)
    })
}

fn make<D: Device>(
    args: &TripletsArgs,
    queries: &[Query],
    mut journal: Journal,
    builder: &Builder<'_, D>,
    teacher: &dyn Teacher,
) -> Result<(), Error> {
    let stop = train::interrupts()?;
    let bar = common::bar("triplets", Some(queries.len()));
    let left: Vec<&Query> = queries
        .iter()
        .filter(|query| !journal.holds(query))
        .collect();
    bar.set_position((queries.len() - left.len()) as u64);
    bar.reset_eta();
    for batch in left.chunks(teacher.parallel()) {
        if stop.load(Ordering::Relaxed) {
            bar.finish_and_clear();
            let message = format!("{} queries are done; run again to go on", journal.len());
            return Err(common::Interrupted(message).into());
        }
        for work in builder.build(batch)? {
            journal.add(work)?;
            bar.inc(1);
        }
        bar.set_message(args.chat.cost(journal.tokens()));
    }
    bar.finish_and_clear();
    let kept = journal.split(queries, &args.out, args.rl_share, args.seed)?;
    println!(
        "wrote {}: {} triplets, {} pairs",
        args.out.display(),
        kept.0,
        kept.1
    );
    for outcome in Outcome::DROPPED {
        let count = journal.count(queries, outcome);
        if count > 0 {
            println!("dropped {count}: {}", outcome.why());
        }
    }
    println!("{}", args.chat.cost(journal.tokens()));
    Ok(())
}

/// The words of a file, in lower case.
fn banned(path: Option<&Path>) -> Result<HashSet<String>, Error> {
    let Some(path) = path else {
        return Ok(HashSet::new());
    };
    let mut lines = lrem::data::jsonl::Lines::open(path)?;
    let mut words = HashSet::new();
    while let Some((_, word)) = lines.next_line()? {
        words.insert(word.to_lowercase());
    }
    Ok(words)
}
