//! How long a query takes, one at a time.

use super::Error;
use super::answers::thinking;
use super::gate::MarginGate;
use super::rewriter::SearchSession;
use super::searcher::Searcher;
use lrem::data::Triplet;
use lrem::device::Device;
use lrem::report::Latency;
use std::time::Instant;

/// Queries that warm up caches.
const WARM: usize = 4;
/// Queries that are timed where there is time for it.
pub const TIMED: usize = 100;

/// What is timed.
pub struct Timing {
    /// Most queries.
    pub most: usize,
    /// Items that a gate's search looks for.
    pub top: usize,
    /// Queries a second, measured elsewhere.
    pub throughput: f64,
}

/// Latency of queries that come one by one, the instructions computed before; a gate's search and a
/// rewriter's thought are part of it.
pub fn latency<D: Device>(
    searcher: &Searcher<D>,
    triplets: &[Triplet],
    given: Option<&[String]>,
    timing: Timing,
) -> Result<Latency, Error> {
    let mut session = SearchSession::new(searcher)?;
    let milliseconds = milliseconds(triplets.len(), timing.most, |at| {
        let texts = given.map(|texts| &texts[at..=at]);
        let thinking = thinking(texts, searcher);
        let mut search = MarginGate::new(searcher, timing.top);
        session.query(&triplets[at].query, &thinking, search.gate())?;
        Ok(())
    })?;
    Ok(Latency::of(milliseconds, timing.throughput))
}

/// Milliseconds that `answer` takes for each of at most `most` of `count` queries, after as many or a few to warm up. They are spread over all, as those of a kind may stand together and be of one side of a gate.
pub fn milliseconds(
    count: usize,
    most: usize,
    mut answer: impl FnMut(usize) -> Result<(), Error>,
) -> Result<Vec<f64>, Error> {
    (0..count.min(WARM).min(most)).try_for_each(&mut answer)?;
    let time = |at| {
        let started = Instant::now();
        answer(at)?;
        Ok(started.elapsed().as_secs_f64() * 1e3)
    };
    let apart = count.div_ceil(most.max(1)).max(1);
    (0..count).step_by(apart).map(time).collect()
}
