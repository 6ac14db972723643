//! `lrem index`: embeddings, or a catalogue, become an index folder.

use super::common::{self, Inference, Interrupted, Loaded, on_device};
use super::embed::{Reading, Stream};
use super::{Error, train};
use clap::Args;
use lrem::data::DataError;
use lrem::data::embeddings::{EmbeddingSet, EmbeddingWriter};
use lrem::device::Device;
use lrem::retrieve::Index;
use lrem::retrieve::approximate::Graph;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Args)]
#[command(
    override_usage = "lrem index [OPTIONS] --out <OUT> <MODEL> --input <INPUT>\n       \
    lrem index [OPTIONS] --out <OUT> --embeddings <EMBEDDINGS>"
)]
pub struct IndexArgs {
    /// Hugging Face folder or GGUF file that embeds the input.
    #[arg(requires = "input", required_unless_present = "embeddings")]
    model: Option<PathBuf>,
    /// Titles to embed, as for `lrem embed`.
    #[arg(long, requires = "model")]
    input: Option<PathBuf>,
    /// Embeddings that `lrem embed` wrote, in place of a model and its input.
    #[arg(long, conflicts_with_all = ["model", "input"])]
    embeddings: Option<PathBuf>,
    /// Folder to write; an index there is replaced.
    #[arg(long)]
    out: PathBuf,
    /// Build a graph for approximate search too (HNSW).
    #[arg(long)]
    approximate: bool,
    #[command(flatten)]
    graph: GraphArgs,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    inference: Inference,
}

/// How the graph is built and searched; more costs time and finds more.
#[derive(Args)]
struct GraphArgs {
    /// Neighbours of a node (M).
    #[arg(long, default_value_t = 16, requires = "approximate",
        value_parser = clap::value_parser!(u32).range(2..=512))]
    connectivity: u32,
    /// Candidates kept while adding a node (efConstruction).
    #[arg(long, default_value_t = 128, requires = "approximate",
        value_parser = clap::value_parser!(u32).range(1..=65_536))]
    expansion_add: u32,
    /// Candidates kept while searching (efSearch).
    #[arg(long, default_value_t = 64, requires = "approximate",
        value_parser = clap::value_parser!(u32).range(1..=65_536))]
    expansion_search: u32,
}

pub fn run(args: IndexArgs) -> Result<(), Error> {
    let graph = args.approximate.then_some(Graph {
        connectivity: args.graph.connectivity as usize,
        expansion_add: args.graph.expansion_add as usize,
        expansion_search: args.graph.expansion_search as usize,
    });
    Index::check_replaceable(&args.out)?;
    let index = match (&args.embeddings, &args.model, &args.input) {
        (Some(embeddings), ..) => {
            Index::create(&args.out, &EmbeddingSet::open(embeddings)?, graph.as_ref())?
        }
        (None, Some(model), Some(input)) => {
            let stream = Stream::open(input, args.reading)?;
            by_model(model, stream, &args.out, graph.as_ref(), args.inference)?
        }
        // The arguments' rules leave no other case.
        (None, ..) => return Err("expected a model with --input, or --embeddings".into()),
    };
    writeln!(
        std::io::stdout(),
        "wrote {}: {} items of {} values{}",
        args.out.display(),
        index.len(),
        index.origin().hidden,
        if args.approximate {
            ", with a graph"
        } else {
            ""
        }
    )?;
    Ok(())
}

/// Embeds `catalogue` by `model` and writes the index `out`.
pub fn of_catalogue(
    model: &Path,
    catalogue: &Path,
    out: &Path,
    inference: Inference,
) -> Result<Index, Error> {
    let stream = Stream::open(catalogue, Reading::default())?;
    by_model(model, stream, out, None, inference)
}

fn by_model(
    model: &Path,
    stream: Stream,
    out: &Path,
    graph: Option<&Graph>,
    inference: Inference,
) -> Result<Index, Error> {
    let (folder, weights) = (common::open(model)?, inference.weights);
    on_device!(inference.device.for_inference()?, |device| {
        embed(&Loaded::new(folder, device, weights)?, stream, out, graph)
    })
}

fn embed<D: Device>(
    loaded: &Loaded<D>,
    mut stream: Stream,
    out: &Path,
    graph: Option<&Graph>,
) -> Result<Index, Error> {
    let stop = train::interrupts()?;
    let parent = parent(out);
    std::fs::create_dir_all(parent).map_err(DataError::io("create", parent))?;
    let temporary = tempfile::Builder::new()
        .prefix(".partial-")
        .tempdir_in(parent)
        .map_err(DataError::io("write", parent))?;
    let npy = temporary.path().join("items.npy");
    let mut writer = EmbeddingWriter::create_or_resume(&npy, loaded.folder.origin()?)?;
    if !stream.embed(loaded, &mut writer, &stop)? {
        let message = "nothing is kept; `lrem embed` and `lrem index --embeddings` can be resumed";
        return Err(Interrupted(message.into()).into());
    }
    Ok(Index::create(out, &writer.finish()?, graph)?)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
