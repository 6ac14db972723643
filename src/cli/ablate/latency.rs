//! How long a query takes, one at a time.

use crate::cli::Error;
use crate::cli::answers::thinking;
use crate::cli::gate::MarginGate;
use crate::cli::searcher::Searcher;
use lrem::data::Triplet;
use lrem::device::Device;
use lrem::embed::Session;
use lrem::report::Latency;
use std::time::Instant;

/// Queries that warm up caches, and most of those that are timed.
const WARM: usize = 4;
const TIMED: usize = 100;

/// Latency of queries that come one by one, the instructions computed before; a gate's search for the `top`
/// best items is part of it. The queries are spread over the file, as those of a kind may stand together
/// there and be of one side of the gate. `throughput` was measured elsewhere.
pub fn latency<D: Device>(
    searcher: &Searcher<D>,
    triplets: &[Triplet],
    given: Option<&[String]>,
    top: usize,
    throughput: f64,
) -> Result<Latency, Error> {
    let embedder = searcher.loaded.embedder();
    let mut session = Session::new(&embedder)?;
    let mut milliseconds = Vec::new();
    let apart = triplets.len().div_ceil(TIMED).max(1);
    let timed = triplets.iter().enumerate().step_by(apart);
    let warm = triplets.iter().enumerate().take(WARM);
    for (turn, (at, triplet)) in warm.chain(timed).enumerate() {
        let texts = given.map(|texts| &texts[at..=at]);
        let thinking = thinking(texts, searcher);
        let started = Instant::now();
        let mut search = MarginGate::new(searcher, top);
        session.query(&triplet.query, &thinking, search.gate())?;
        if turn >= WARM.min(triplets.len()) {
            milliseconds.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(Latency::of(milliseconds, throughput))
}
