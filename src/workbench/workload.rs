//! Workloads: a shape and the seed of its inputs, as a line of JSON.
//!
//! The records are FlashInfer-Bench's (arXiv 2601.00227): a workload is a trace without a solution and an
//! evaluation, and its axes are the fields of the op's shape.
//!
//! ```text
//! {"definition": "rms_norm", "workload": {"uuid": "smollm2-135m-64-rows", "axes": {"rows": 64, "dim": 576, "eps": 1e-5}}}
//! ```

use super::Contract;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// One shape with its inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// What it is called.
    pub uuid: String,
    /// The fields of the op's shape.
    pub axes: Map<String, Value>,
    /// Where inputs come from; numbers are drawn from the scalar `seed`, 0 where there is none.
    #[serde(default)]
    pub inputs: BTreeMap<String, Input>,
}

/// Where an input comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Input {
    /// Drawn.
    Random,
    Scalar {
        value: Value,
    },
    /// A file's, which no contract takes: a reference that draws its inputs can draw them again.
    Safetensors {
        path: String,
        tensor_key: String,
    },
}

/// A line of a workload file; a trace's later fields may stand there empty.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    definition: String,
    workload: Workload,
    #[serde(default)]
    solution: Option<Value>,
    #[serde(default)]
    evaluation: Option<Value>,
}

impl Workload {
    /// The seed of the inputs.
    ///
    /// # Errors
    /// An input that is not drawn.
    pub fn seed(&self) -> Result<u64, String> {
        let mut seed = 0;
        for (name, input) in &self.inputs {
            match input {
                Input::Random => {}
                Input::Scalar { value } if name == "seed" => {
                    seed = value
                        .as_u64()
                        .ok_or_else(|| format!("seed is {value}; expected a whole number"))?;
                }
                Input::Scalar { .. } => {
                    return Err(format!(
                        "input `{name}` is a scalar; options of an op stand among its axes"
                    ));
                }
                Input::Safetensors { .. } => {
                    return Err(format!(
                        "input `{name}` comes from a file; expected `random`, since inputs are drawn from the seed"
                    ));
                }
            }
        }
        Ok(seed)
    }

    /// The shape that the axes give.
    ///
    /// # Errors
    /// Names the axis that is missing, unknown or out of its range.
    pub fn shape<C: Contract>(&self) -> Result<C::Shape, String> {
        let shape: C::Shape = serde_json::from_value(Value::Object(self.axes.clone()))
            .map_err(|error| format!("axes of {}: {error}", C::OP))?;
        let known = serde_json::to_value(&shape).map_err(|error| error.to_string())?;
        let known = known.as_object().cloned().unwrap_or_default();
        if let Some(axis) = self.axes.keys().find(|axis| !known.contains_key(*axis)) {
            let expected: Vec<&str> = known.keys().map(String::as_str).collect();
            return Err(format!(
                "axis `{axis}` is not one of {}'s: {}",
                C::OP,
                expected.join(", ")
            ));
        }
        C::limits(&shape)?;
        Ok(shape)
    }
}

/// The workloads of `op` in a file of JSON Lines; those of other ops are passed over.
///
/// # Errors
/// Names the file and line that is wrong, or the file that has none of the op's.
pub fn read(path: &Path, op: &str) -> Result<Vec<Workload>, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    parse(&path.display().to_string(), &text, op)
}

/// The workloads of an op that the program brings: shapes of SmolLM2-135M, Qwen2.5-0.5B and Qwen2.5-3B.
///
/// # Errors
/// Where the op has none.
pub fn built_in(op: &str) -> Result<Vec<Workload>, String> {
    parse("the built-in workloads", WORKLOADS, op)
}

const WORKLOADS: &str = include_str!("workloads.jsonl");

fn parse(file: &str, text: &str, op: &str) -> Result<Vec<Workload>, String> {
    let mut workloads = Vec::new();
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, l)| !l.trim().is_empty())
    {
        let at = |error: String| format!("{file}:{}: {error}", number + 1);
        let line: Line = serde_json::from_str(line).map_err(|error| {
            // A line is an object of its own: where in the line is what helps.
            let column = error.column();
            let said = error.to_string();
            let said = said.split(" at line ").next().unwrap_or(&said);
            at(format!("{said} (column {column})"))
        })?;
        if line.definition == op {
            line.workload.seed().map_err(at)?;
            workloads.push(line.workload);
        }
    }
    match workloads.is_empty() {
        true => Err(format!("{file}: no workload of {op}")),
        false => Ok(workloads),
    }
}

#[cfg(test)]
mod tests {
    use super::{built_in, parse};
    use crate::workbench::contracts::OPS;

    #[test]
    fn every_op_has_workloads_within_its_limits() {
        for (op, _) in OPS {
            for workload in built_in(op).unwrap() {
                let shape = with_contract!(*op, |C| workload.shape::<C>().map(drop));
                assert_eq!(shape, Some(Ok(())), "{op} {}", workload.uuid);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_file_line_and_field() {
        let line = |axes: &str, inputs: &str| {
            format!(
                r#"{{"definition":"rms_norm","workload":{{"uuid":"a","axes":{axes},"inputs":{inputs}}}}}"#
            )
        };
        let good = r#"{"rows":2,"dim":3,"eps":1e-5}"#;
        let read = |text: &str| {
            let workloads = parse("w.jsonl", text, "rms_norm")?;
            let shape = |w: &super::Workload| {
                w.shape::<crate::workbench::contracts::RmsNormContract>()
                    .map(drop)
            };
            workloads.iter().try_for_each(shape)
        };
        let seeded = r#"{"x":{"type":"random"},"seed":{"type":"scalar","value":3}}"#;
        assert_eq!(read(&line(good, seeded)), Ok(()));
        for (text, expected) in [
            (
                format!("\n{}x", line(good, "{}")),
                "w.jsonl:2: trailing characters",
            ),
            (
                r#"{"definition":"rms_norm"}"#.into(),
                "missing field `workload`",
            ),
            (
                line(good, r#"{"x":{"type":"file"}}"#),
                "unknown variant `file`",
            ),
            (
                line(
                    good,
                    r#"{"x":{"type":"safetensors","path":"p","tensor_key":"k"}}"#,
                ),
                "input `x` comes from a file",
            ),
            (
                line(good, r#"{"seed":{"type":"scalar","value":-1}}"#),
                "seed is -1",
            ),
            (line(r#"{"rows":2,"dim":3}"#, "{}"), "missing field `eps`"),
            (line(r#"{"rows":0,"dim":3,"eps":1e-5}"#, "{}"), "rows is 0"),
            (
                line(r#"{"rows":99999999,"dim":9999,"eps":1e-5}"#, "{}"),
                "too large",
            ),
            (
                line(r#"{"rows":2,"dim":3,"eps":1e-5,"heads":1}"#, "{}"),
                "axis `heads` is not one of rms_norm's: rows, dim, eps",
            ),
            (
                line(good, "{}").replace("rms_norm", "rope"),
                "no workload of rms_norm",
            ),
        ] {
            let said = read(&text).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
    }
}
