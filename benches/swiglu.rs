//! SwiGLU over rows of 1,536 gates and ups, for one row (decoding) and for 512, in flops and in
//! bytes moved a second.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::philox::PhiloxStream;
use lrem::ops::swiglu::SwiGlu;

const INTERMEDIATE: usize = 1536;

/// Flops, and bytes of `floats` that move.
fn work(flops: usize, floats: usize) -> Throughput {
    Throughput::ElementsAndBytes {
        elements: flops as u64,
        bytes: 4 * floats as u64,
    }
}

fn swiglu(c: &mut Criterion) {
    let device = Cpu::new(Multiply::F32);
    let mut group = c.benchmark_group("swiglu");
    for rows in [1, 512] {
        let len = rows * INTERMEDIATE;
        let mut random = PhiloxStream::new(0, 0);
        let mut normals = |len: usize| -> Vec<f32> { (0..len).map(|_| random.normal()).collect() };
        let (gate_up, dout) = (normals(2 * len), normals(len));
        let (mut out, mut dgate_up) = (dout.clone(), gate_up.clone());
        group.throughput(work(4 * len, 3 * len));
        group.bench_function(format!("forward {rows}"), |b| {
            b.iter(|| {
                device
                    .swiglu(rows, INTERMEDIATE, &gate_up, &mut out)
                    .unwrap()
            });
        });
        group.throughput(work(11 * len, 5 * len));
        group.bench_function(format!("backward {rows}"), |b| {
            b.iter(|| {
                device
                    .swiglu_backward(rows, INTERMEDIATE, &gate_up, &dout, &mut dgate_up)
                    .unwrap();
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = swiglu
}
criterion_main!(benches);
