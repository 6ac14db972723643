//! Linear + cross-entropy at the size of a training step of a 135M model.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::linear::LinearShape;
use lrem::ops::linear_cross_entropy::LinearCrossEntropy;
use lrem::ops::philox::PhiloxStream;

fn linear_cross_entropy(c: &mut Criterion) {
    let shape = LinearShape {
        m: 272,
        n: 49_155,
        k: 576,
    };
    let mut random = PhiloxStream::new(0, 0);
    let mut normals = |len: usize| -> Vec<f32> { (0..len).map(|_| random.normal()).collect() };
    let (hidden, w) = (normals(shape.m * shape.k), normals(shape.n * shape.k));
    let targets: Vec<u32> = (0..shape.m as u32).map(|i| i * 180).collect();
    let coefficients = vec![1.0 / shape.m as f32; shape.m];
    let (mut nll, mut lse) = (vec![0.0; shape.m], vec![0.0; shape.m]);
    let (mut dhidden, mut dw) = (vec![0.0; hidden.len()], vec![0.0; w.len()]);
    let flops = 2 * (shape.m * shape.n * shape.k) as u64;
    let bytes = 4 * (hidden.len() + w.len()) as u64;
    let mut group = c.benchmark_group("linear_cross_entropy");
    for multiply in [Multiply::F32, Multiply::Bf16] {
        let device = Cpu::new(multiply);
        group.throughput(Throughput::ElementsAndBytes {
            elements: flops,
            bytes,
        });
        group.bench_function(format!("forward {multiply:?}"), |b| {
            b.iter(|| {
                device
                    .linear_cross_entropy(shape, &hidden, &w, &targets, &mut nll, &mut lse)
                    .unwrap();
            });
        });
        group.throughput(Throughput::ElementsAndBytes {
            elements: 3 * flops,
            bytes: 4 * (2 * hidden.len() + 3 * w.len()) as u64,
        });
        group.bench_function(format!("backward {multiply:?}"), |b| {
            b.iter(|| {
                device
                    .linear_cross_entropy_backward(
                        shape,
                        &hidden,
                        &w,
                        &targets,
                        &lse,
                        &coefficients,
                        &mut dhidden,
                        &mut dw,
                    )
                    .unwrap();
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = linear_cross_entropy
}
criterion_main!(benches);
