//! Linear with the shapes of a 135M model: the gate and up projections and the head in every packed
//! format, for one row (decoding), 64 and 512; and a training step's products.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::linear::{Linear, LinearShape, Weight, WeightFormat};
use lrem::ops::philox::PhiloxStream;
use std::time::Duration;

const HIDDEN: usize = 576;
const GATE_UP: usize = 2 * 1536;
const VOCAB: usize = 49_155;

fn normals(len: usize) -> Vec<f32> {
    let mut random = PhiloxStream::new(0, 0);
    (0..len).map(|_| random.normal()).collect()
}

/// Flops and bytes, where an element of the weight takes `weight` bytes.
fn work(shape: LinearShape, weight: f64) -> Throughput {
    let LinearShape { m, n, k } = shape;
    Throughput::ElementsAndBytes {
        elements: 2 * (m * n * k) as u64,
        bytes: (4 * m * (n + k)) as u64 + ((n * k) as f64 * weight) as u64,
    }
}

fn inference(c: &mut Criterion) {
    let device = Cpu::new(Multiply::F32);
    for (name, n, rows) in [
        ("gate_up", GATE_UP, vec![1, 64, 512]),
        ("head", VOCAB, vec![1, 64]),
    ] {
        let w = normals(n * HIDDEN);
        for format in [WeightFormat::F32, WeightFormat::Bf16, WeightFormat::Int8] {
            let packed = device.pack(&w, n, HIDDEN, format).unwrap();
            let weight = match format {
                WeightFormat::F32 => 4.0,
                WeightFormat::Bf16 => 2.0,
                // A byte, and a scale for 32 of them.
                WeightFormat::Int8 => 1.125,
            };
            let mut group = c.benchmark_group(format!("linear/{name}/{format:?}"));
            for &m in &rows {
                let shape = LinearShape { m, n, k: HIDDEN };
                let (x, mut y) = (normals(m * HIDDEN), vec![0.0; m * n]);
                group.throughput(work(shape, weight));
                group.bench_function(format!("{m} rows"), |b| {
                    let w = Weight::Packed(&packed);
                    b.iter(|| device.linear(shape, &x, w, None, &mut y, false).unwrap());
                });
            }
        }
    }
}

fn training(c: &mut Criterion) {
    let shape = LinearShape {
        m: 512,
        n: GATE_UP,
        k: HIDDEN,
    };
    let LinearShape { m, n, k } = shape;
    let (x, w, mut y) = (normals(m * k), normals(n * k), normals(m * n));
    for multiply in [Multiply::F32, Multiply::Bf16] {
        let device = Cpu::new(multiply);
        let mut group = c.benchmark_group(format!("linear/gate_up/training {multiply:?}"));
        group.throughput(work(shape, 4.0));
        group.bench_function("forward", |b| {
            b.iter(|| {
                let w = Weight::Master(&w);
                device.linear(shape, &x, w, None, &mut y, false).unwrap();
            });
        });
        let mut dx = vec![0.0; m * k];
        group.bench_function("backward by the input", |b| {
            b.iter(|| {
                device
                    .linear_backward_input(shape, &y, &w, &mut dx, false)
                    .unwrap()
            });
        });
        let mut dw = vec![0.0; n * k];
        // The gradient is added to.
        group.throughput(work(shape, 8.0));
        group.bench_function("backward by the weight", |b| {
            b.iter(|| {
                device
                    .linear_backward_weight(shape, &y, &x, &mut dw, None)
                    .unwrap()
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(2));
    targets = inference, training
}
criterion_main!(benches);
