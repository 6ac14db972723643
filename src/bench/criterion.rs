//! Criterion's result folders: below `target/criterion`, each benchmark has a folder, and in it one for
//! each saved baseline (`new` is the last run) with `benchmark.json` and `sample.json`.

use super::median;
use crate::data::DataError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The baseline that criterion writes at every run.
const LAST_RUN: &str = "new";

/// Which results to read.
#[derive(Clone, Debug, PartialEq)]
pub struct Folder {
    pub path: PathBuf,
    pub baseline: String,
}

/// What an iteration of a benchmark does, as its `Throughput` says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    pub elements: Option<f64>,
    pub bytes: Option<f64>,
}

/// The times of one benchmark.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Criterion's full name, `group/function`.
    pub id: String,
    pub work: Work,
    /// Nanoseconds of an iteration, one value a sample; all above 0, at least one.
    pub times: Vec<f64>,
}

#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
    throughput: Option<Value>,
}

#[derive(Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

impl Folder {
    /// The last run's results below `path`.
    pub fn last_run(path: &Path) -> Folder {
        Folder {
            path: path.to_path_buf(),
            baseline: LAST_RUN.to_string(),
        }
    }

    /// `DIR`, or `DIR@NAME` for the baseline that `cargo bench -- --save-baseline NAME` saved.
    pub fn named(path: &Path) -> Folder {
        let split = path.to_str().and_then(|text| text.rsplit_once('@'));
        match split {
            Some((folder, baseline)) if !path.exists() && !baseline.is_empty() => Folder {
                path: PathBuf::from(folder),
                baseline: baseline.to_string(),
            },
            _ => Folder::last_run(path),
        }
    }

    /// All benchmarks, by name.
    ///
    /// # Errors
    /// [`DataError`] naming the file or folder and what was expected: no folder, no results in it, a
    /// file that is missing or cut off, no samples, times that are no times, a benchmark found twice.
    pub fn read(&self) -> Result<Vec<Measured>, DataError> {
        let mut places = Vec::new();
        self.find(&self.path, &mut places)?;
        if places.is_empty() {
            let message = format!(
                "no criterion results; expected folders `GROUP/FUNCTION/{}` with a benchmark.json, as \
                 `cargo bench` leaves them in target/criterion",
                self.baseline
            );
            return Err(DataError::file(&self.path, message));
        }
        let mut measured = places
            .into_iter()
            .map(|place| Ok((read(&place)?, place)))
            .collect::<Result<Vec<(Measured, PathBuf)>, DataError>>()?;
        measured.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        for pair in measured.windows(2) {
            let [(first, place), (second, again)] = pair else {
                continue;
            };
            if first.id == second.id {
                let message = format!(
                    "benchmark `{}` is also in {}; expected it once",
                    first.id,
                    place.display()
                );
                return Err(DataError::file(again, message));
            }
        }
        Ok(measured.into_iter().map(|(found, _)| found).collect())
    }

    /// Adds the folders of this baseline's results at and below `folder`, without following links.
    fn find(&self, folder: &Path, places: &mut Vec<PathBuf>) -> Result<(), DataError> {
        let unreadable = || DataError::io("read", folder);
        for entry in fs::read_dir(folder).map_err(unreadable())? {
            let entry = entry.map_err(unreadable())?;
            if !entry.file_type().map_err(unreadable())?.is_dir() {
                continue;
            }
            let path = entry.path();
            if entry.file_name() == *self.baseline && path.join("benchmark.json").is_file() {
                places.push(path);
            } else {
                self.find(&path, places)?;
            }
        }
        Ok(())
    }
}

fn read(place: &Path) -> Result<Measured, DataError> {
    let expected = "{\"full_id\": \"…\", …}";
    let benchmark: Benchmark = json(&place.join("benchmark.json"), expected)?;
    let path = place.join("sample.json");
    let sample: Sample = json(&path, "{\"iters\": […], \"times\": […]}")?;
    let (iters, times) = (&sample.iters, &sample.times);
    if iters.is_empty() || iters.len() != times.len() {
        let message = format!(
            "{} iteration counts and {} times; expected as many of both, at least one",
            iters.len(),
            times.len()
        );
        return Err(DataError::file(&path, message));
    }
    let bad = |v: &f64| !v.is_finite() || *v <= 0.0;
    if let Some(value) = iters.iter().chain(times).find(|v| bad(v)) {
        let message = format!("a sample with {value}; expected counts and nanoseconds above 0");
        return Err(DataError::file(&path, message));
    }
    Ok(Measured {
        id: benchmark.full_id,
        work: Work::of(benchmark.throughput.as_ref()),
        times: times.iter().zip(iters).map(|(t, n)| t / n).collect(),
    })
}

fn json<T: DeserializeOwned>(path: &Path, expected: &str) -> Result<T, DataError> {
    let text = fs::read_to_string(path).map_err(DataError::io("read", path))?;
    serde_json::from_str(&text)
        .map_err(|error| DataError::file(path, format!("{error}; expected {expected}")))
}

impl Measured {
    /// Median nanoseconds of an iteration.
    pub fn median(&self) -> f64 {
        median(&self.times)
    }

    /// Nanoseconds of an iteration in the fastest sample.
    pub fn fastest(&self) -> f64 {
        self.times.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

impl Work {
    /// From criterion's `Throughput`: a count by its unit. Units that are neither elements nor bytes
    /// say nothing here.
    fn of(throughput: Option<&Value>) -> Work {
        let count = |path: &str| {
            throughput
                .and_then(|t| t.pointer(path))
                .and_then(Value::as_f64)
        };
        Work {
            elements: count("/Elements").or_else(|| count("/ElementsAndBytes/elements")),
            bytes: count("/Bytes")
                .or_else(|| count("/BytesDecimal"))
                .or_else(|| count("/ElementsAndBytes/bytes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Folder, Work};
    use serde_json::json;
    use std::path::Path;

    #[test]
    fn an_at_sign_names_a_baseline_where_no_such_folder_lies() {
        let folder = Folder::named(Path::new("target/criterion@main"));
        assert_eq!(folder.path, Path::new("target/criterion"));
        assert_eq!(folder.baseline, "main");
        let parent = tempfile::tempdir().unwrap();
        let there = parent.path().join("a@b");
        std::fs::create_dir(&there).unwrap();
        assert_eq!(Folder::named(&there), Folder::last_run(&there));
    }

    #[test]
    fn work_is_counted_in_elements_and_bytes() {
        let of = |throughput| Work::of(Some(&throughput));
        assert_eq!(of(json!({"Elements": 7})).elements, Some(7.0));
        assert_eq!(of(json!({"BytesDecimal": 8})).bytes, Some(8.0));
        let both = of(json!({"ElementsAndBytes": {"elements": 1, "bytes": 2}}));
        assert_eq!((both.elements, both.bytes), (Some(1.0), Some(2.0)));
        assert_eq!(of(json!({"Bits": 3})), Work::default());
        assert_eq!(Work::of(None), Work::default());
    }
}
