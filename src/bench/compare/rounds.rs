//! Two executables, run in turns until the intervals are narrow.
//!
//! A round of a benchmark is four short runs: BASE, NEW, NEW, BASE, or the other way round by the toss
//! of a coin. A speed that drifts evenly over a round cancels out of its ratio; and as the coin decides
//! who is first and last, two equal builds' log ratios are symmetric about 0 *whatever* the machine does
//! (Fisher, "The Design of Experiments", 1935, chapter III). That symmetry is all that the
//! interval of [`super::signed_rank`] needs. Each round is one value to it, as the repetitions on the
//! highest level should be (Kalibera & Jones, "Rigorous benchmarking in reasonable time", ISMM 2013).
//!
//! Of a run, the fastest of many short samples counts: other processes only ever add time, and on a busy
//! machine half of the samples have some of it (Chen & Revels, "Robust benchmarking in noisy
//! environments", arXiv 1608.04295). That works best for one thread: two are seldom left alone at once.
//!
//! Rounds of a benchmark end once half its interval is no longer than the threshold. Whether that is so
//! depends on the spread of the values, not on where their centre lies, so it favours no verdict; still,
//! looking after every round lets the interval miss more often than one look would, by up to a third in
//! simulations (Chow & Robbins, "On the asymptotic theory of fixed-width sequential confidence
//! intervals", 1965, show that this vanishes as the interval gets narrow).

use super::run::Executable;
use super::signed_rank::{centre, fewest};
use super::{Line, Ratio, Verdict, median, miss};
use crate::bench::criterion::{Measured, Work};
use crate::data::DataError;
use crate::ops::philox::PhiloxStream;
use std::time::Duration;

/// Stream of the coins.
const COINS: u64 = 10 << 32;

/// What to run, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Only the benchmarks whose names contain this.
    pub filter: String,
    /// Most rounds of a benchmark.
    pub rounds: usize,
    /// Time that one run of a benchmark measures.
    pub time: Duration,
    /// See [`Verdict::of`].
    pub threshold: f64,
}

/// One benchmark of both executables.
struct Pair {
    id: String,
    /// Samples of a run.
    samples: usize,
    /// Nanoseconds of an iteration, one value a run.
    base: Vec<f64>,
    new: Vec<f64>,
    /// Logarithm of NEW over BASE, one value a round.
    changes: Vec<f64>,
    work: Work,
    ratio: Option<Ratio>,
}

/// Compares the benchmarks of two executables. `progress` hears of the benchmark that a round begins
/// for, with the number of rounds done and at most to do.
///
/// # Errors
/// [`DataError`] naming the executable that does not do as criterion's do, or that has no benchmark
/// which contains the filter; and where the plan has too few rounds for an interval.
pub fn executables(
    base: &Executable,
    new: &Executable,
    plan: &Plan,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Vec<Line>, DataError> {
    let (in_base, in_new) = (listed(base, plan)?, listed(new, plan)?);
    if in_base.is_empty() && in_new.is_empty() {
        let message = format!(
            "no benchmark's name contains `{}`, nor in BASE",
            plan.filter
        );
        return Err(DataError::file(new.path(), message));
    }
    let common = in_new.iter().filter(|id| in_base.contains(id));
    let common: Vec<&String> = common.collect();
    let miss = miss(common.len());
    if plan.rounds < fewest(miss) {
        let message = format!(
            "{} rounds; {} benchmarks need {} or more for their intervals",
            plan.rounds,
            common.len(),
            fewest(miss)
        );
        return Err(DataError::file(new.path(), message));
    }
    let mut pairs = common
        .into_iter()
        .map(|id| Ok(Pair::new(id, base.samples(id, plan.time)?)))
        .collect::<Result<Vec<Pair>, DataError>>()?;
    let mut coins = PhiloxStream::new(0, COINS);
    let most = plan.rounds * pairs.len();
    let mut done = 0;
    for round in 0..plan.rounds {
        // One round of each in turn: a disturbance of half a minute spoils a round of every benchmark,
        // and not every round of one.
        for pair in pairs.iter_mut().filter(|p| p.wide(plan.threshold)) {
            progress(&pair.id, done, most);
            let id = pair.id.clone();
            pair.round(coins.below(2) == 0, |of_base, samples| {
                let side = if of_base { base } else { new };
                side.measure(&id, plan.time, samples)
            })?;
            pair.ratio = interval(&pair.changes, miss);
            done += match pair.wide(plan.threshold) {
                true => 1,
                false => plan.rounds - round,
            };
        }
    }
    let mut lines: Vec<Line> = pairs.iter().map(|p| p.line(plan.threshold)).collect();
    let missing = |from: &[String], id: &&String| !from.contains(id);
    let once = |side: &Executable, id| {
        let samples = side.samples(id, plan.time)?;
        Ok::<f64, DataError>(side.measure(id, plan.time, samples)?.fastest())
    };
    for id in in_base.iter().filter(|id| missing(&in_new, id)) {
        lines.push(Line::alone(id, Some(once(base, id)?), None));
    }
    for id in in_new.iter().filter(|id| missing(&in_base, id)) {
        lines.push(Line::alone(id, None, Some(once(new, id)?)));
    }
    Ok(lines)
}

fn listed(executable: &Executable, plan: &Plan) -> Result<Vec<String>, DataError> {
    let mut names = executable.benchmarks()?;
    names.retain(|name| name.contains(&plan.filter));
    Ok(names)
}

/// NEW over BASE from the logarithms of the rounds; `None` while they are too few.
fn interval(changes: &[f64], miss: f64) -> Option<Ratio> {
    let [low, estimate, high] = centre(changes, miss)?.map(f64::exp);
    Some(Ratio {
        estimate,
        low,
        high,
    })
}

impl Pair {
    fn new(id: &str, samples: usize) -> Pair {
        Pair {
            id: id.to_string(),
            samples,
            base: Vec::new(),
            new: Vec::new(),
            changes: Vec::new(),
            work: Work::default(),
            ratio: None,
        }
    }

    /// Whether it needs more rounds.
    fn wide(&self, threshold: f64) -> bool {
        let narrow = |ratio: Ratio| ratio.half_width() <= threshold.ln_1p();
        !self.ratio.is_some_and(narrow)
    }

    /// Adds a round; `measure` runs BASE where its first argument is true, with so many samples.
    fn round(
        &mut self,
        base_first: bool,
        mut measure: impl FnMut(bool, usize) -> Result<Measured, DataError>,
    ) -> Result<(), DataError> {
        let mut change = 0.0;
        for of_base in [base_first, !base_first, !base_first, base_first] {
            let measured = measure(of_base, self.samples)?;
            let took = measured.fastest();
            if of_base {
                change -= took.ln() / 2.0;
                self.base.push(took);
            } else {
                change += took.ln() / 2.0;
                self.new.push(took);
                self.work = measured.work;
            }
        }
        self.changes.push(change);
        Ok(())
    }

    fn line(&self, threshold: f64) -> Line {
        let verdict = |ratio| Verdict::of(&ratio, threshold);
        Line {
            id: self.id.clone(),
            base: Some(median(&self.base)),
            new: Some(median(&self.new)),
            ratio: self.ratio,
            work: self.work,
            verdict: self.ratio.map_or(Verdict::Unclear, verdict),
            rounds: self.changes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{COINS, Pair, interval};
    use crate::bench::compare::{Verdict, miss};
    use crate::bench::criterion::{Measured, Work};
    use crate::ops::philox::PhiloxStream;

    /// The verdict on NEW that takes `factor` times as long, on a machine whose speed drifts by a fifth
    /// and where others add 30 % to every twentieth run.
    fn verdict(random: &mut PhiloxStream, factor: f64) -> Verdict {
        let mut coins = PhiloxStream::new(u64::from(random.next_u32()), COINS);
        let mut pair = Pair::new("g/f", 10);
        let (mut runs, phase) = (0.0, f64::from(random.uniform()));
        while pair.wide(0.02) && pair.changes.len() < 60 {
            let run = |of_base, _| {
                runs += 1.0;
                let drift = 1.0 + 0.1 * (phase + runs / 50.0).sin();
                let burst = if random.below(20) == 0 { 1.3 } else { 1.0 };
                let noise = 1.0 + 0.01 * f64::from(random.normal());
                Ok(Measured {
                    id: "g/f".to_string(),
                    work: Work::default(),
                    times: vec![drift * burst * noise * if of_base { 1.0 } else { factor }],
                })
            };
            pair.round(coins.below(2) == 0, run).unwrap();
            pair.ratio = interval(&pair.changes, miss(3));
        }
        pair.line(0.02).verdict
    }

    #[test]
    fn equal_builds_are_equal_and_one_slower_by_5_percent_is_slower() {
        let mut random = PhiloxStream::new(3, 0);
        for (factor, expected) in [
            (1.0, Verdict::Equal),
            (1.05, Verdict::Slower),
            (1.0 / 1.05, Verdict::Faster),
        ] {
            let verdicts: Vec<Verdict> = (0..300).map(|_| verdict(&mut random, factor)).collect();
            let count = |verdict| verdicts.iter().filter(|v| **v == verdict).count();
            let (right, unclear) = (count(expected), count(Verdict::Unclear));
            assert!(right >= 285, "{expected:?}: {right} of 300");
            let wrong = 300 - right - unclear;
            assert!(wrong <= 3, "{expected:?}: {wrong} of 300 are wrong");
        }
    }
}
