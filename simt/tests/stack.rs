//! Local memory that functions take while they run: `alloca`, `stacksave`, `stackrestore`.

mod support;

use cudarc::driver::{LaunchConfig, PushKernelArg};
use support::{Random, kernel, stream};

/// `turn` writes the digits of its argument, in the base of the second, into memory of just their number,
/// and reads them the other way; it calls itself once on what that gives, so that two of its frames hold
/// memory. The entry calls it a thousand times, and keeps memory of its own meanwhile.
const TEXT: &str = ".version 8.0
.target sm_80
.address_size 64
.func (.param .b32 result) turn(.param .b32 number, .param .b32 base, .param .b32 deep)
{
.reg .pred %p<4>; .reg .b16 %h<4>; .reg .b32 %r<16>; .reg .b64 %d<8>;
ld.param.b32 %r1, [number];
ld.param.b32 %r2, [base];
ld.param.b32 %r9, [deep];
mov.u32 %r3, 0;
mov.u32 %r4, %r1;
COUNT:
setp.eq.u32 %p1, %r4, 0;
@%p1 bra COUNTED;
add.u32 %r3, %r3, 1;
div.u32 %r4, %r4, %r2;
bra COUNT;
COUNTED:
cvt.u64.u32 %d1, %r3;
alloca.u64 %d2, %d1, 16;
cvta.local.u64 %d2, %d2;
mov.u64 %d3, %d2;
WRITE:
setp.eq.u32 %p1, %r1, 0;
@%p1 bra WRITTEN;
rem.u32 %r5, %r1, %r2;
cvt.u16.u32 %h1, %r5;
st.u8 [%d3], %h1;
add.u64 %d3, %d3, 1;
div.u32 %r1, %r1, %r2;
bra WRITE;
WRITTEN:
mov.u32 %r6, 0;
setp.eq.u32 %p2, %r9, 0;
@%p2 bra READ;
mov.u32 %r7, 0;
{
.param .b32 a; .param .b32 b; .param .b32 c; .param .b32 r;
st.param.b32 [a], %r3; st.param.b32 [b], 2; st.param.b32 [c], 0;
call (r), turn, (a, b, c);
ld.param.b32 %r6, [r];
}
READ:
setp.eq.u64 %p1, %d2, %d3;
@%p1 bra DONE;
ld.u8 %h2, [%d2];
cvt.u32.u16 %r8, %h2;
mad.lo.u32 %r6, %r6, %r2, %r8;
add.u64 %d2, %d2, 1;
bra READ;
DONE:
st.param.b32 [result], %r6;
ret;
}
.visible .entry k(.param .u64 in, .param .u64 out)
{
.reg .pred %p<4>; .reg .b32 %r<16>; .reg .b64 %d<8>;
ld.param.u64 %d1, [in];
ld.param.u64 %d2, [out];
mov.u32 %r1, %tid.x;
mul.wide.u32 %d3, %r1, 4;
add.u64 %d1, %d1, %d3;
add.u64 %d2, %d2, %d3;
ld.global.u32 %r2, [%d1];
and.b32 %r3, %r1, 7;
add.u32 %r3, %r3, 2;
stacksave.u64 %d4;
alloca.u64 %d5, 64;
st.local.u32 [%d5+60], %r2;
stackrestore.u64 %d4;
alloca.u64 %d6, 64;
setp.eq.u64 %p1, %d5, %d6;
mov.u32 %r5, 0;
mov.u32 %r6, 0;
NEXT:
{
.param .b32 a; .param .b32 b; .param .b32 c; .param .b32 r;
add.u32 %r7, %r2, %r6;
st.param.b32 [a], %r7; st.param.b32 [b], %r3; st.param.b32 [c], 1;
call (r), turn, (a, b, c);
ld.param.b32 %r8, [r];
}
mad.lo.u32 %r5, %r5, 3, %r8;
add.u32 %r6, %r6, 1;
setp.lt.u32 %p2, %r6, 1000;
@%p2 bra NEXT;
ld.local.u32 %r9, [%d6+60];
xor.b32 %r5, %r5, %r9;
@!%p1 mov.u32 %r5, 0;
st.global.u32 [%d2], %r5;
ret;
}
";

fn turn(number: u32, base: u32, deep: bool) -> u32 {
    let mut digits = Vec::new();
    let mut rest = number;
    while rest != 0 {
        digits.push(rest % base);
        rest /= base;
    }
    let start = if deep {
        turn(digits.len() as u32, 2, false)
    } else {
        0
    };
    let join = |all: u32, digit: &u32| all.wrapping_mul(base).wrapping_add(*digit);
    digits.iter().fold(start, join)
}

#[test]
fn memory_of_functions_that_run() {
    let mut random = Random::new();
    let stream = stream();
    let function = kernel(&stream, TEXT, "k");
    let input: Vec<u32> = (0..96)
        .map(|_| random.bits() as u32 >> random.below(32))
        .collect();
    let there = stream.clone_htod(&input).unwrap();
    let mut out = stream.clone_htod(&[0xdead_beefu32; 96]).unwrap();
    let config = LaunchConfig {
        grid_dim: (1, 1, 1),
        block_dim: (96, 1, 1),
        shared_mem_bytes: 0,
    };
    let mut launch = stream.launch_builder(&function);
    launch.arg(&there).arg(&mut out);
    // SAFETY: the arguments are those of the kernel.
    unsafe { launch.launch(config) }.unwrap();
    let out = stream.clone_dtoh(&out).unwrap();
    for (t, number) in input.iter().enumerate() {
        let base = t as u32 % 8 + 2;
        let sum = (0..1000).fold(0u32, |sum, round| {
            let turned = turn(number.wrapping_add(round), base, true);
            sum.wrapping_mul(3).wrapping_add(turned)
        });
        assert_eq!(out[t], sum ^ number, "thread {t}: {number:#x}");
    }
}
