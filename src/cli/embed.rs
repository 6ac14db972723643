//! `lrem embed`: titles become embeddings on disk, as a stream that can be interrupted.

use super::common::{self, Inference, Interrupted, Loaded, on_device};
use super::{Error, train};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use lrem::data::embeddings::{EmbeddingSet, EmbeddingWriter, Origin};
use lrem::data::jsonl::Lines;
use lrem::data::{DataError, TitleFormat, Titles};
use lrem::device::Device;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

#[derive(Args)]
pub struct EmbedArgs {
    /// Hugging Face folder or GGUF file.
    model: PathBuf,
    /// JSON Lines of `id` and `title`, or one title a line (its id is then the line's number); `-`:
    /// the standard input.
    #[arg(long)]
    input: PathBuf,
    /// File to write, `[titles, hidden]` f32, unit rows; the ids and the model's name go beside it
    /// with the endings .ids and .json.
    #[arg(long)]
    out: PathBuf,
    /// Go on with what an interrupted run has left. The input must be the same.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    inference: Inference,
}

/// How titles are read.
#[derive(Args, Clone, Copy)]
pub struct Reading {
    /// Form of the input.
    #[arg(long, value_enum, default_value = "auto")]
    format: Format,
    /// Titles embedded, and written, at a time.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: u32,
}

impl Default for Reading {
    fn default() -> Self {
        Reading {
            format: Format::Auto,
            batch: 256,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// JSON Lines where the first line starts with `{`, else plain.
    Auto,
    /// JSON Lines.
    Json,
    /// One title a line.
    Plain,
}

pub fn run(args: EmbedArgs) -> Result<(), Error> {
    let stop = train::interrupts()?;
    let mut stream = Stream::open(&args.input, args.reading)?;
    let folder = common::open(&args.model)?;
    let origin = folder.origin()?;
    let out = &args.out;
    if args.resume && EmbeddingSet::is_finished(out) {
        let done = EmbeddingSet::open(out)?;
        check_origin(out, &done.origin, &origin)?;
        stream.skip(&done.ids, out)?;
        if let Some(next) = stream.titles.next().transpose()? {
            return Err(format!(
                "{}: complete with {} rows, but the input goes on with `{}`; embed without --resume \
                 to replace it",
                out.display(),
                done.ids.len(),
                next.id
            )
            .into());
        }
        let (path, rows) = (out.display(), done.ids.len());
        writeln!(std::io::stdout(), "{path} is complete: {rows} rows")?;
        return Ok(());
    }
    let mut writer = EmbeddingWriter::create_or_resume(out, origin)?;
    if !args.resume && !writer.ids().is_empty() {
        return Err(format!(
            "{}.partial: an interrupted run has left {} rows; add --resume to go on, or delete the \
             .partial files to start anew",
            out.display(),
            writer.ids().len()
        )
        .into());
    }
    stream.skip(writer.ids(), out)?;
    let first = writer.ids().len();
    let Inference { device, weights } = args.inference;
    let (whole, started) = on_device!(device.for_inference()?, |device| {
        let loaded = Loaded::new(folder, device, weights)?;
        let started = Instant::now();
        (stream.embed(&loaded, &mut writer, &stop)?, started)
    });
    if !whole {
        let rows = writer.ids().len();
        let message = format!("{rows} rows are written; go on with --resume");
        return Err(Interrupted(message).into());
    }
    let set = writer.finish()?;
    let seconds = started.elapsed().as_secs_f64();
    let (rows, hidden) = (set.matrix.rows(), set.matrix.columns());
    writeln!(
        std::io::stdout(),
        "wrote {} [{rows}, {hidden}]",
        out.display()
    )?;
    eprintln!(
        "{} titles in {seconds:.1} s, {:.0} a second",
        rows - first,
        (rows - first) as f64 / seconds.max(1e-9)
    );
    Ok(())
}

fn check_origin(npy: &Path, found: &Origin, expected: &Origin) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    let message = format!(
        "complete, but by model {}; this one is {}: embed without --resume to replace it",
        found.model, expected.model
    );
    Err(DataError::file(npy, message).into())
}

/// Titles on their way from a file or pipe to a writer.
pub struct Stream {
    titles: Titles,
    batch: usize,
    total: Option<usize>,
}

impl Stream {
    /// Opens `input`; counts its lines where a bar will be shown.
    pub fn open(input: &Path, reading: Reading) -> Result<Stream, Error> {
        let format = match reading.format {
            Format::Auto => TitleFormat::Auto,
            Format::Json => TitleFormat::Json,
            Format::Plain => TitleFormat::Plain,
        };
        let countable = input.is_file() && std::io::stderr().is_terminal();
        Ok(Stream {
            titles: Titles::open(input, format)?,
            batch: reading.batch as usize,
            total: countable.then(|| count(input)).transpose()?,
        })
    }

    /// Passes over the titles that `done` embeddings of `npy` are of.
    fn skip(&mut self, done: &[String], npy: &Path) -> Result<(), Error> {
        for (row, id) in done.iter().enumerate() {
            let found = self.titles.next().transpose()?;
            let message = match found {
                Some(item) if item.id == *id => continue,
                Some(item) => format!("row {} is of `{id}`, the input has `{}`", row + 1, item.id),
                None => format!("{} rows are there, the input ends after {row}", done.len()),
            };
            return Err(DataError::file(
                npy,
                format!("{message}; --resume expects the same input"),
            )
            .into());
        }
        Ok(())
    }

    /// Embeds all that is left; false where `stop` was set before the end.
    pub fn embed<D: Device>(
        &mut self,
        loaded: &Loaded<D>,
        writer: &mut EmbeddingWriter,
        stop: &AtomicBool,
    ) -> Result<bool, Error> {
        let bar = common::bar("embedding", self.total);
        bar.set_position(writer.ids().len() as u64);
        bar.reset_eta();
        let done = self.embed_batches(loaded, writer, stop, &bar);
        bar.finish_and_clear();
        done
    }

    fn embed_batches<D: Device>(
        &mut self,
        loaded: &Loaded<D>,
        writer: &mut EmbeddingWriter,
        stop: &AtomicBool,
        bar: &ProgressBar,
    ) -> Result<bool, Error> {
        let embedder = loaded.embedder();
        loop {
            let (mut ids, mut titles, mut lines) = (Vec::new(), Vec::new(), Vec::new());
            while ids.len() < self.batch
                && let Some(item) = self.titles.next().transpose()?
            {
                ids.push(item.id);
                titles.push(item.title);
                lines.push(self.titles.line());
            }
            // Also at the end of the input: a signal may have ended what was writing it.
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let path = self.titles.path().display();
            if ids.is_empty() {
                if writer.ids().is_empty() {
                    return Err(format!("{path}: no titles; expected one a line").into());
                }
                return Ok(true);
            }
            let place = |number: usize| format!("{path}:{}: the title", lines[number - 1]);
            let rows = embedder.items(&titles);
            writer.append(&ids, &rows.map_err(|e| common::placed(e, place))?)?;
            bar.set_position(writer.ids().len() as u64);
        }
    }
}

fn count(path: &Path) -> Result<usize, Error> {
    let mut lines = Lines::open(path)?;
    let mut count = 0;
    while lines.next_line()?.is_some() {
        count += 1;
    }
    Ok(count)
}
