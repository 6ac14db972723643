//! Writing the keys and values of 3 heads of 64 elements to a cache of 4,096 rows, for one token, a
//! batch of 64 and a prompt of 512, in bytes moved a second.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::attention::Heads;
use lrem::ops::kv_store::KvStore;
use lrem::ops::philox::PhiloxStream;

const HEADS: Heads = Heads {
    num_heads: 9,
    num_kv_heads: 3,
    head_dim: 64,
};
const CAPACITY: usize = 4096;

fn kv_store(c: &mut Criterion) {
    let device = Cpu::new(Multiply::F32);
    let mut random = PhiloxStream::new(0, 0);
    let qkv: Vec<f32> = (0..512 * HEADS.qkv_dim())
        .map(|_| random.normal())
        .collect();
    let mut keys = vec![0.0; CAPACITY * HEADS.kv_dim()];
    let mut values = keys.clone();
    let mut slots: Vec<u32> = (0..CAPACITY as u32).collect();
    random.shuffle(&mut slots);
    let mut group = c.benchmark_group("kv_store");
    for tokens in [1, 64, 512] {
        let slots = &slots[..tokens];
        group.throughput(Throughput::Bytes((16 * tokens * HEADS.kv_dim()) as u64));
        group.bench_function(format!("{tokens} tokens"), |b| {
            b.iter(|| {
                device
                    .kv_store(&HEADS, &qkv, slots, &mut keys, &mut values)
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
