//! Linear with the shapes of three models: the gate and up projections, and of the smallest the head, in
//! every packed format, for one row (decoding), 64 and 512; those of the smallest gated, by one op and by two; and a
//! training step's products.

mod shared;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::linear::{Linear, LinearShape, Weight, WeightFormat};
use lrem::ops::swiglu::SwiGlu;
use shared::{MODELS, Model, normals, weight_bytes};
use std::time::Duration;

/// Of the smallest model.
const VOCAB: usize = 49_155;

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
    let gate_up = |m: &Model| (format!("{}/gate_up", m.name), m.hidden, 2 * m.intermediate);
    let head = |m: &Model| (format!("{}/head", m.name), m.hidden, VOCAB);
    let weights = MODELS.iter().map(gate_up).chain([head(&MODELS[0])]);
    for (name, k, n) in weights {
        let rows = if n == VOCAB {
            &[1, 64][..]
        } else {
            &[1, 64, 512]
        };
        let w = normals(n * k);
        for format in WeightFormat::ALL {
            let packed = device.pack(&w, n, k, format).unwrap();
            let weight = weight_bytes(format);
            let mut group = c.benchmark_group(format!("linear/{name}/{format:?}"));
            for &m in rows {
                let shape = LinearShape { m, n, k };
                let (x, mut y) = (normals(m * k), vec![0.0; m * n]);
                group.throughput(work(shape, weight));
                group.bench_function(format!("{m} rows"), |b| {
                    let w = Weight::Packed(&packed);
                    b.iter(|| device.linear(shape, &x, w, None, &mut y, false).unwrap());
                });
            }
        }
    }
}

/// Gates and ups of the smallest model and what they make, by one op and by two.
fn gated(c: &mut Criterion) {
    let (device, model) = (Cpu::new(Multiply::F32), &MODELS[0]);
    let (k, n) = (model.hidden, model.intermediate);
    let w = normals(2 * n * k);
    for format in [WeightFormat::F32, WeightFormat::Bf16, WeightFormat::Int8] {
        let packed = device.pack(&w, 2 * n, k, format).unwrap();
        let w = Weight::Packed(&packed);
        let mut group = c.benchmark_group(format!("linear/{}/gated/{format:?}", model.name));
        for m in [1, 64, 512, 2048] {
            let shape = LinearShape { m, n, k };
            let (x, mut y) = (normals(m * k), vec![0.0; m * n]);
            group.throughput(Throughput::Elements(2 * (2 * m * n * k) as u64));
            group.bench_function(format!("{m} rows"), |b| {
                b.iter(|| device.linear_swiglu(shape, &x, w, None, &mut y).unwrap());
            });
            let (both, mut gate_up) = (shape.gate_up(), vec![0.0; 2 * m * n]);
            group.bench_function(format!("{m} rows by two ops"), |b| {
                b.iter(|| {
                    let out = &mut gate_up;
                    device.linear(both, &x, w, None, out, false).unwrap();
                    device.swiglu(m, n, &gate_up, &mut y).unwrap();
                });
            });
        }
    }
}

fn training(c: &mut Criterion) {
    MODELS.iter().for_each(|model| steps(c, model));
}

fn steps(c: &mut Criterion, model: &Model) {
    let shape = LinearShape {
        m: 512,
        n: 2 * model.intermediate,
        k: model.hidden,
    };
    let LinearShape { m, n, k } = shape;
    let (x, w, mut y) = (normals(m * k), normals(n * k), normals(m * n));
    for multiply in [Multiply::F32, Multiply::Bf16] {
        let device = Cpu::new(multiply);
        let mut group = c.benchmark_group(format!(
            "linear/{}/gate_up/training {multiply:?}",
            model.name
        ));
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
                    .linear_backward_input(shape, &y, Weight::Master(&w), &mut dx, false)
                    .unwrap()
            });
        });
        let mut dw = vec![0.0; n * k];
        // The gradient is added to.
        group.throughput(work(shape, 8.0));
        group.bench_function("backward by the weight", |b| {
            b.iter(|| {
                device
                    .linear_backward_weight(shape, &y, &x, &mut dw, None, true)
                    .unwrap()
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(2));
    targets = inference, gated, training
}
criterion_main!(benches);
