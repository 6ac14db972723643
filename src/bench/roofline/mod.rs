//! How much of the machine each benchmarked op uses: its flops a second against what memory and
//! multipliers allow at its intensity (Williams, Waterman & Patterson, "Roofline: an insightful visual
//! performance model for multicore architectures", CACM 52(4), 2009).
//!
//! Flops are additions, multiplications and functions such as exp, each as one; bytes those that must move if
//! every operand is read once and every result written once: of a benchmark on the CPU what its `Throughput`
//! says, of a kernel what its contract does. Operands that stay in the caches can take an op above the roof of
//! the memory.

mod gpu;
mod peaks;

pub use gpu::Load;
pub use peaks::{Peaks, Precision};

use super::criterion::Measured;
use crate::report::{Axis, Chart, Mark, Series, Table};

/// An op on the roofline.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Criterion's full name of the benchmark.
    pub id: String,
    /// Of the products, as the name says; f32 where it says nothing.
    pub precision: Precision,
    /// Of an iteration; 0 for an op that only moves bytes.
    pub flops: f64,
    pub bytes: f64,
    pub seconds: f64,
    /// Where they were measured on a GPU that the model of kernels knows, what it says.
    pub predicted: Option<f64>,
}

impl Point {
    /// The point of a benchmark that counts bytes.
    pub fn of(measured: &Measured) -> Option<Point> {
        let precision = match &measured.id {
            // Inputs are multiplied in int8 by weights of either.
            id if id.contains("Int8") || id.contains("Int4") => Precision::Int8,
            id if id.contains("Bf16") => Precision::Bf16,
            _ => Precision::F32,
        };
        Some(Point {
            id: measured.id.clone(),
            precision,
            flops: measured.work.elements.unwrap_or(0.0),
            bytes: measured.work.bytes.filter(|bytes| *bytes > 0.0)?,
            seconds: measured.median() / 1e9,
            predicted: None,
        })
    }

    /// Flops a byte.
    pub fn intensity(&self) -> f64 {
        self.flops / self.bytes
    }

    /// The least time that its flops and its bytes allow, over its time.
    pub fn share(&self, peaks: &Peaks) -> f64 {
        self.work_seconds(peaks).max(self.bytes / peaks.bandwidth) / self.seconds
    }

    /// The least time of its flops.
    fn work_seconds(&self, peaks: &Peaks) -> f64 {
        self.flops / peaks.flops(self.precision).1
    }
}

/// The points, numbered from 1 as in [`chart`].
pub fn table(points: &[Point], peaks: &Peaks) -> Table {
    let flops = peaks.flops.iter();
    let flops: Vec<String> = flops
        .map(|(precision, peak)| format!("{:.1} GFLOP/s in {}", peak / 1e9, precision.name()))
        .collect();
    let caption = format!(
        "Peaks of {}: {:.1} GB/s, {}.",
        peaks.of,
        peaks.bandwidth / 1e9,
        flops.join(", ")
    );
    let header = [
        "",
        "benchmark",
        "flops/byte",
        "GFLOP/s",
        "GB/s",
        "roof by",
        "share",
    ];
    let mut table = Table::new(&caption, &header);
    let predicted = points.iter().any(|point| point.predicted.is_some());
    if predicted {
        let more = ["us", "predicted us", "measured / predicted"];
        table.header.extend(more.map(String::from));
    }
    for (number, point) in points.iter().enumerate() {
        let by = match point.work_seconds(peaks) < point.bytes / peaks.bandwidth {
            true => "memory",
            false => peaks.flops(point.precision).0.name(),
        };
        table.rows.push(vec![
            (number + 1).to_string(),
            point.id.clone(),
            format!("{:.2}", point.intensity()),
            format!("{:.2}", point.flops / point.seconds / 1e9),
            format!("{:.2}", point.bytes / point.seconds / 1e9),
            by.to_string(),
            format!("{:.0} %", 100.0 * point.share(peaks)),
        ]);
        if let (true, Some(row)) = (predicted, table.rows.last_mut()) {
            row.push(format!("{:.2}", 1e6 * point.seconds));
            let said = point.predicted;
            row.push(said.map_or(String::new(), |s| format!("{:.2}", 1e6 * s)));
            row.push(said.map_or(String::new(), |s| format!("{:.2}", point.seconds / s)));
        }
    }
    table
}

/// The points below the roofs, with their numbers. One that only moves bytes stands at the left edge, as far
/// below the roof of the memory as its bytes a second are below the memory's.
pub fn chart(points: &[Point], peaks: &Peaks) -> Chart {
    let intensities = || points.iter().map(Point::intensity).filter(|x| *x > 0.0);
    // Every roof's edge is in the picture, whatever the points are.
    let edges = || peaks.flops.iter().map(|(_, peak)| peak / peaks.bandwidth);
    let low = intensities().chain(edges()).fold(f64::INFINITY, f64::min) / 2.0;
    let high = intensities().chain(edges()).fold(0.0, f64::max) * 2.0;
    let corner = |x: f64, precision| Mark {
        x,
        y: peaks.roof(precision, x) / 1e9,
        ..Mark::default()
    };
    let roofs = peaks.flops.iter().map(|&(precision, peak)| Series {
        name: format!("roof in {}", precision.name()),
        marks: [low, peak / peaks.bandwidth, high]
            .map(|x| corner(x, precision))
            .to_vec(),
        line: true,
        dots: false,
    });
    let mark = |(number, point): (usize, &Point)| {
        let x = match point.flops > 0.0 {
            true => point.intensity(),
            false => low,
        };
        let mark = Mark {
            x,
            y: x * point.bytes / point.seconds / 1e9,
            label: (number + 1).to_string(),
            filled: true,
            ..Mark::default()
        };
        (point.precision, mark)
    };
    let marks: Vec<(Precision, Mark)> = points.iter().enumerate().map(mark).collect();
    let ops = [Precision::F32, Precision::Bf16, Precision::Int8].map(|precision| Series {
        name: format!("ops in {}", precision.name()),
        marks: marks
            .iter()
            .filter(|(p, _)| *p == precision)
            .map(|(_, mark)| mark.clone())
            .collect(),
        line: false,
        dots: true,
    });
    let axis = |label: &str| Axis {
        label: label.to_string(),
        logarithmic: true,
    };
    Chart {
        title: format!("Roofline of {}", peaks.of),
        x: axis("flops a byte"),
        y: axis("GFLOP/s"),
        series: roofs
            .chain(ops.into_iter().filter(|s| !s.marks.is_empty()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Peaks, Point, Precision, chart, table};
    use crate::bench::criterion::{Measured, Work};

    fn measured(id: &str, elements: Option<f64>) -> Measured {
        Measured {
            id: id.to_string(),
            work: Work {
                elements,
                bytes: Some(8e6),
            },
            times: vec![1e6],
        }
    }

    #[test]
    fn an_op_is_judged_by_the_limit_that_it_meets() {
        let peaks = Peaks {
            of: "a machine".into(),
            bandwidth: 16e9,
            flops: vec![(Precision::F32, 100e9)],
        };
        // Bytes alone: 8 of 16 GB/s.
        let moved = Point::of(&measured("moved", None)).unwrap();
        assert_eq!((moved.flops, moved.share(&peaks)), (0.0, 0.5));
        // A flop for four bytes: memory allows 4 GFLOP/s, it does 2. And 10 a byte: 80 of 100.
        let points = [("slow", 2e6), ("linear/Int8", 80e6)];
        let points = points.map(|(id, flops)| Point::of(&measured(id, Some(flops))).unwrap());
        let points = [points.to_vec(), vec![moved]].concat();
        let table = table(&points, &peaks);
        assert_eq!(table.rows[0].join("|"), "1|slow|0.25|2.00|8.00|memory|50 %");
        assert_eq!(
            table.rows[1].join("|"),
            "2|linear/Int8|10.00|80.00|8.00|f32|80 %"
        );
        assert_eq!(
            table.rows[2].join("|"),
            "3|moved|0.00|0.00|8.00|memory|50 %"
        );
        assert_eq!(table.header.len(), 7);
        let known = Point {
            predicted: Some(5e-4),
            ..points[0].clone()
        };
        let known = super::table(&[known, points[1].clone()], &peaks);
        assert_eq!(
            known.header[7..],
            ["us", "predicted us", "measured / predicted"]
        );
        assert_eq!(known.rows[0][7..], ["1000.00", "500.00", "2.00"]);
        assert_eq!(known.rows[1][7..], ["1000.00", "", ""]);
        let svg = chart(&points, &peaks).svg();
        assert!(svg.contains("ops in int8") && !svg.contains("NaN"));
    }
}
