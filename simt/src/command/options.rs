//! Options of `simt run`: each is a setting of the library.

use super::{Error, Result};
use std::ffi::{OsStr, OsString};

/// A program to start, and the settings for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    pub settings: Vec<(&'static str, OsString)>,
    /// The program and its arguments.
    pub program: Vec<OsString>,
}

/// Options with a value, and the variable that each sets.
const VALUES: [(&str, &str); 9] = [
    ("--arch", "SIMT_ARCH"),
    ("--memory", "SIMT_MEMORY"),
    ("--devices", "SIMT_DEVICES"),
    ("--threads", "SIMT_THREADS"),
    ("--timeout", "SIMT_TIMEOUT"),
    ("--profile", "SIMT_PROFILE"),
    ("--trace", "SIMT_TRACE"),
    ("--check-file", "SIMT_CHECK_FILE"),
    ("--check-exit", "SIMT_CHECK_EXIT"),
];

/// Reads `[options] -- program arguments…`; the two dashes may be left out before a program whose name
/// begins with none.
///
/// # Errors
/// An unknown option, one without its value, or no program.
pub fn parse(arguments: &[OsString]) -> Result<Options> {
    let mut settings = Vec::new();
    let mut rest = arguments.iter();
    let mut program = Vec::new();
    while let Some(argument) = rest.next() {
        let text = argument.to_str().unwrap_or("");
        if text == "--" {
            program.extend(rest.cloned());
            break;
        }
        if !text.starts_with('-') {
            program.push(argument.clone());
            program.extend(rest.cloned());
            break;
        }
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(OsString::from(value))),
            None => (text, None),
        };
        match (name, value) {
            ("--check", list) => {
                let list = list.unwrap_or_else(|| "all".into());
                settings.push(("SIMT_CHECK", list));
            }
            ("--log", None) => settings.push(("SIMT_LOG", "1".into())),
            (name, value) => {
                let Some((_, variable)) = VALUES.iter().find(|(option, _)| *option == name) else {
                    return Err(Error::Usage(format!("unknown option {text}")));
                };
                let Some(value) = value.or_else(|| rest.next().cloned()) else {
                    return Err(Error::Usage(format!("{name} needs a value")));
                };
                settings.push((variable, value));
            }
        }
    }
    if program.is_empty() {
        return Err(Error::Usage("expected a program to run".to_owned()));
    }
    Ok(Options { settings, program })
}

impl Options {
    /// The value of a setting.
    pub fn setting(&self, variable: &str) -> Option<&OsStr> {
        let mut found = self.settings.iter().filter(|(name, _)| *name == variable);
        found.next_back().map(|(_, value)| value.as_os_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn options_end_where_the_program_begins() {
        for text in [
            "--arch sm_80 --check --profile=p.jsonl -- prog --arch x",
            "--arch=sm_80 --check --profile p.jsonl prog --arch x",
        ] {
            let options = parse(&words(text)).unwrap();
            assert_eq!(options.program, words("prog --arch x"));
            assert_eq!(options.setting("SIMT_ARCH"), Some(OsStr::new("sm_80")));
            assert_eq!(options.setting("SIMT_CHECK"), Some(OsStr::new("all")));
            assert_eq!(options.setting("SIMT_PROFILE"), Some(OsStr::new("p.jsonl")));
        }
        let options = parse(&words("--check=memcheck,racecheck prog")).unwrap();
        assert_eq!(
            options.setting("SIMT_CHECK"),
            Some(OsStr::new("memcheck,racecheck"))
        );
    }

    #[test]
    fn wrong_usage_is_refused() {
        for text in [
            "",
            "--",
            "--arch sm_80",
            "--arch",
            "--speed 3 prog",
            "--log=2 prog",
        ] {
            assert!(
                matches!(parse(&words(text)), Err(Error::Usage(_))),
                "{text}"
            );
        }
    }
}
