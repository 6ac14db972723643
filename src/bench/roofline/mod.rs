//! How much of the machine each benchmarked op uses: its flops a second against what memory and
//! multipliers allow at its intensity (Williams, Waterman & Patterson, "Roofline: an insightful visual
//! performance model for multicore architectures", CACM 52(4), 2009).
//!
//! Flops and bytes are what a benchmark's `Throughput::ElementsAndBytes` says: additions,
//! multiplications and functions such as exp, each as one; and bytes that must move if every operand is
//! read once and every result written once. Operands that stay in the caches can take an op above the
//! roof of the memory.

mod peaks;

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
    /// Of an iteration.
    pub flops: f64,
    pub bytes: f64,
    pub seconds: f64,
}

impl Point {
    /// The point of a benchmark that counts both flops and bytes.
    pub fn of(measured: &Measured) -> Option<Point> {
        let positive = |count: Option<f64>| count.filter(|c| *c > 0.0);
        let precision = match &measured.id {
            id if id.contains("Int8") => Precision::Int8,
            id if id.contains("Bf16") => Precision::Bf16,
            _ => Precision::F32,
        };
        Some(Point {
            id: measured.id.clone(),
            precision,
            flops: positive(measured.work.elements)?,
            bytes: positive(measured.work.bytes)?,
            seconds: measured.median() / 1e9,
        })
    }

    /// Flops a byte.
    pub fn intensity(&self) -> f64 {
        self.flops / self.bytes
    }

    /// Its flops a second over those that the roof allows.
    pub fn share(&self, peaks: &Peaks) -> f64 {
        self.flops / self.seconds / peaks.roof(self.precision, self.intensity())
    }
}

/// The points, numbered from 1 as in [`chart`].
pub fn table(points: &[Point], peaks: &Peaks) -> Table {
    let flops = peaks.flops.iter();
    let flops: Vec<String> = flops
        .map(|(precision, peak)| format!("{:.1} GFLOP/s in {}", peak / 1e9, precision.name()))
        .collect();
    let caption = format!(
        "Peaks of this machine: {:.1} GB/s, {}.",
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
    for (number, point) in points.iter().enumerate() {
        let (precision, peak) = peaks.flops(point.precision);
        let by = match peaks.bandwidth * point.intensity() < peak {
            true => "memory",
            false => precision.name(),
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
    }
    table
}

/// The points below the roofs, with their numbers.
pub fn chart(points: &[Point], peaks: &Peaks) -> Chart {
    let intensities = || points.iter().map(Point::intensity);
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
        let mark = Mark {
            x: point.intensity(),
            y: point.flops / point.seconds / 1e9,
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
        title: "Roofline".to_string(),
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
            bandwidth: 16e9,
            flops: vec![(Precision::F32, 100e9)],
        };
        assert_eq!(Point::of(&measured("a", None)), None);
        // A flop for four bytes: memory allows 4 GFLOP/s, it does 2. And 10 a byte: 80 of 100.
        let points = [("slow", 2e6), ("linear/Int8", 80e6)];
        let points = points.map(|(id, flops)| Point::of(&measured(id, Some(flops))).unwrap());
        let table = table(&points, &peaks);
        assert_eq!(table.rows[0].join("|"), "1|slow|0.25|2.00|8.00|memory|50 %");
        assert_eq!(
            table.rows[1].join("|"),
            "2|linear/Int8|10.00|80.00|8.00|f32|80 %"
        );
        let svg = chart(&points, &peaks).svg();
        assert!(svg.contains("ops in int8") && !svg.contains("NaN"));
    }
}
