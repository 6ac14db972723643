//! The record of a run as TensorBoard reads it: an event file beside `metrics.jsonl`.
//!
//! The file is a row of TFRecords, each a length, the length's checksum, a payload and its checksum; a
//! payload is a protocol-buffer `Event` of a step with all of its scalars. Both are TensorFlow's
//! (`tsl/lib/io/record_writer.h`, `tensorboard/compat/proto/event.proto`).

use super::TrainError;
use crc::{CRC_32_ISCSI, Crc};
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// TensorBoard reads files that have `tfevents` in their names.
const EVENTS: &str = "events.out.tfevents.lrem";

/// What the first event of a file says.
const VERSION: &[u8] = b"brain.Event:2";

/// Of `Event`: `wall_time`, `step`, `file_version` and `summary`; of `Summary`: `value`; of `Value`: `tag`
/// and `simple_value`. A key is the field's number and its kind of encoding.
const WALL_TIME: u8 = 1 << 3 | 1;
const STEP: u8 = 2 << 3;
const FILE_VERSION: u8 = 3 << 3 | 2;
const SUMMARY: u8 = 5 << 3 | 2;
const VALUE: u8 = 1 << 3 | 2;
const TAG: u8 = 1 << 3 | 2;
const SIMPLE_VALUE: u8 = 2 << 3 | 5;

static CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Bytes before a payload, and where an event of ours has its step.
const HEADER: usize = 12;
const STEP_AT: usize = 9;

/// Appends an event a step.
pub struct EventLog {
    path: PathBuf,
    file: File,
}

impl EventLog {
    /// Opens the event file of `folder`, keeping the events of the first `keep` steps (a resumed run writes
    /// the later ones again); one that was torn off goes too.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn open(folder: &Path, keep: usize) -> Result<EventLog, TrainError> {
        let path = folder.join(EVENTS);
        let old = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            read => read.map_err(TrainError::io(&path))?,
        };
        let kept = kept(&old, keep as u64) as u64;
        let open = || {
            let mut options = OpenOptions::new();
            let mut file = options
                .create(true)
                .write(true)
                .truncate(false)
                .open(&path)?;
            file.set_len(kept)?;
            file.seek(SeekFrom::Start(kept))?;
            Ok(file)
        };
        let file = open().map_err(TrainError::io(&path))?;
        let mut log = EventLog { path, file };
        if kept == 0 {
            log.append(0, FILE_VERSION, VERSION)?;
        }
        Ok(log)
    }

    /// Appends the numbers of a line of `metrics.jsonl` under the names of their fields, those of a nested
    /// object below its name (`rewards/format`).
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&mut self, record: &Value) -> Result<(), TrainError> {
        let mut summary = Vec::new();
        scalars("", record, &mut summary);
        match record.get("step").and_then(Value::as_u64) {
            Some(step) => self.append(step, SUMMARY, &summary),
            None => Ok(()),
        }
    }

    fn append(&mut self, step: u64, key: u8, content: &[u8]) -> Result<(), TrainError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = since.map_or(0.0, |d| d.as_secs_f64());
        let mut event = vec![WALL_TIME];
        event.extend(now.to_le_bytes());
        event.push(STEP);
        varint(step, &mut event);
        field(key, content, &mut event);
        let length = (event.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked_crc(&length).to_le_bytes());
        record.extend(&event);
        record.extend(masked_crc(&event).to_le_bytes());
        let written = self.file.write_all(&record);
        written.map_err(TrainError::io(&self.path))
    }
}

/// Length of the records at the beginning of `old` that are whole and of the first `keep` steps.
fn kept(old: &[u8], keep: u64) -> usize {
    let mut end = 0;
    while let Some(event) = event_at(&old[end..]) {
        if step_of(event).is_none_or(|step| step > keep) {
            break;
        }
        end += HEADER + event.len() + 4;
    }
    end
}

/// The payload of the record that `bytes` begin with, where it is whole.
fn event_at(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let event = rest
        .get(4..)?
        .get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let checksum = rest[4 + event.len()..].first_chunk()?;
    (u32::from_le_bytes(*checksum) == masked_crc(event)).then_some(event)
}

/// The step of an event that was written here.
fn step_of(event: &[u8]) -> Option<u64> {
    let (&key, digits) = event.get(STEP_AT..)?.split_first()?;
    let mut step = 0;
    for (at, byte) in digits.iter().take(9).enumerate() {
        step |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return (key == STEP).then_some(step);
        }
    }
    None
}

/// Adds a summary's values: every number in `value` and the objects in it, but the step.
fn scalars(name: &str, value: &Value, summary: &mut Vec<u8>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields.iter().filter(|(field, _)| *field != "step") {
                let separator = if name.is_empty() { "" } else { "/" };
                scalars(&format!("{name}{separator}{field}"), value, summary);
            }
        }
        Value::Number(number) => {
            let mut scalar = Vec::new();
            field(TAG, name.as_bytes(), &mut scalar);
            scalar.push(SIMPLE_VALUE);
            let number = number.as_f64().unwrap_or(f64::NAN) as f32;
            scalar.extend(number.to_le_bytes());
            field(VALUE, &scalar, summary);
        }
        _ => {}
    }
}

/// A field of so many bytes.
fn field(key: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(key);
    varint(content.len() as u64, out);
    out.extend(content);
}

/// Seven bits a byte, the lowest first; all bytes but the last have their highest bit set.
fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// CRC-32C, turned and shifted, as a checksum of data that holds checksums is weak.
fn masked_crc(bytes: &[u8]) -> u32 {
    let crc = CHECKSUM.checksum(bytes);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}
