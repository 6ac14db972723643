//! Findings of the process: each once, with how often it was made.

use super::finding::{Finding, Kind};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write;

/// What makes two findings the same: kind, kernel, and the instructions they are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    pub kind: Kind,
    pub kernel: u32,
    pub pc: u32,
    pub other: u32,
}

/// All findings.
#[derive(Debug, Default)]
pub struct Ledger {
    findings: Vec<(Finding, u64)>,
    known: HashMap<Key, usize>,
    /// How many of them have been told.
    told: usize,
    file: Option<File>,
}

impl Ledger {
    /// Findings go to stderr, and as lines of JSON to a file.
    pub fn new(file: Option<File>) -> Ledger {
        Ledger {
            file,
            ..Ledger::default()
        }
    }

    /// Counts a finding that has been made before; `false`: it is new.
    pub fn count(&mut self, key: Key) -> bool {
        match self.known.get(&key) {
            Some(at) => {
                self.findings[*at].1 += 1;
                true
            }
            None => false,
        }
    }

    /// Adds a new finding.
    pub fn add(&mut self, key: Key, finding: Finding) {
        self.known.insert(key, self.findings.len());
        self.findings.push((finding, 1));
    }

    /// Tells of what has been found since the last time.
    pub fn tell(&mut self) {
        for (finding, count) in &self.findings[self.told..] {
            eprint!("{}", finding.text(*count));
            if let Some(file) = &mut self.file {
                // A full disk must not stop the program that is checked.
                let _ = writeln!(file, "{}", finding.json(*count));
            }
        }
        self.told = self.findings.len();
    }

    /// Whether anything has been found.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// One line: how many findings there are of each kind, and how often they were made.
    pub fn summary(&self) -> String {
        let mut kinds = BTreeMap::<Kind, (u64, u64)>::new();
        for (finding, count) in &self.findings {
            let (places, times) = kinds.entry(finding.kind).or_default();
            *places += 1;
            *times += count;
        }
        let parts: Vec<String> = kinds
            .into_iter()
            .map(|(kind, (places, times))| match times {
                1 => format!("{} {places}", kind.name()),
                _ => format!("{} {places} (seen {times} times)", kind.name()),
            })
            .collect();
        match self.findings.len() {
            0 => "simt: the checks found nothing".to_owned(),
            1 => format!("simt: the checks found 1 problem: {}", parts.join(", ")),
            n => format!("simt: the checks found {n} problems: {}", parts.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_is_counted() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.summary(), "simt: the checks found nothing");
        let key = |kind, pc| Key {
            kind,
            kernel: 0,
            pc,
            other: 0,
        };
        for (kind, pc) in [
            (Kind::Race, 1),
            (Kind::Race, 1),
            (Kind::Race, 2),
            (Kind::Leak, 1),
        ] {
            if !ledger.count(key(kind, pc)) {
                ledger.add(key(kind, pc), Finding::new(kind, String::new()));
            }
        }
        let expected = "simt: the checks found 3 problems: leak 1, race 2 (seen 3 times)";
        assert_eq!(ledger.summary(), expected);
    }
}
