//! InfoNCE over a batch of 256 queries and 1,024 items in three models' dimensions.

mod shared;

use criterion::{Criterion, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::info_nce::{InfoNce, InfoNceBatch};
use shared::{MODELS, Model, normals, work};

fn info_nce(c: &mut Criterion) {
    MODELS.iter().for_each(|model| of(c, model));
}

fn of(c: &mut Criterion, model: &Model) {
    let device = Cpu::new(Multiply::F32);
    let hidden = model.hidden;
    let batch = InfoNceBatch {
        queries: 256,
        items: 1024,
        hidden,
        temperature: 0.05,
        targets: (0..256).map(|i| i * 4).collect(),
        ..InfoNceBatch::default()
    };
    let (queries, items) = (normals(256 * hidden), normals(1024 * hidden));
    let coefficients = vec![1.0 / 256.0; 256];
    let (mut dqueries, mut ditems) = (queries.clone(), items.clone());
    let output = device.info_nce(&batch, &queries, &items).unwrap();
    let flops = 2 * batch.queries * batch.items * hidden;
    let floats = queries.len() + items.len();
    let mut group = c.benchmark_group(format!("info_nce/{}", model.name));
    group.throughput(work(flops, floats));
    group.bench_function("forward", |b| {
        b.iter(|| device.info_nce(&batch, &queries, &items).unwrap());
    });
    group.throughput(work(3 * flops, 2 * floats));
    group.bench_function("backward", |b| {
        b.iter(|| {
            device
                .info_nce_backward(
                    &batch,
                    &queries,
                    &items,
                    &output,
                    &coefficients,
                    &mut dqueries,
                    &mut ditems,
                )
                .unwrap();
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = info_nce
}
criterion_main!(benches);
