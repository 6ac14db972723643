//! The same kernel on this virtual GPU and on ptoxide's, one host thread: a product of f32 matrices, a thread
//! an element of the result. `cargo bench -p simt --bench peer`; throughput is in floating-point operations.
//!
//! The kernel uses what ptoxide knows; the other programs of the suite it refuses.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use simt::exec::grid::{ChipLimits, Launch, Shape};
use simt::memory::Arena;
use simt::ptx::{decode::decode, parser::parse};
use std::sync::Arc;

/// `c = a · b`, square and row by row; x is the column, y the row.
const PRODUCT: &str = "
.version 8.0
.target sm_80
.address_size 64
.visible .entry product(
    .param .u64 a,
    .param .u64 b,
    .param .u64 c,
    .param .u64 n
)
{
    .reg .pred %p<2>;
    .reg .f32 %f<4>;
    .reg .b32 %r<9>;
    .reg .b64 %rd<20>;
    ld.param.u64 %rd1, [a];
    ld.param.u64 %rd2, [b];
    ld.param.u64 %rd3, [c];
    ld.param.u64 %rd4, [n];
    mov.u32 %r1, %ntid.x;
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %tid.x;
    mad.lo.s32 %r4, %r2, %r1, %r3;
    cvt.u64.u32 %rd5, %r4;
    mov.u32 %r5, %ntid.y;
    mov.u32 %r6, %ctaid.y;
    mov.u32 %r7, %tid.y;
    mad.lo.s32 %r8, %r6, %r5, %r7;
    cvt.u64.u32 %rd6, %r8;
    mul.lo.s64 %rd7, %rd6, %rd4;
    shl.b64 %rd8, %rd7, 2;
    add.s64 %rd9, %rd1, %rd8;
    shl.b64 %rd10, %rd5, 2;
    add.s64 %rd11, %rd2, %rd10;
    shl.b64 %rd12, %rd4, 2;
    mov.f32 %f1, 0f00000000;
    mov.u64 %rd13, 0;
$L__LOOP:
    ld.global.f32 %f2, [%rd9];
    ld.global.f32 %f3, [%rd11];
    fma.rn.f32 %f1, %f2, %f3, %f1;
    add.s64 %rd9, %rd9, 4;
    add.s64 %rd11, %rd11, %rd12;
    add.s64 %rd13, %rd13, 1;
    setp.ne.s64 %p1, %rd13, %rd4;
    @%p1 bra $L__LOOP;
    add.s64 %rd14, %rd7, %rd5;
    shl.b64 %rd15, %rd14, 2;
    add.s64 %rd16, %rd3, %rd15;
    st.global.f32 [%rd16], %f1;
    ret;
}
";

const N: usize = 64;
const BLOCK: u32 = 16;
const GRID: u32 = N as u32 / BLOCK;

fn inputs() -> [Vec<f32>; 2] {
    let matrix = |by: usize| (0..N * N).map(|i| (i * by % 17) as f32 - 8.0).collect();
    [matrix(5), matrix(7)]
}

/// What both have to give: small whole numbers, so that there is nothing to round.
fn expected() -> Vec<f32> {
    let [a, b] = inputs();
    let element = |i: usize| (0..N).map(|k| a[i / N * N + k] * b[k * N + i % N]).sum();
    (0..N * N).map(element).collect()
}

fn ours() -> impl FnMut() -> Vec<f32> {
    let mut arena = Arena::new(1 << 30).expect("memory");
    let module = parse(PRODUCT).expect("PTX");
    let (program, _) = decode(&module, &mut |_, _| None).expect("a program");
    let program = Arc::new(program);
    let bytes = (N * N * 4) as u64;
    let at: Vec<u64> = (0..3)
        .map(|_| arena.allocate(bytes).expect("memory"))
        .collect();
    for (at, matrix) in at.iter().zip(inputs()) {
        // SAFETY: device memory is the host's under the same address; as many numbers as it has room for.
        unsafe { std::ptr::copy_nonoverlapping(matrix.as_ptr(), *at as *mut f32, matrix.len()) };
    }
    let params: Vec<u8> = at
        .iter()
        .chain([&(N as u64)])
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let shape = Shape {
        grid: [GRID, GRID, 1],
        block: [BLOCK, BLOCK, 1],
        cluster: None,
        cooperative: false,
        dynamic_shared: 0,
    };
    let limits = ChipLimits {
        multiprocessors: 132,
        warps_per_sm: 64,
    };
    move || {
        let memory = arena.allocations();
        let launch = Launch::new(
            Arc::clone(&program),
            0,
            &shape,
            params.clone(),
            memory,
            limits,
        );
        launch.run(1).expect("no fault");
        // SAFETY: as above; the kernel wrote all of them.
        unsafe { std::slice::from_raw_parts(at[2] as *const f32, N * N) }.to_vec()
    }
}

fn ptoxides() -> impl FnMut() -> Vec<f32> {
    use ptoxide::{Argument, Context, LaunchParams};
    let mut context = Context::new_with_module(PRODUCT).expect("PTX");
    let at = [(); 3].map(|()| context.alloc::<f32>(N * N));
    for (at, matrix) in at.iter().zip(inputs()) {
        context.write(*at, &matrix);
    }
    move || {
        let launch = LaunchParams::func_id(0)
            .grid2d(GRID, GRID)
            .block2d(BLOCK, BLOCK);
        let [a, b, c] = at.map(Argument::ptr);
        context
            .run(launch, &[a, b, c, Argument::U64(N as u64)])
            .expect("no fault");
        let mut matrix = vec![0.0; N * N];
        context.read(at[2], &mut matrix);
        matrix
    }
}

fn product(c: &mut Criterion) {
    let mut group = c.benchmark_group("f32 product, 64 x 64 x 64");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(2 * (N * N * N) as u64));
    let (mut ours, mut ptoxides) = (ours(), ptoxides());
    assert_eq!(ours(), expected());
    assert_eq!(ptoxides(), expected());
    group.bench_function("simt", |b| b.iter(&mut ours));
    group.bench_function("ptoxide", |b| b.iter(&mut ptoxides));
    group.finish();
}

criterion_group!(benches, product);
criterion_main!(benches);
