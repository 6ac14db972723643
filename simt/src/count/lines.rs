//! Counts by line of the source and of the PTX text.

use super::tally::{Counts, Tally};
use crate::exec::program::Program;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Counts of a line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Warp instructions.
    pub instructions: u64,
    pub lane_activity: f64,
    pub global_sectors: u64,
    pub ideal_sectors: u64,
    pub wavefronts: u64,
    pub ideal_wavefronts: u64,
}

/// A line of the source, as `.loc` says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceLine {
    pub file: String,
    pub line: u32,
    #[serde(flatten)]
    pub counts: Line,
}

/// A line of the PTX text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PtxLine {
    pub line: u32,
    #[serde(flatten)]
    pub counts: Line,
}

/// The average part of a warp's lanes that are at work; 1 where nothing is.
pub fn activity(warps: u64, lanes: u64) -> f64 {
    if warps == 0 {
        1.0
    } else {
        lanes as f64 / (32 * warps) as f64
    }
}

impl From<&Counts> for Line {
    fn from(counts: &Counts) -> Line {
        let (global, shared) = (counts.global.iter(), counts.shared.iter());
        Line {
            instructions: counts.warps,
            lane_activity: activity(counts.warps, counts.lanes),
            global_sectors: global.clone().map(|g| g.sectors).sum(),
            ideal_sectors: global.map(|g| g.ideal).sum(),
            wavefronts: shared.clone().map(|s| s.wavefronts).sum(),
            ideal_wavefronts: shared.map(|s| s.ideal).sum(),
        }
    }
}

/// Lines of each kind that a record keeps: large kernels have thousands.
const MOST: usize = 100;

/// Sums of the [`MOST`] lines that execute most, of the instructions for which `key` gives the same.
fn sums<K: Ord>(
    tally: &Tally,
    program: &Program,
    key: impl Fn(usize) -> Option<K>,
) -> Vec<(K, Counts)> {
    let mut sums: BTreeMap<K, Counts> = BTreeMap::new();
    for (pc, counts, _) in tally.executed(program) {
        if let Some(key) = key(pc) {
            sums.entry(key).or_default().add(counts);
        }
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.warps));
    sums.truncate(MOST);
    sums.sort_by(|a, b| a.0.cmp(&b.0));
    sums
}

/// The lines of the source that execute most, by file and line; none where the text has no `.loc`.
pub fn by_source(tally: &Tally, program: &Program) -> Vec<SourceLine> {
    let files: HashMap<u32, &str> = program
        .files
        .iter()
        .map(|(number, path)| (*number, path.as_str()))
        .collect();
    let source = |pc: usize| Some(program.sources[pc]).filter(|(_, line)| *line != 0);
    let lines = sums(tally, program, source).into_iter();
    lines
        .map(|((file, line), counts)| SourceLine {
            file: files.get(&file).copied().unwrap_or("").to_owned(),
            line,
            counts: Line::from(&counts),
        })
        .collect()
}

/// The lines of the PTX text that execute most.
pub fn by_ptx(tally: &Tally, program: &Program) -> Vec<PtxLine> {
    let lines = sums(tally, program, |pc| Some(program.lines[pc])).into_iter();
    lines
        .map(|(line, counts)| PtxLine {
            line,
            counts: Line::from(&counts),
        })
        .collect()
}
