//! How long a query takes, one at a time.

use super::Error;
use super::answers::thinking;
use super::gate::MarginGate;
use super::searcher::Searcher;
use lrem::data::Triplet;
use lrem::device::Device;
use lrem::embed::Session;
use lrem::report::Latency;
use std::time::Instant;

/// Queries that warm up caches, and most of those that are timed.
const WARM: usize = 4;
const TIMED: usize = 100;

/// Latency of queries that come one by one, the instructions computed before; a gate's search for the `top`
/// best items is part of it. `throughput` was measured elsewhere.
pub fn latency<D: Device>(
    searcher: &Searcher<D>,
    triplets: &[Triplet],
    given: Option<&[String]>,
    top: usize,
    throughput: f64,
) -> Result<Latency, Error> {
    let embedder = searcher.loaded.embedder();
    let mut session = Session::new(&embedder)?;
    let milliseconds = milliseconds(triplets.len(), |at| {
        let texts = given.map(|texts| &texts[at..=at]);
        let thinking = thinking(texts, searcher);
        let mut search = MarginGate::new(searcher, top);
        session.query(&triplets[at].query, &thinking, search.gate())?;
        Ok(())
    })?;
    Ok(Latency::of(milliseconds, throughput))
}

/// Milliseconds that `answer` takes for each of at most a hundred of `count` queries, after a few to warm up.
/// They are spread over all, as those of a kind may stand together and be of one side of a gate.
pub fn milliseconds(
    count: usize,
    mut answer: impl FnMut(usize) -> Result<(), Error>,
) -> Result<Vec<f64>, Error> {
    (0..count.min(WARM)).try_for_each(&mut answer)?;
    let time = |at| {
        let started = Instant::now();
        answer(at)?;
        Ok(started.elapsed().as_secs_f64() * 1e3)
    };
    let apart = count.div_ceil(TIMED).max(1);
    (0..count).step_by(apart).map(time).collect()
}
