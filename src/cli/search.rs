//! `lrem search`: one query, a file of them, or a prompt that stays open.

use super::common::on_device;
use super::gate::MarginGate;
use super::rewriter::SearchSession;
use super::searcher::{Searcher, Searching};
use super::{Error, common};
use clap::Args;
use lrem::data::{Catalogue, Query, read_catalogue, read_queries};
use lrem::device::Device;
use lrem::embed::{EmbeddedQueries, ThoughtText};
use lrem::reason::Ending;
use lrem::retrieve::{Run, Scored, trec};
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Queries embedded at a time.
const BATCH: usize = 256;

#[derive(Args)]
pub struct SearchArgs {
    /// Hugging Face folder or GGUF file: the one that made the index.
    model: PathBuf,
    /// Folder that `lrem index` wrote.
    index: PathBuf,
    /// One query. Without this and --queries: a prompt, or a query a line from the standard input.
    #[arg(long, conflicts_with = "queries")]
    query: Option<String>,
    /// JSON Lines of `id` and `query`, or one query a line (its id is then the line's number).
    #[arg(long)]
    queries: Option<PathBuf>,
    /// Items to find for a query.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Catalogue whose titles to print.
    #[arg(long)]
    titles: Option<PathBuf>,
    /// Write a TREC run instead of printing.
    #[arg(long, requires = "queries", conflicts_with = "query")]
    run: Option<PathBuf>,
    #[command(flatten)]
    searching: Searching,
}

pub fn run(args: SearchArgs) -> Result<(), Error> {
    let opened = args.searching.inference.device.for_inference()?;
    on_device!(opened, |device| run_on(device, &args))
}

fn run_on<D: Device>(device: Arc<D>, args: &SearchArgs) -> Result<(), Error> {
    let top = args.top as usize;
    let queries = args.queries.as_deref().map(read_queries).transpose()?;
    let titles = args.titles.as_deref().map(read_catalogue).transpose()?;
    let searcher = Searcher::open(device, &args.model, &args.index, &args.searching)?;
    let printer = Printer {
        searcher: &searcher,
        titles: titles.as_ref(),
    };
    match (&args.query, &args.queries, &queries) {
        (Some(query), ..) => {
            let thinking = searcher.own_thinking();
            let mut search = MarginGate::new(&searcher, top);
            let embedded = searcher.embedded(&[query], &thinking, search.gate());
            let embedded = embedded.map_err(|e| common::placed(e, |_| "the query".into()))?;
            let hits = search.hits(&embedded.rows)?;
            printer.print(None, thoughts_of(&embedded, 0), &hits[0])
        }
        (None, Some(path), Some(queries)) => {
            let mut run = Run::new();
            search_all(&searcher, path, queries, top, |query, thoughts, hits| {
                if args.run.is_some() {
                    let entries = searcher.index.run_entries(hits);
                    run.insert(query.id.clone(), entries);
                    return Ok(());
                }
                printer.print(Some(query), thoughts, hits)
            })?;
            if let Some(out) = &args.run {
                trec::write_run(out, &run, "lrem")?;
                let (path, queries) = (out.display(), run.len());
                writeln!(std::io::stdout(), "wrote {path}: {queries} queries")?;
            }
            Ok(())
        }
        _ => prompt(&searcher, &printer, top),
    }
}

/// Searches for the queries of the file `path` and passes each with its thoughts and hits to `each`.
fn search_all<D: Device>(
    searcher: &Searcher<D>,
    path: &Path,
    queries: &[Query],
    top: usize,
    mut each: impl FnMut(&Query, &[ThoughtText], &[Scored]) -> Result<(), Error>,
) -> Result<(), Error> {
    let thinking = searcher.own_thinking();
    let bar = common::bar("searching", Some(queries.len()));
    for batch in queries.chunks(BATCH) {
        let texts: Vec<&str> = batch.iter().map(|q| q.query.as_str()).collect();
        let place = |n: usize| format!("{}:{}: the query", path.display(), batch[n - 1].line);
        let mut search = MarginGate::new(searcher, top);
        let embedded = searcher.embedded(&texts, &thinking, search.gate());
        let embedded = embedded.map_err(|e| common::placed(e, place))?;
        let found = search.hits(&embedded.rows)?;
        for (n, (query, hits)) in batch.iter().zip(&found).enumerate() {
            bar.suspend(|| each(query, thoughts_of(&embedded, n), hits))?;
        }
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

/// Answers queries from the standard input as they come; a query that cannot be embedded is said to
/// be so, and the next one asked for.
fn prompt<D: Device>(
    searcher: &Searcher<D>,
    printer: &Printer<'_, D>,
    top: usize,
) -> Result<(), Error> {
    let thinking = searcher.own_thinking();
    let mut session = SearchSession::new(searcher)?;
    let terminal = std::io::stdin().is_terminal();
    let mut out = std::io::stdout();
    let mut lines = std::io::stdin().lock().split(b'\n');
    loop {
        if terminal {
            write!(out, "query> ")?;
            out.flush()?;
        }
        let Some(line) = lines.next().transpose()? else {
            return Ok(());
        };
        let Ok(text) = std::str::from_utf8(&line) else {
            eprintln!("lrem: the query is not UTF-8 text");
            continue;
        };
        let query = text.trim();
        if query.is_empty() {
            continue;
        }
        let started = Instant::now();
        let mut search = MarginGate::new(searcher, top);
        let result = match session.query(query, &thinking, search.gate()) {
            Ok(embedded) => embedded,
            Err(error) => {
                eprintln!("lrem: {}", common::placed(error, |_| "the query".into()));
                continue;
            }
        };
        let embedded = started.elapsed().as_secs_f64();
        let hits = search.hits(&result.rows)?;
        let total = started.elapsed().as_secs_f64();
        printer.print(None, thoughts_of(&result, 0), &hits[0])?;
        if terminal {
            let (embedded, found) = (embedded * 1e3, (total - embedded) * 1e3);
            writeln!(
                out,
                "embedded in {embedded:.0} ms, found in {found:.2} ms\n"
            )?;
        }
    }
}

/// Thoughts about a query; none without thinking.
fn thoughts_of(embedded: &EmbeddedQueries, query: usize) -> &[ThoughtText] {
    embedded.thoughts.get(query).map_or(&[], Vec::as_slice)
}

/// Prints thoughts and hits.
struct Printer<'a, D: Device> {
    searcher: &'a Searcher<D>,
    titles: Option<&'a Catalogue>,
}

impl<D: Device> Printer<'_, D> {
    fn print(
        &self,
        query: Option<&Query>,
        thoughts: &[ThoughtText],
        hits: &[Scored],
    ) -> Result<(), Error> {
        let mut out = std::io::stdout().lock();
        if let Some(Query { id, query, .. }) = query {
            writeln!(out, "{id}: {query}")?;
        }
        for thought in thoughts {
            let end = match thought.ending {
                Some(Ending::Budget) => ", cut at the budget",
                Some(Ending::Broken) => ", broken off",
                Some(Ending::Settled) => ", settled",
                Some(Ending::Closed | Ending::Direct) | None => "",
            };
            let ThoughtText { text, tokens, .. } = thought;
            let text = text.escape_debug();
            let plural = if *tokens == 1 { "" } else { "s" };
            writeln!(out, "thought: {text} ({tokens} token{plural}{end})")?;
        }
        for (rank, hit) in hits.iter().enumerate() {
            let id = &self.searcher.index.ids()[hit.index as usize];
            let title = self.titles.and_then(|titles| titles.get(id));
            let title = title.map_or(String::new(), |item| format!("  {}", item.title));
            writeln!(out, "{:4}  {:.4}  {id}{title}", rank + 1, hit.score)?;
        }
        if query.is_some() {
            writeln!(out)?;
        }
        Ok(())
    }
}
