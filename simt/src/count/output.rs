//! Where records and traces go.

use super::record::{RangeRecord, Record};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Takes the records of launches and of ranges of them.
pub trait Output: Send + Sync {
    fn write(&self, record: &Record);

    fn write_range(&self, record: &RangeRecord);
}

/// A file to which lines are appended, each at once, so that a process that dies leaves whole lines.
pub struct File {
    /// Who has named the file, for the message when it cannot be written.
    setting: &'static str,
    path: PathBuf,
    state: Mutex<State>,
}

enum State {
    Unopened,
    Open(std::fs::File),
    /// It could not be written, which has been said.
    Failed,
}

impl File {
    /// The file of that path, which is opened when the first line comes.
    pub fn new(setting: &'static str, path: PathBuf) -> File {
        File {
            setting,
            path,
            state: Mutex::new(State::Unopened),
        }
    }

    /// Appends `text`, and `first` before it where the file is empty. What goes wrong is said once.
    pub fn append(&self, first: &str, text: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.try_append(&mut state, first, text) {
            eprintln!("simt: {}={}: {error}", self.setting, self.path.display());
            *state = State::Failed;
        }
    }

    fn try_append(&self, state: &mut State, first: &str, text: &str) -> std::io::Result<()> {
        if let State::Unopened = state {
            let options = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.path);
            *state = State::Open(options?);
        }
        let State::Open(file) = state else {
            return Ok(());
        };
        let is_empty = file.metadata()?.len() == 0;
        let whole = if is_empty {
            [first, text].concat()
        } else {
            text.to_owned()
        };
        file.write_all(whole.as_bytes())
    }
}

impl File {
    fn append_json(&self, record: &impl Serialize) {
        match serde_json::to_string(record) {
            Ok(line) => self.append("", &(line + "\n")),
            Err(error) => eprintln!("simt: {}: {error}", self.setting),
        }
    }
}

impl Output for File {
    fn write(&self, record: &Record) {
        self.append_json(record);
    }

    fn write_range(&self, record: &RangeRecord) {
        self.append_json(record);
    }
}
