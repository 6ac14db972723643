//! InfoNCE over a batch of 256 queries and 1,024 items.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::info_nce::{InfoNce, InfoNceBatch};
use lrem::ops::philox::PhiloxStream;

fn info_nce(c: &mut Criterion) {
    let device = Cpu::new(Multiply::F32);
    let batch = InfoNceBatch {
        queries: 256,
        items: 1024,
        hidden: 576,
        temperature: 0.05,
        targets: (0..256).map(|i| i * 4).collect(),
        ..InfoNceBatch::default()
    };
    let mut random = PhiloxStream::new(0, 0);
    let mut normals = |len: usize| -> Vec<f32> { (0..len).map(|_| random.normal()).collect() };
    let (queries, items) = (normals(256 * 576), normals(1024 * 576));
    let coefficients = vec![1.0 / 256.0; 256];
    let (mut dqueries, mut ditems) = (queries.clone(), items.clone());
    let output = device.info_nce(&batch, &queries, &items).unwrap();
    let flops = 2 * (batch.queries * batch.items * batch.hidden) as u64;
    let bytes = 4 * (queries.len() + items.len()) as u64;
    let mut group = c.benchmark_group("info_nce");
    group.throughput(Throughput::ElementsAndBytes {
        elements: flops,
        bytes,
    });
    group.bench_function("forward", |b| {
        b.iter(|| device.info_nce(&batch, &queries, &items).unwrap());
    });
    group.throughput(Throughput::ElementsAndBytes {
        elements: 3 * flops,
        bytes: 2 * bytes,
    });
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
