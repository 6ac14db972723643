//! AdamW over a million and over 32 million parameters, in flops and in bytes moved a
//! second.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::adamw::{AdamW, AdamWStep, AdamWTensor};

fn adamw(c: &mut Criterion) {
    let device = Cpu::new(Multiply::F32);
    let step = AdamWStep {
        learning_rate: 1e-4,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.01,
        step: 10,
        gradient_scale: 0.5,
    };
    let mut group = c.benchmark_group("adamw");
    for millions in [1, 32] {
        let len = millions << 20;
        let (mut p, g) = (vec![0.1f32; len], vec![1e-3f32; len]);
        let (mut m, mut v) = (vec![1e-3f32; len], vec![1e-6f32; len]);
        group.throughput(Throughput::ElementsAndBytes {
            elements: 16 * len as u64,
            bytes: 28 * len as u64,
        });
        group.bench_function(format!("update {millions} M"), |b| {
            b.iter(|| {
                let tensor = AdamWTensor {
                    len,
                    decays: true,
                    parameter: &mut p,
                    gradient: &g,
                    first_moment: &mut m,
                    second_moment: &mut v,
                };
                device.adamw(&step, &mut [tensor]).unwrap()
            });
        });
        group.throughput(Throughput::ElementsAndBytes {
            elements: 2 * len as u64,
            bytes: 4 * len as u64,
        });
        group.bench_function(format!("sum of squares {millions} M"), |b| {
            b.iter(|| device.sum_of_squares(&[(len, &g)]).unwrap());
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = adamw
}
criterion_main!(benches);
