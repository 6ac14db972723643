//! One kernel an instruction, a thread for each three drawn operands.

use crate::reference::{BF16, F16, F32, F64, Spec};
use crate::support::{self, Random};
use cudarc::driver::{LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;
use std::fmt::Write;

/// Threads of a kernel.
const THREADS: usize = 512;

/// What operands look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any bits, small numbers, those at the borders of types.
    Integer,
    F16,
    Bf16,
    F32,
    F64,
}

/// Name, bits, operands and format of the floating-point types.
pub const FLOATS: [(&str, u32, Kind, Spec); 4] = [
    ("f16", 16, Kind::F16, F16),
    ("bf16", 16, Kind::Bf16, BF16),
    ("f32", 32, Kind::F32, F32),
    ("f64", 64, Kind::F64, F64),
];

/// An instruction of `%d` from `%a`, `%b`, `%c`.
pub struct Case {
    /// Its text; more than one are a sequence.
    text: String,
    /// Bits of the four registers.
    widths: [u32; 4],
    kind: Kind,
    expected: Expected,
}

/// The result of three operands, each in the low bits; none where the ISA leaves it open.
type Expected = Box<dyn Fn([u64; 3]) -> Option<u64>>;

impl Case {
    pub fn new(
        text: impl Into<String>,
        widths: [u32; 4],
        kind: Kind,
        expected: impl Fn([u64; 3]) -> Option<u64> + 'static,
    ) -> Case {
        Case {
            text: text.into(),
            widths,
            kind,
            expected: Box::new(expected),
        }
    }
}

/// Bits below `width`.
pub fn mask(width: u32) -> u64 {
    u64::MAX >> (64 - width)
}

impl Kind {
    fn draw(self, random: &mut Random, width: u32) -> u64 {
        let any = random.bits();
        let sign = random.bits() << 63;
        let which = random.below(8);
        let float = |bits: u32, fraction: u32, bias: u64| {
            let sign = sign >> (64 - bits);
            let one = bias << fraction;
            let edges = [
                0,
                1,
                1 << fraction,
                one,
                mask(bits - 1) ^ mask(fraction),
                one + 1,
            ];
            match which {
                0..3 => any & mask(bits),
                // Near 1, so that operands meet.
                3..6 => sign | (one - (2 << fraction) + any % (4 << fraction)),
                _ => sign | edges[(any % 6) as usize],
            }
        };
        let drawn = match self {
            Kind::Integer => match which {
                0..4 => any,
                4 => any % 40,
                5 => (any % 40).wrapping_neg(),
                _ => (mask(width) >> (any % 3)).wrapping_add(any >> 32 & 1),
            },
            // Two in a register of 32 bits.
            Kind::F16 if width == 32 => self.draw(random, 16) << 16 | self.draw(random, 16),
            Kind::Bf16 if width == 32 => self.draw(random, 16) << 16 | self.draw(random, 16),
            Kind::F16 => float(16, 10, 15),
            Kind::Bf16 => float(16, 7, 127),
            Kind::F32 => float(32, 23, 127),
            Kind::F64 => float(64, 52, 1023),
        };
        drawn & mask(width)
    }
}

fn program(cases: &[Case]) -> String {
    let mut text = ".version 8.7\n.target sm_90\n.address_size 64\n".to_string();
    for (index, case) in cases.iter().enumerate() {
        let [d, a, b, c] = case.widths;
        let instruction = &case.text;
        write!(
            text,
            ".visible .entry k{index}(.param .u64 in, .param .u64 out)\n{{\n\
             .reg .pred %p, %q;\n.reg .b{d} %d;\n.reg .b{a} %a;\n.reg .b{b} %b;\n.reg .b{c} %c;\n\
             .reg .b32 %tid, %block, %size, %x;\n.reg .b64 %in, %out, %at, %y;\n.shared .align 8 .b8 s[4096];\n\
             mov.u32 %tid, %tid.x;\nmov.u32 %block, %ctaid.x;\nmov.u32 %size, %ntid.x;\n\
             mad.lo.u32 %block, %block, %size, %tid;\n\
             ld.param.u64 %in, [in];\nld.param.u64 %out, [out];\n\
             mad.wide.u32 %in, %block, 24, %in;\nmad.wide.u32 %out, %block, 8, %out;\n\
             ld.global.b{a} %a, [%in];\nld.global.b{b} %b, [%in+8];\nld.global.b{c} %c, [%in+16];\n\
             {instruction}\nst.global.b{d} [%out], %d;\nret;\n}}\n"
        )
        .expect("a text");
    }
    text
}

/// Runs every case on fresh operands. Bits that a result does not have stay as they were.
pub fn check(cases: &[Case]) {
    let stream = support::stream();
    let module = stream.context().load_module(Ptx::from_src(program(cases)));
    let module = module.unwrap_or_else(|e| panic!("{e}"));
    let mut random = Random::new();
    for (index, case) in cases.iter().enumerate() {
        let [d, a, b, c] = case.widths;
        let drawn = (0..THREADS).map(|_| [a, b, c].map(|width| case.kind.draw(&mut random, width)));
        let operands: Vec<[u64; 3]> = drawn.collect();
        let poison = random.bits();
        let input = stream.clone_htod(operands.as_flattened()).expect("memory");
        let mut output = stream.clone_htod(&[poison; THREADS]).expect("memory");
        let function = module
            .load_function(&format!("k{index}"))
            .expect("an entry");
        let config = LaunchConfig {
            grid_dim: (2, 1, 1),
            block_dim: (THREADS as u32 / 2, 1, 1),
            shared_mem_bytes: 0,
        };
        let mut launch = stream.launch_builder(&function);
        // SAFETY: each thread reads its operands and writes its result.
        unsafe { launch.arg(&input).arg(&mut output).launch(config) }.expect("a launch");
        let found = stream.clone_dtoh(&output).expect("a copy");
        let mut known = 0;
        for (&operands, &found) in operands.iter().zip(&found) {
            let Some(expected) = (case.expected)(operands) else {
                continue;
            };
            known += 1;
            let (text, rest) = (&case.text, mask(d) ^ u64::MAX);
            assert_eq!(
                found & rest,
                poison & rest,
                "{text} wrote more than {d} bits"
            );
            let found = found & mask(d);
            assert_eq!(
                found, expected,
                "{text} of {operands:#x?}: {found:#x} for {expected:#x}"
            );
        }
        assert!(
            known > THREADS / 20,
            "{}: only {known} results are known",
            case.text
        );
    }
}
