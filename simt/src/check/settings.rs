//! `SIMT_CHECK`: what is checked, and where the findings go.

use std::fmt;
use std::sync::OnceLock;

/// The checks that are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checks {
    /// Bounds, alignment, use after free.
    pub memory: bool,
    /// Memory that is never given back.
    pub leaks: bool,
    /// Reads of memory that nobody has written.
    pub initialised: bool,
    /// Accesses of several threads that nothing orders.
    pub races: bool,
    /// Barriers and masks.
    pub sync: bool,
}

/// A name that is no check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown(String);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = "memcheck, leakcheck, initcheck, racecheck, synccheck, all";
        write!(
            f,
            "SIMT_CHECK: no check is called {}; there are {known}",
            self.0
        )
    }
}

impl Checks {
    /// From names with commas between them, of which those with a `-` are taken away from what the ones
    /// before asked for. Unknown names do not stop the others.
    pub fn parse(text: &str) -> (Checks, Vec<Unknown>) {
        let (mut checks, mut unknown) = (Checks::default(), Vec::new());
        for word in text.split(',').map(str::trim) {
            let (name, is_on) = match word.strip_prefix('-') {
                Some(name) => (name, false),
                None => (word, true),
            };
            let all = matches!(name, "all" | "1");
            let set = |names: &[&str], check: &mut bool| {
                let is_meant = all || names.contains(&name);
                *check = if is_meant { is_on } else { *check };
                is_meant
            };
            let mut known = set(&["memcheck"], &mut checks.memory);
            known |= set(&["memcheck", "leakcheck"], &mut checks.leaks);
            known |= set(&["initcheck"], &mut checks.initialised);
            known |= set(&["racecheck"], &mut checks.races);
            known |= set(&["synccheck"], &mut checks.sync);
            if !known && !matches!(name, "" | "0" | "none") {
                unknown.push(Unknown(word.to_owned()));
            }
        }
        (checks, unknown)
    }

    /// Those that `SIMT_CHECK` asks for; what it says and nobody knows is named on stderr.
    pub fn asked_for() -> Checks {
        static ASKED_FOR: OnceLock<Checks> = OnceLock::new();
        *ASKED_FOR.get_or_init(|| {
            let text = std::env::var("SIMT_CHECK").unwrap_or_default();
            let (checks, unknown) = Checks::parse(&text);
            for problem in unknown {
                eprintln!("simt: {problem}");
            }
            checks
        })
    }

    /// Whether nothing is checked.
    pub fn is_empty(self) -> bool {
        self == Checks::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_commas() {
        let (checks, unknown) = Checks::parse("racecheck, memchek,synccheck,");
        assert!(checks.races && checks.sync && !checks.memory && !checks.initialised);
        assert_eq!(unknown, [Unknown("memchek".to_owned())]);
        let (all, none) = (Checks::parse("all").0, Checks::parse("0").0);
        assert!(all.memory && all.initialised && all.races && all.sync);
        assert!(none.is_empty());
        let (most, unknown) = Checks::parse("all,-leakcheck,-x");
        assert!(most.memory && most.sync && !most.leaks);
        assert_eq!(unknown, [Unknown("-x".to_owned())]);
        assert!(Checks::parse("memcheck").0.leaks);
    }
}
