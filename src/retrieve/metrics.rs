//! Measures of a ranking, computed as trec_eval 9 does: HitRate (its `success`), Precision, Recall,
//! nDCG, reciprocal rank and average precision, each at a cut-off or over the whole ranking.
//!
//! A document is relevant where its judgement is 1 or more; nDCG takes the judgement as the gain and
//! discounts rank r by log2(r+1) (Järvelin & Kekäläinen 2002), with the ideal over all judged documents.

use super::trec::{RunEntry, rank};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// 1 if a relevant document is found, else 0.
    HitRate,
    /// Relevant found over the cut-off (over all found, without one).
    Precision,
    /// Relevant found over all relevant.
    Recall,
    /// Discounted gain over the ideal ranking's.
    Ndcg,
    /// 1 over the rank of the first relevant document; 0 if none is found.
    ReciprocalRank,
    /// Precision at every relevant document found, summed, over all relevant.
    AveragePrecision,
}

/// A measure and its cut-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Metric {
    /// What is measured.
    pub measure: Measure,
    /// How many documents from the top count; all where there is none.
    pub cutoff: Option<usize>,
}

/// Each measure with its usual name (a `@k` follows) and trec_eval's names with and without cut-off.
const NAMES: [(Measure, &str, &str, &str); 6] = [
    (Measure::HitRate, "HitRate", "success", "success"),
    (Measure::Precision, "Precision", "P", "set_P"),
    (Measure::Recall, "Recall", "recall", "set_recall"),
    (Measure::Ndcg, "nDCG", "ndcg_cut", "ndcg"),
    (
        Measure::ReciprocalRank,
        "MRR",
        "recip_rank_cut",
        "recip_rank",
    ),
    (Measure::AveragePrecision, "MAP", "map_cut", "map"),
];

impl Metric {
    /// `measure` at `cutoff`.
    pub fn at(measure: Measure, cutoff: usize) -> Metric {
        Metric {
            measure,
            cutoff: Some(cutoff),
        }
    }

    /// trec_eval's name: `P_10`, `recall_100`, `ndcg_cut_10`, `recip_rank`, `map`, `map_cut_10`,
    /// `success_10`, `set_P`, …. It has none for `recip_rank_cut_k` and for `success` without cut-off.
    pub fn trec_name(&self) -> String {
        let (_, _, cut, whole) = self.names();
        match self.cutoff {
            Some(cutoff) => format!("{cut}_{cutoff}"),
            None => whole.to_string(),
        }
    }

    fn names(&self) -> (Measure, &'static str, &'static str, &'static str) {
        // `NAMES` is in the order of the variants.
        NAMES[self.measure as usize]
    }
}

impl fmt::Display for Metric {
    /// The usual name: `nDCG@10`, `MAP`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.names().1;
        match self.cutoff {
            Some(cutoff) => f.pad(&format!("{name}@{cutoff}")),
            None => f.pad(name),
        }
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A name that is no metric.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "metric {0:?} is unknown; expected HitRate, Precision, Recall, nDCG, MRR or MAP, or trec_eval's \
     names, with @k or _k (k from 1) for a cut-off"
)]
pub struct UnknownMetric(pub String);

impl FromStr for Metric {
    type Err = UnknownMetric;

    /// Reads `nDCG@10`, `map`, or trec_eval's `ndcg_cut_10` and `ndcg_cut.10`, in any case.
    fn from_str(text: &str) -> std::result::Result<Metric, UnknownMetric> {
        let unknown = || UnknownMetric(text.to_string());
        let find = |name: &str, cut: bool| {
            // Short for HitRate, as papers write it.
            let hit = name.eq_ignore_ascii_case("hit");
            let name = if hit { "HitRate" } else { name };
            let is = |other: &str| other.eq_ignore_ascii_case(name);
            let found = NAMES
                .iter()
                .find(|names| is(names.1) || is(if cut { names.2 } else { names.3 }));
            found.map(|names| names.0)
        };
        if let Some(measure) = find(text, false) {
            let cutoff = None;
            return Ok(Metric { measure, cutoff });
        }
        let (name, cutoff) = text.rsplit_once(['@', '_', '.']).ok_or_else(unknown)?;
        let cutoff: usize = cutoff.parse().map_err(|_| unknown())?;
        let measure = find(name, true).ok_or_else(unknown)?;
        if cutoff == 0 {
            return Err(unknown());
        }
        Ok(Metric::at(measure, cutoff))
    }
}

/// One query's ranking, judged.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Gain of every document found, in rank order; 0 where it is not relevant or not judged.
    gains: Vec<i32>,
    /// Gains of all relevant documents, the highest first.
    ideal: Vec<i32>,
}

impl Judged {
    /// Ranks `entries` as trec_eval does and looks up their judgements.
    pub fn new(judgements: &BTreeMap<String, i32>, entries: &[RunEntry]) -> Judged {
        let gain = |entry: &RunEntry| judgements.get(&entry.id).map_or(0, |&gain| gain.max(0));
        let mut ideal: Vec<i32> = judgements.values().copied().filter(|&g| g > 0).collect();
        ideal.sort_unstable_by(|a, b| b.cmp(a));
        Judged {
            gains: rank(entries).into_iter().map(gain).collect(),
            ideal,
        }
    }

    /// The value of `metric`, from 0 to 1; 0 where there is nothing relevant.
    pub fn value(&self, metric: Metric) -> f64 {
        let cutoff = metric.cutoff.unwrap_or(usize::MAX);
        let gains = &self.gains[..self.gains.len().min(cutoff)];
        let relevant = self.ideal.len() as f64;
        let found = gains.iter().filter(|&&gain| gain > 0).count();
        match metric.measure {
            Measure::HitRate => f64::from(u8::from(found > 0)),
            // A ranking shorter than the cut-off is filled with what is not relevant.
            Measure::Precision => over(found as f64, metric.cutoff.unwrap_or(gains.len()) as f64),
            Measure::Recall => over(found as f64, relevant),
            Measure::Ndcg => over(
                discounted(gains),
                discounted(&self.ideal[..self.ideal.len().min(cutoff)]),
            ),
            Measure::ReciprocalRank => gains
                .iter()
                .position(|&gain| gain > 0)
                .map_or(0.0, |at| 1.0 / (at + 1) as f64),
            Measure::AveragePrecision => over(precisions(gains), relevant),
        }
    }
}

fn over(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn discounted(gains: &[i32]) -> f64 {
    let discount = |(at, &gain): (usize, &i32)| f64::from(gain) / ((at + 2) as f64).log2();
    gains.iter().enumerate().map(discount).sum()
}

fn precisions(gains: &[i32]) -> f64 {
    let mut found = 0.0;
    let mut sum = 0.0;
    for (at, _) in gains.iter().enumerate().filter(|(_, gain)| **gain > 0) {
        found += 1.0;
        sum += found / (at + 1) as f64;
    }
    sum
}
