//! Pooling 64 sequences of 24 rows of three models' width: the mean, and one row of each; in bytes moved a
//! second.

mod shared;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::pool::{Pool, PoolPlan};
use shared::{MODELS, Model, normals};

const SEQUENCES: usize = 64;
const LEN: usize = 24;

fn pool(c: &mut Criterion) {
    MODELS.iter().for_each(|model| of(c, model));
}

fn of(c: &mut Criterion, model: &Model) {
    let device = Cpu::new(Multiply::F32);
    let hidden = model.hidden;
    let (x, mut out) = (
        normals(SEQUENCES * LEN * hidden),
        normals(SEQUENCES * hidden),
    );
    let mut dx = x.clone();
    let ranges: Vec<_> = (0..SEQUENCES).map(|i| i * LEN..(i + 1) * LEN).collect();
    let last: Vec<u32> = (1..=SEQUENCES as u32).map(|i| i * LEN as u32 - 1).collect();
    let plans = [
        ("mean", PoolPlan::mean(&ranges)),
        ("last token", PoolPlan::pick(&last, 1.0)),
    ];
    let mut group = c.benchmark_group(format!("pool/{}", model.name));
    for (name, plan) in &plans {
        let (terms, rows) = (plan.rows.len() as u64, plan.len() as u64);
        let row_bytes = 4 * hidden as u64;
        let flops = 2 * hidden as u64 * terms;
        group.throughput(Throughput::ElementsAndBytes {
            elements: flops,
            bytes: row_bytes * (terms + rows),
        });
        group.bench_function(format!("{name} forward"), |b| {
            b.iter(|| device.pool(plan, hidden, &x, &mut out, false).unwrap());
        });
        group.throughput(Throughput::ElementsAndBytes {
            elements: flops,
            bytes: row_bytes * (2 * terms + rows),
        });
        group.bench_function(format!("{name} backward"), |b| {
            b.iter(|| device.pool_backward(plan, hidden, &out, &mut dx).unwrap());
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = pool
}
criterion_main!(benches);
