//! What a machine can do at most: bytes from memory and multiply-adds a second, of the CPU on all threads.

use crate::device::cpu::{Isa, parallel};
use crate::workbench::Chip;
use std::hint::black_box;
use std::time::Instant;

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Floats of each of the triad's three buffers: 64 MiB, beyond the caches of most processors.
const FLOATS: usize = 1 << 24;
/// Floats of a task of the triad.
const PART: usize = 1 << 18;
/// Sums that do not wait for each other: two multiply-adds start in a cycle, and each takes four or five.
const CHAINS: usize = 10;
/// Multiply-adds of each chain in a measurement: some milliseconds.
const TURNS: usize = 1 << 18;
/// Tasks of each thread, so that a thread that is interrupted leaves some to the others.
const TASKS: usize = 8;
/// Measurements of each peak; the fastest counts.
const TRIALS: usize = 20;

/// What the factors of products are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    F32,
    Bf16,
    Int8,
}

impl Precision {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
        }
    }
}

/// A machine's limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Peaks {
    /// Whose they are.
    pub of: String,
    /// Bytes a second, read and written.
    pub bandwidth: f64,
    /// Additions and multiplications a second; f32 always, others where the processor has them.
    pub flops: Vec<(Precision, f64)>,
}

impl Peaks {
    /// Measures this machine's; takes a few seconds.
    pub fn measure(isa: Isa) -> Peaks {
        let mut flops = vec![(Precision::F32, products(isa, Precision::F32))];
        if isa == Isa::Avx512Bf16 {
            for precision in [Precision::Bf16, Precision::Int8] {
                flops.push((precision, products(isa, precision)));
            }
        }
        Peaks {
            of: "this machine".to_string(),
            bandwidth: triad(),
            flops,
        }
    }

    /// A GPU's, as its maker says.
    pub fn of_chip(chip: &Chip) -> Peaks {
        Peaks {
            of: format!("{}, by its maker", chip.name),
            bandwidth: chip.memory,
            flops: vec![
                (Precision::F32, chip.single),
                (Precision::Bf16, chip.tensor),
            ],
        }
    }

    /// The peak for `precision`, or for f32, which then stands in for it.
    pub fn flops(&self, precision: Precision) -> (Precision, f64) {
        let found = self.flops.iter().find(|(p, _)| *p == precision);
        *found.unwrap_or(&self.flops[0])
    }

    /// Most flops a second for work of `intensity` flops a byte: the roof (Williams, Waterman &
    /// Patterson, "Roofline", CACM 52(4), 2009).
    pub fn roof(&self, precision: Precision, intensity: f64) -> f64 {
        self.flops(precision).1.min(self.bandwidth * intensity)
    }
}

/// Seconds of the fastest of several calls.
fn fastest(mut call: impl FnMut()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        call();
        start.elapsed().as_secs_f64()
    };
    (0..TRIALS).map(time).fold(f64::INFINITY, f64::min)
}

/// Bytes a second of `a = b + s · c`, counted as the STREAM benchmark does (McCalpin, 1995): two reads
/// and a write, without what the cache reads to write a line.
fn triad() -> f64 {
    let (mut a, b, c) = (vec![0f32; FLOATS], vec![1f32; FLOATS], vec![2f32; FLOATS]);
    let factor = black_box(3.0);
    let seconds = fastest(|| {
        let parts = parallel::Rows::new(&mut a, PART);
        parallel::run(parts.count(), |i| {
            let (b, c) = (&b[i * PART..], &c[i * PART..]);
            for ((a, b), c) in parts.take(i).iter_mut().zip(b).zip(c) {
                *a = b + factor * c;
            }
        });
        black_box(&mut a);
    });
    (3 * FLOATS * size_of::<f32>()) as f64 / seconds
}

/// Additions and multiplications a second, from chains of instructions that touch no memory.
fn products(isa: Isa, precision: Precision) -> f64 {
    let lanes = match isa {
        Isa::Portable => 1,
        Isa::Avx2 => 8,
        Isa::Avx512 | Isa::Avx512Bf16 => 16,
    };
    // Products that an instruction adds up in each lane.
    let terms = match precision {
        Precision::F32 => 1,
        Precision::Bf16 => 2,
        Precision::Int8 => 4,
    };
    let tasks = TASKS * parallel::threads();
    let seconds = fastest(|| parallel::run(tasks, |_| chains(isa, precision)));
    (2 * terms * lanes * CHAINS * TURNS * tasks) as f64 / seconds
}

#[cfg(target_arch = "x86_64")]
fn chains(isa: Isa, precision: Precision) {
    // SAFETY: an `Isa` is only made by `detect` or after `available` was checked.
    unsafe {
        match (isa, precision) {
            (Isa::Portable, _) => f32_portable(),
            (Isa::Avx2, _) => f32_avx2(),
            (Isa::Avx512Bf16, Precision::Bf16) => bf16_avx512(),
            (Isa::Avx512Bf16, Precision::Int8) => int8_avx512(),
            _ => f32_avx512(),
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn chains(_: Isa, _: Precision) {
    f32_portable();
}

/// Defines a function that takes `TURNS` steps in each of `CHAINS` sums.
macro_rules! chain {
    ($(#[$meta:meta])* $name:ident, $zero:expr, $factor:expr, |$sum:ident, $f:ident| $step:expr) => {
        $(#[$meta])*
        fn $name() {
            let $f = black_box($factor);
            let mut sums = black_box([$zero; CHAINS]);
            for _ in 0..TURNS {
                for $sum in &mut sums {
                    *$sum = $step;
                }
            }
            black_box(sums);
        }
    };
}

// Sums neither overflow nor become subnormal.
chain!(f32_portable, 0.0f32, 0.5f32, |sum, f| *sum * f + f);
#[cfg(target_arch = "x86_64")]
chain!(
    #[target_feature(enable = "avx2,fma")]
    f32_avx2,
    _mm256_setzero_ps(),
    _mm256_set1_ps(0.5),
    |sum, f| _mm256_fmadd_ps(*sum, f, f)
);
#[cfg(target_arch = "x86_64")]
chain!(
    #[target_feature(enable = "avx512f")]
    f32_avx512,
    _mm512_setzero_ps(),
    _mm512_set1_ps(0.5),
    |sum, f| _mm512_fmadd_ps(*sum, f, f)
);
#[cfg(target_arch = "x86_64")]
chain!(
    #[target_feature(enable = "avx512f,avx512bf16")]
    bf16_avx512,
    _mm512_setzero_ps(),
    _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5), _mm512_set1_ps(0.5)),
    |sum, f| _mm512_dpbf16_ps(*sum, f, f)
);
#[cfg(target_arch = "x86_64")]
chain!(
    #[target_feature(enable = "avx512f,avx512vnni")]
    int8_avx512,
    _mm512_setzero_si512(),
    _mm512_set1_epi8(1),
    |sum, f| _mm512_dpbusd_epi32(*sum, f, f)
);

#[cfg(test)]
mod tests {
    use super::{Peaks, Precision};

    #[test]
    fn the_roof_is_the_lower_of_two_limits() {
        let peaks = Peaks {
            of: "a machine".into(),
            bandwidth: 10.0,
            flops: vec![(Precision::F32, 100.0), (Precision::Int8, 400.0)],
        };
        assert_eq!(peaks.roof(Precision::F32, 2.0), 20.0);
        assert_eq!(peaks.roof(Precision::F32, 50.0), 100.0);
        assert_eq!(peaks.roof(Precision::Int8, 50.0), 400.0);
        // No bf16 instructions: f32 does the work.
        assert_eq!(peaks.flops(Precision::Bf16), (Precision::F32, 100.0));
    }
}
