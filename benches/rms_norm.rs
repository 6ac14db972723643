//! RMSNorm over rows of three models' width, for one row (decoding) and for 512, in flops and in bytes
//! moved a second.

mod shared;

use criterion::{Criterion, criterion_group, criterion_main};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::rms_norm::{NormShape, RmsNorm};
use shared::{MODELS, normals, work};

fn rms_norm(c: &mut Criterion) {
    let device = Cpu::new(Multiply::F32);
    for (model, rows) in MODELS.iter().flat_map(|m| [(m, 1), (m, 512)]) {
        let mut group = c.benchmark_group(format!("rms_norm/{}", model.name));
        let shape = NormShape {
            rows,
            dim: model.hidden,
            eps: 1e-5,
        };
        let len = rows * shape.dim;
        let (x, delta, w) = (normals(len), normals(len), normals(shape.dim));
        let (mut sum, mut y, mut dw) = (x.clone(), x.clone(), w.clone());
        group.throughput(work(4 * len, 2 * len));
        group.bench_function(format!("plain {rows}"), |b| {
            b.iter(|| device.rms_norm(shape, &x, &w, &mut y).unwrap());
        });
        group.throughput(work(5 * len, 4 * len));
        group.bench_function(format!("with the residual {rows}"), |b| {
            b.iter(|| {
                device
                    .add_rms_norm(shape, &x, &delta, &w, &mut sum, &mut y)
                    .unwrap()
            });
        });
        group.throughput(work(12 * len, 4 * len));
        group.bench_function(format!("backward {rows}"), |b| {
            b.iter(|| {
                // Gradients add up, and would grow without bound.
                y.fill(0.0);
                dw.fill(0.0);
                device
                    .rms_norm_backward(shape, &x, &w, &delta, &mut y, &mut dw)
                    .unwrap();
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = rms_norm
}
criterion_main!(benches);
