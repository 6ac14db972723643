//! What is no PTX, or no PTX of this machine, is refused with its line; nothing that a text says makes
//! the front panic.

#[path = "support/fuzz.rs"]
mod fuzz;
#[path = "support/instructions.rs"]
mod instructions;

use fuzz::cases;
use instructions::LONG;
use proptest::prelude::*;
use proptest::sample::Index;
use simt::ptx::{Error, decode::decode, parser::parse};
use std::sync::LazyLock;

fn load(text: &str) -> Result<(), Error> {
    let module = parse(text)?;
    let mut allocate = |bytes: u64, _| (bytes < 1 << 30).then_some(1 << 20);
    decode(&module, &mut allocate).map(drop)
}

fn body(instructions: &str) -> String {
    format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 p)\n{{\n\
         .reg .pred %p<4>;\n.reg .b16 %h<4>;\n.reg .b32 %r<8>;\n.reg .b64 %d<8>;\n{instructions}\nret;\n}}\n"
    )
}

#[test]
fn refusals_name_opcode_and_line() {
    for (instruction, part) in [
        (
            "frobnicate.u32 %r1, %r2;",
            "frobnicate: unknown instruction",
        ),
        ("add.u33 %r1, %r2, %r3;", "add: "),
        (
            "add.u32.wobble %r1, %r2, %r3;",
            "add: unsupported modifier .wobble",
        ),
        ("add.u32 %r1, %r2;", "add: too few operands"),
        ("add.u32 %r1, %r2, %r3, %r4;", "add: too many operands"),
        (
            "add.u32 %r1, %r2, %d3;",
            "add: a register of type .b64 for .u32",
        ),
        ("add.u32 %r1, %r2, %r8;", "add: unknown name %r8"),
        ("bra NOWHERE;", "bra: unknown label NOWHERE"),
        (
            "ld.global.v3.u32 %r1, [%d1];",
            "ld: unsupported modifier .v3",
        ),
        ("mul.u32 %r1, %r2, %r3;", "mul: "),
        ("sin.f32 %r1, %r2;", "sin: "),
        ("@%r1 mov.u32 %r1, %r2;", "%r1 is no predicate"),
        (
            "tcgen05.wait::ld.sync.aligned;",
            "tcgen05: unknown instruction",
        ),
        (
            "cp.async.ca.shared.global [%r1], [%d1], 5;",
            "cp: a copy of 5 bytes",
        ),
        ("call nobody;", "call: unknown function nobody"),
        (
            "discard.global.L2 [%d1], 64;",
            "discard: expected a size of 128",
        ),
        ("discard.shared.L2 [%r1], 128;", "discard: "),
        ("discard.global.L1 [%d1], 128;", "discard: "),
    ] {
        let error = load(&body(instruction)).expect_err(instruction);
        assert!(error.message.contains(part), "{instruction}: {error}");
        assert_eq!(error.line, 10, "{instruction}: {error}");
    }
}

#[test]
fn long_instructions_are_taken() {
    for instruction in LONG {
        let text = body(instruction).replace("sm_80", "sm_90a");
        assert_eq!(
            load(&text).map_err(|error| error.message),
            Ok(()),
            "{instruction}"
        );
    }
}

#[test]
fn no_ptx_at_all() {
    for text in [
        "",
        "hello",
        "\u{0}",
        ".version",
        ".version 8.0 .entry",
        "/*",
        "\"",
        ".version 8.0 {",
    ] {
        assert!(load(text).is_err() || text == ".version 8.0", "{text}");
    }
}

/// Words that PTX is made of, so that random texts get beyond the lexer.
const WORDS: [&str; 48] = [
    "add",
    ".u32",
    ".f32",
    ".s64",
    "%r1",
    "%d2",
    "%p1",
    "%h1",
    ",",
    ";",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "ld",
    "st",
    ".global",
    ".shared",
    ".param",
    "k",
    "p",
    "bra",
    "L:",
    "L",
    "@",
    "!",
    "|",
    "0x10",
    "1.5",
    "0f3F800000",
    "-",
    "+",
    "mov",
    "setp",
    ".lt",
    ".v2",
    ".b32",
    ".b64",
    ".reg",
    "call",
    "mma",
    ".sync",
    "bar",
    "0",
    "cvt",
    ".rn",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(20_000)))]

    #[test]
    fn any_text_is_answered(text in ".{0,200}") {
        let _ = load(&text);
    }

    #[test]
    fn any_words_are_answered(at in prop::collection::vec(0..WORDS.len(), 0..60)) {
        let words: Vec<&str> = at.into_iter().map(|at| WORDS[at]).collect();
        let _ = load(&words.join(" "));
        let _ = load(&body(&words.join(" ")));
        let _ = load(&format!(".version 8.0\n{}", words.join(" ")));
    }
}

/// Entries of programs by compilers, each as a program of its own: what stands before the first one, and it.
static ENTRIES: LazyLock<Vec<(&str, Vec<&str>)>> = LazyLock::new(|| {
    let texts = [
        include_str!("ptx/kernels.ptx"),
        include_str!("ptx/check.ptx"),
        include_str!("ptx/wmma.ptx"),
        include_str!("ptx/triton_attention_sm90.ptx"),
    ];
    let mut entries = Vec::new();
    for text in texts {
        let mut parts = text.split(".visible .entry");
        let head = parts.next().unwrap_or("");
        // Those that call a function from between two entries are none of their own.
        let whole = parts.filter(|part| load(&format!("{head}.visible .entry{part}")).is_ok());
        entries.extend(whole.map(|part| (head, part.lines().collect())));
    }
    assert!(entries.len() > 70, "{} entries", entries.len());
    entries
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(4_000)))]

    /// A real program of which lines are gone, twice there, or another's, and bytes are others.
    #[test]
    fn any_damage_is_answered(
        which in any::<Index>(),
        lines in prop::collection::vec((any::<Index>(), 0..4, any::<Index>(), any::<Index>()), 0..4),
        bytes in prop::collection::vec((any::<Index>(), 0u8..128), 0..4),
        cut in any::<Index>(),
        is_cut in any::<bool>(),
    ) {
        let (head, entry) = which.get(&ENTRIES);
        let mut entry = entry.clone();
        for (at, change, other, from) in lines {
            let at = at.index(entry.len());
            match change {
                0 if entry.len() > 1 => drop(entry.remove(at)),
                1 => entry.insert(at, entry[at]),
                2 => entry[at] = *from.get(other.get(&ENTRIES).1.as_slice()),
                _ => entry.insert(at, *from.get(other.get(&ENTRIES).1.as_slice())),
            }
        }
        let mut text = format!("{head}.visible .entry{}", entry.join("\n")).into_bytes();
        for (at, byte) in bytes {
            let at = at.index(text.len());
            text[at] = byte;
        }
        if is_cut {
            text.truncate(cut.index(text.len()));
        }
        let _ = load(&String::from_utf8_lossy(&text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(20_000)))]

    /// A long instruction with words and modifiers left out, said twice or taken from others.
    #[test]
    fn any_change_of_an_instruction_is_answered(
        line in 0..LONG.len(),
        changes in prop::collection::vec((0usize..64, 0usize..3, 0..LONG.len(), 0usize..64), 0..4),
    ) {
        let parts = |line: usize| -> Vec<String> {
            let apart = LONG[line].replace('.', " .");
            apart.split(' ').map(str::to_owned).collect()
        };
        let mut words = parts(line);
        for (at, change, other, from) in changes {
            let at = at % words.len();
            let others = parts(other);
            match change {
                0 if words.len() > 1 => drop(words.remove(at)),
                1 => words.insert(at, words[at].clone()),
                _ => words[at].clone_from(&others[from % others.len()]),
            }
        }
        let text = words.join(" ").replace(" .", ".");
        let _ = load(&body(&text));
        let _ = load(&body(&text).replace("sm_80", "sm_90a"));
    }
}
