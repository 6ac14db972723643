//! SwiGLU over rows of three models' gates and ups, for one row (decoding) and for 512, in flops and in
//! bytes moved a second.

mod shared;

use criterion::{Criterion, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::swiglu::SwiGlu;
use shared::{MODELS, normals, work};

fn swiglu(c: &mut Criterion) {
    let device = Cpu::new(Multiply::F32);
    for (model, rows) in MODELS.iter().flat_map(|m| [(m, 1), (m, 512)]) {
        let mut group = c.benchmark_group(format!("swiglu/{}", model.name));
        let n = model.intermediate;
        let len = rows * n;
        let (gate_up, dout) = (normals(2 * len), normals(len));
        let (mut out, mut dgate_up) = (dout.clone(), gate_up.clone());
        group.throughput(work(4 * len, 3 * len));
        group.bench_function(format!("forward {rows}"), |b| {
            b.iter(|| device.swiglu(rows, n, &gate_up, &mut out).unwrap());
        });
        group.throughput(work(11 * len, 5 * len));
        group.bench_function(format!("backward {rows}"), |b| {
            b.iter(|| {
                device
                    .swiglu_backward(rows, n, &gate_up, &dout, &mut dgate_up)
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
