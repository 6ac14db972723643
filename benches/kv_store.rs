//! Writing the keys and values of three models' heads to a cache of 4,096 rows, for one token, a
//! batch of 64 and a prompt of 512, in bytes moved a second.

mod shared;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::kv_store::KvStore;
use lrem::ops::philox::PhiloxStream;
use shared::{MODELS, Model, normals};

const CAPACITY: usize = 4096;

fn kv_store(c: &mut Criterion) {
    MODELS.iter().for_each(|model| of(c, model));
}

fn of(c: &mut Criterion, model: &Model) {
    let device = Cpu::new(Multiply::F32);
    let mut random = PhiloxStream::new(0, 0);
    let heads = model.heads;
    let qkv = normals(512 * heads.qkv_dim());
    let mut keys = vec![0.0; CAPACITY * heads.kv_dim()];
    let mut values = keys.clone();
    let mut slots: Vec<u32> = (0..CAPACITY as u32).collect();
    random.shuffle(&mut slots);
    let mut group = c.benchmark_group(format!("kv_store/{}", model.name));
    for tokens in [1, 64, 512] {
        let slots = &slots[..tokens];
        group.throughput(Throughput::Bytes((16 * tokens * heads.kv_dim()) as u64));
        group.bench_function(format!("{tokens} tokens"), |b| {
            b.iter(|| {
                device
                    .kv_store(&heads, &qkv, slots, &mut keys, &mut values)
                    .unwrap()
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = kv_store
}
criterion_main!(benches);
