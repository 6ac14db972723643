//! Warp instructions on the virtual GPU as what criterion measures.

use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{Criterion, Throughput};
use simt::count::record::{Line, Record};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Criterion for a figure that is the same each time.
pub fn criterion() -> Criterion<Instructions> {
    Criterion::default()
        .with_measurement(Instructions)
        .sample_size(10)
        .warm_up_time(Duration::from_nanos(1))
        .measurement_time(Duration::from_nanos(1))
        .configure_from_args()
}

/// The file to which the virtual GPU writes what each launch did.
pub struct Profile {
    path: PathBuf,
    /// Removed with this.
    _folder: tempfile::TempDir,
}

impl Profile {
    /// Has every launch of this process counted, as of an A100. To be called before any other thread runs, and
    /// before the virtual GPU is opened.
    pub fn begin() -> Profile {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("counts.jsonl");
        // SAFETY: no other thread runs yet.
        unsafe {
            std::env::set_var("SIMT_ARCH", "sm_80");
            std::env::set_var("SIMT_PROFILE", &path);
        }
        Profile {
            path,
            _folder: folder,
        }
    }

    /// What the launches of `run` did, in their order.
    pub fn of(&self, run: impl FnOnce()) -> Vec<Record> {
        let before = fs::metadata(&self.path).map_or(0, |file| file.len());
        run();
        let records = fs::read_to_string(&self.path).unwrap_or_default();
        records[before as usize..]
            .lines()
            .filter_map(|line| match Line::parse(line).expect("a record a line") {
                Line::Launch(record) => Some(*record),
                Line::Range(_) => None,
            })
            .collect()
    }
}

/// Warp instructions.
pub struct Instructions;

impl Measurement for Instructions {
    type Intermediate = ();
    type Value = u64;
    fn start(&self) {}
    fn end(&self, (): ()) -> u64 {
        0
    }
    fn add(&self, a: &u64, b: &u64) -> u64 {
        a + b
    }
    fn zero(&self) -> u64 {
        0
    }
    fn to_f64(&self, value: &u64) -> f64 {
        *value as f64
    }
    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Instructions {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        let (unit, scale) = match typical {
            t if t >= 1e6 => ("M instructions", 1e-6),
            t if t >= 1e3 => ("k instructions", 1e-3),
            _ => ("instructions", 1.0),
        };
        values.iter_mut().for_each(|v| *v *= scale);
        unit
    }
    fn scale_throughputs(
        &self,
        _: f64,
        throughput: &Throughput,
        values: &mut [f64],
    ) -> &'static str {
        let (count, unit) = match throughput {
            Throughput::Bytes(n) => (*n as f64, "bytes an instruction"),
            Throughput::Elements(n) => (1e6 * *n as f64, "elements a million instructions"),
            _ => (0.0, "an instruction"),
        };
        values.iter_mut().for_each(|v| *v = count / *v);
        unit
    }
    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "instructions"
    }
}
