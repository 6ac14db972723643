//! Learning curves, from the records that trainings leave.

use crate::data::DataError;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// A value over the steps of a training.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// The training.
    pub name: String,
    /// The record's field, such as `info_nce`, or `rewards.format` for a part.
    pub field: String,
    /// Steps and values; values that are no numbers are left out.
    pub points: Vec<(f64, f64)>,
}

/// The numeric `fields` of a `metrics.jsonl`; fields that no line has give no curve.
///
/// # Errors
/// [`DataError`] naming the file, and the line that is no JSON object.
pub fn read_curves(path: &Path, name: &str, fields: &[&str]) -> Result<Vec<Curve>, DataError> {
    let file = File::open(path).map_err(DataError::io("open", path))?;
    let curve = |field: &&str| Curve {
        name: name.to_string(),
        field: field.to_string(),
        points: Vec::new(),
    };
    let mut curves: Vec<Curve> = fields.iter().map(curve).collect();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(DataError::io("read", path))?;
        let record: Value = serde_json::from_str(&line)
            .map_err(|error| DataError::line(path, number + 1, error.to_string()))?;
        let Some(step) = record.get("step").and_then(Value::as_f64) else {
            continue;
        };
        for curve in &mut curves {
            let mut parts = curve.field.split('.');
            let value = parts.try_fold(&record, |value, part| value.get(part));
            if let Some(value) = value.and_then(Value::as_f64) {
                curve.points.push((step, value));
            }
        }
    }
    curves.retain(|curve| !curve.points.is_empty());
    Ok(curves)
}
