//! Two criterion folders, line by line.

use super::bootstrap::ratio_of_medians;
use super::{Line, Verdict, miss};
use crate::bench::criterion::{Folder, Measured};
use crate::data::DataError;
use std::collections::BTreeMap;

/// Compares the benchmarks whose names contain `filter`; `threshold` as in [`Verdict::of`].
///
/// # Errors
/// See [`Folder::read`]; and where no benchmark's name contains `filter`.
pub fn folders(
    base: &Folder,
    new: &Folder,
    filter: &str,
    threshold: f64,
) -> Result<Vec<Line>, DataError> {
    let mut pairs: BTreeMap<String, (Option<Measured>, Option<Measured>)> = BTreeMap::new();
    for measured in base.read()? {
        let pair = pairs.entry(measured.id.clone()).or_default();
        pair.0 = Some(measured);
    }
    for measured in new.read()? {
        let pair = pairs.entry(measured.id.clone()).or_default();
        pair.1 = Some(measured);
    }
    pairs.retain(|id, _| id.contains(filter));
    if pairs.is_empty() {
        let message = format!("no benchmark's name contains `{filter}`, nor in BASE");
        return Err(DataError::file(&new.path, message));
    }
    let both = |pair: &&(Option<_>, Option<_>)| pair.0.is_some() && pair.1.is_some();
    let miss = miss(pairs.values().filter(both).count());
    let line = |(id, (base, new)): (&String, &(Option<Measured>, Option<Measured>))| {
        let (Some(base), Some(new)) = (base, new) else {
            let time = |side: &Option<Measured>| side.as_ref().map(Measured::median);
            return Line::alone(id, time(base), time(new));
        };
        let ratio = ratio_of_medians(&base.times, &new.times, miss);
        Line {
            id: id.clone(),
            base: Some(base.median()),
            new: Some(new.median()),
            ratio: Some(ratio),
            work: new.work,
            verdict: Verdict::of(&ratio, threshold),
            rounds: 0,
        }
    };
    Ok(pairs.iter().map(line).collect())
}
