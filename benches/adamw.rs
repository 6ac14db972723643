//! AdamW over three models' gates and ups, and over 32 million parameters, in flops and in bytes moved a
//! second.

mod shared;

use criterion::{Criterion, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::adamw::{AdamW, AdamWStep, AdamWTensor};
use shared::{MODELS, work};

fn adamw(c: &mut Criterion) {
    let layer = |m: &shared::Model| (m.name.to_string(), 2 * m.hidden * m.intermediate);
    for (name, len) in MODELS.iter().map(layer) {
        of(c, &name, len);
    }
    of(c, "32 M", 32 << 20);
}

fn of(c: &mut Criterion, name: &str, len: usize) {
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
    let (mut p, g) = (vec![0.1f32; len], vec![1e-3f32; len]);
    let (mut m, mut v) = (vec![1e-3f32; len], vec![1e-6f32; len]);
    let mut group = c.benchmark_group(format!("adamw/{name}"));
    group.throughput(work(16 * len, 7 * len));
    group.bench_function("update", |b| {
        b.iter(|| {
            let tensor = AdamWTensor {
                len,
                decays: true,
                parameter: &mut p,
                gradient: &g,
                first_moment: &mut m,
                second_moment: &mut v,
                copy: None,
            };
            device.adamw(&step, &mut [tensor]).unwrap()
        });
    });
    group.throughput(work(2 * len, len));
    group.bench_function("sum of squares", |b| {
        b.iter(|| device.sum_of_squares(&[(len, &g)]).unwrap());
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = adamw
}
criterion_main!(benches);
