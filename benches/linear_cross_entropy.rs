//! Linear + cross-entropy of 128 tokens over three models' vocabularies.

mod shared;

use criterion::{Criterion, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::linear::{LinearShape, Weight};
use lrem::ops::linear_cross_entropy::LinearCrossEntropy;
use shared::{MODELS, Model, normals, plain, work};

const TOKENS: usize = 128;

fn linear_cross_entropy(c: &mut Criterion) {
    MODELS.iter().for_each(|model| of(c, model));
}

fn of(c: &mut Criterion, model: &Model) {
    let shape = LinearShape {
        m: TOKENS,
        n: model.vocab,
        k: model.hidden,
    };
    let (hidden, w) = (normals(shape.m * shape.k), plain(shape.n * shape.k));
    let targets: Vec<u32> = (0..shape.m as u32).map(|i| i * 180).collect();
    let coefficients = vec![1.0 / shape.m as f32; shape.m];
    let (mut nll, mut lse) = (vec![0.0; shape.m], vec![0.0; shape.m]);
    let (mut dhidden, mut dw) = (vec![0.0; hidden.len()], vec![0.0; w.len()]);
    let flops = 2 * shape.m * shape.n * shape.k;
    let mut group = c.benchmark_group(format!("linear_cross_entropy/{}", model.name));
    for multiply in [Multiply::F32, Multiply::Bf16] {
        let device = Cpu::new(multiply);
        group.throughput(work(flops, hidden.len() + w.len()));
        group.bench_function(format!("forward {multiply:?}"), |b| {
            b.iter(|| {
                device
                    .linear_cross_entropy(
                        shape,
                        &hidden,
                        Weight::Master(&w),
                        &targets,
                        &mut nll,
                        &mut lse,
                    )
                    .unwrap();
            });
        });
        group.throughput(work(3 * flops, 2 * hidden.len() + 3 * w.len()));
        group.bench_function(format!("backward {multiply:?}"), |b| {
            b.iter(|| {
                device
                    .linear_cross_entropy_backward(
                        shape,
                        &hidden,
                        Weight::Master(&w),
                        &targets,
                        &lse,
                        &coefficients,
                        &mut dhidden,
                        &mut dw,
                        true,
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
