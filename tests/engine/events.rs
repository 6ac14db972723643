//! Event files for TensorBoard, read back by a reader of its own.

use crate::shop::{recipe, run, shop};
use lrem::train::TrainError;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Step and scalars of every event with a summary.
type Events = Vec<(u64, BTreeMap<String, f32>)>;

/// CRC-32C bit by bit, by its polynomial.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

fn masked(bytes: &[u8]) -> u32 {
    let crc = crc32c(bytes);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A field of a message: its number and its content.
enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn fields(mut message: &[u8]) -> Vec<(u64, Content<'_>)> {
    fn number(from: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = from[0];
            *from = &from[1..];
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                break;
            }
        }
        value
    }
    fn bytes<'a>(from: &mut &'a [u8], len: usize) -> &'a [u8] {
        let (bytes, rest) = from.split_at(len);
        *from = rest;
        bytes
    }
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = number(&mut message);
        let content = match key & 7 {
            0 => Content::Number(number(&mut message)),
            1 => Content::Bytes(bytes(&mut message, 8)),
            2 => {
                let len = number(&mut message);
                Content::Bytes(bytes(&mut message, len as usize))
            }
            5 => Content::Bytes(bytes(&mut message, 4)),
            kind => panic!("fields of kind {kind} are not used"),
        };
        fields.push((key >> 3, content));
    }
    fields
}

/// The tag and number of a summary's value.
fn scalar(value: &[u8]) -> (String, f32) {
    let (mut tag, mut number) = (None, None);
    for (field, content) in fields(value) {
        match (field, content) {
            (1, Content::Bytes(text)) => tag = Some(String::from_utf8(text.to_vec()).unwrap()),
            (2, Content::Bytes(bits)) => {
                number = Some(f32::from_le_bytes(bits.try_into().unwrap()))
            }
            (field, _) => panic!("field {field} of a value"),
        }
    }
    (tag.unwrap(), number.unwrap())
}

/// The events of a run's folder; asserts that the file is whole, names its version first, and was
/// written in the order of time.
fn read(folder: &Path) -> Events {
    let file = std::fs::read(folder.join("events.out.tfevents.lrem")).unwrap();
    let (mut rest, mut last) = (&file[..], 0.0);
    let mut events = Vec::new();
    while !rest.is_empty() {
        let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        let len = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        assert_eq!(word(8), masked(&rest[..8]));
        let event = &rest[12..12 + len];
        assert_eq!(word(12 + len), masked(event));
        let (mut time, mut step, mut version, mut summary) = (0.0, 0, None, None);
        for (field, content) in fields(event) {
            match (field, content) {
                (1, Content::Bytes(b)) => time = f64::from_le_bytes(b.try_into().unwrap()),
                (2, Content::Number(n)) => step = n,
                (3, Content::Bytes(text)) => version = Some(text),
                (5, Content::Bytes(message)) => summary = Some(message),
                (field, _) => panic!("field {field} of an event"),
            }
        }
        assert!(time > 1.7e9 && time >= last, "{time} after {last}");
        last = time;
        match (version, summary) {
            (Some(version), None) => {
                assert!(events.is_empty() && rest.len() == file.len());
                assert_eq!(version, b"brain.Event:2");
            }
            (None, Some(summary)) => {
                let values = fields(summary).into_iter().map(|field| match field {
                    (1, Content::Bytes(value)) => scalar(value),
                    (field, _) => panic!("field {field} of a summary"),
                });
                events.push((step, values.collect()));
            }
            _ => panic!("an event without content"),
        }
        rest = &rest[16 + len..];
    }
    events
}

/// Asserts that the events of a folder are the lines of its `metrics.jsonl`, and returns their steps. Numbers
/// are compared loosely: reading JSON may miss a number's last bit, and so turn how it is rounded to f32.
pub fn check(folder: &Path, about: &str) -> Vec<u64> {
    let (events, recorded) = (read(folder), recorded(folder));
    assert_eq!(events.len(), recorded.len(), "{about}");
    for ((step, got), (line, want)) in events.iter().zip(&recorded) {
        assert_eq!(step, line, "{about}");
        assert!(got.keys().eq(want.keys()), "{about}: {got:?} {want:?}");
        for (tag, want) in want {
            let got = got[tag];
            let error = (got - want).abs();
            assert!(
                error <= 2e-7 * want.abs(),
                "{about}: {tag} is {got}, not {want}"
            );
        }
    }
    events.into_iter().map(|event| event.0).collect()
}

/// What an event file has to say, by `metrics.jsonl`.
fn recorded(folder: &Path) -> Events {
    fn gather(name: &str, value: &Value, into: &mut BTreeMap<String, f32>) {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields {
                    let below = format!("{name}/{field}");
                    gather(below.trim_start_matches('/'), value, into);
                }
            }
            value => {
                into.extend(
                    value
                        .as_f64()
                        .map(|number| (name.to_string(), number as f32)),
                );
            }
        }
    }
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        let mut scalars = BTreeMap::new();
        gather("", &record, &mut scalars);
        let step = scalars.remove("step").unwrap();
        (step as u64, scalars)
    };
    text.lines().map(line).collect()
}

#[test]
fn every_step_is_there_once_after_a_stop_too() {
    let shop = shop();
    let recipe = recipe(
        shop.path(),
        r#"
        [train]
        batch = 4
        steps = 3
        [thought]
        budget = 3
        [rl]
        steps = 3
        queries = 2
        rollouts = 2"#,
    );
    let out = shop.path().join("out");
    let rl = out.join("rl");
    let stopped = run(&recipe, &out, false, true);
    assert!(matches!(stopped, Err(TrainError::Interrupted { step: 1 })));
    let first = read(&out);
    assert_eq!(first.len(), 1);
    // A kill may leave half an event; the first of the file, of its version, takes 42 bytes.
    let path = out.join("events.out.tfevents.lrem");
    let whole = std::fs::read(&path).unwrap();
    let half = &whole[42..whole.len() - 7];
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    file.write_all(half).unwrap();
    run(&recipe, &out, true, false).unwrap();
    for folder in [&out, &rl] {
        assert_eq!(check(folder, "resumed"), [1, 2, 3]);
        assert!(read(folder).iter().all(|e| e.1.contains_key("info_nce")));
    }
    assert_eq!(read(&out)[..1], first);
    assert!(read(&rl)[0].1.contains_key("rewards/format"));

    // A run that starts anew leaves nothing of the earlier one, nor of a file that is no event file.
    std::fs::write(
        &path,
        "years of work, long enough for the header of a record",
    )
    .unwrap();
    let stopped = run(&recipe, &out, false, true);
    assert!(matches!(stopped, Err(TrainError::Interrupted { step: 1 })));
    assert_eq!(check(&out, "anew"), [1]);
}
