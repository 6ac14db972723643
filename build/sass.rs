//! What the machine code of a kernel holds: registers, local memory, and how many instructions of each kind,
//! in all and in its main loop.
//!
//! Instructions of Volta and later are 16 bytes; their lowest nine bits name the operation, whatever its
//! operands are. The numbers are those that `nvdisasm` (CUDA 13) shows for sm_80, sm_90a and sm_100a.

use object::read::elf::ElfFile64;
use object::{Endianness, FileFlags, Object, ObjectSection, ObjectSymbol};
use std::collections::HashMap;

/// Bytes of an instruction.
const SIZE: usize = 16;
/// Relative branch.
const BRANCH: u16 = 0x147;
const EXIT: u16 = 0x14d;
/// Vote of a warp's threads.
const VOTE: u16 = 0x006;
/// The architecture, as an ELF file's flags have it, from which on a branch has the low eight bits of its distance
/// away from the others.
const SPLITTING: u32 = 90;

/// The kinds of instructions, in the order of [`Mix::kinds`].
pub const KINDS: [&str; 10] = [
    "tensor", "f32", "f64", "half", "special", "global", "shared", "local", "control", "other",
];

/// Instructions by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mix {
    pub kinds: [u32; KINDS.len()],
}

/// The machine code of one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sass {
    pub symbol: String,
    /// Of a thread.
    pub registers: u32,
    pub mix: Mix,
    /// Of the loops around no other with tensor instructions, the one with most of them, or where there are none
    /// with most of any kind: what each turn issues, without what a warp passes over unless one of its threads votes
    /// for it, if that has no tensor instructions.
    pub main_loop: Option<Mix>,
}

impl Mix {
    /// All instructions.
    pub fn total(&self) -> u32 {
        self.kinds.iter().sum()
    }

    /// Instructions of a kind.
    pub fn of(&self, kind: &str) -> u32 {
        let at = KINDS.iter().position(|name| *name == kind);
        at.map_or(0, |at| self.kinds[at])
    }
}

/// The kernels in a cubin, in the order of their symbols.
///
/// # Errors
/// Where it is no cubin.
fn read(cubin: &[u8]) -> Result<Vec<Sass>, String> {
    let file = ElfFile64::<Endianness>::parse(cubin).map_err(|error| format!("cubin: {error}"))?;
    let registers = registers(&file).ok_or("cubin: expected registers in .nv.info")?;
    let FileFlags::Elf { e_flags, .. } = file.flags() else {
        return Err("cubin: expected the flags of an ELF file".into());
    };
    let splits = e_flags & 0xff >= SPLITTING;
    let mut kernels = Vec::new();
    for section in file.sections() {
        let Some(symbol) = section.name().ok().and_then(|n| n.strip_prefix(".text.")) else {
            continue;
        };
        let code = section.data().map_err(|error| format!("cubin: {error}"))?;
        let words: Vec<u128> = code
            .chunks_exact(SIZE)
            .map(|bytes| u128::from_le_bytes(bytes.try_into().unwrap_or_default()))
            .collect();
        kernels.push(Sass {
            symbol: symbol.to_owned(),
            registers: registers.get(symbol).copied().unwrap_or_default(),
            mix: mix(&words),
            main_loop: main_loop(&words, splits),
        });
    }
    kernels.sort_by(|a, b| a.symbol.cmp(&b.symbol));
    Ok(kernels)
}

/// Registers of a thread by kernel: the attribute REGCOUNT of `.nv.info`, as `cuobjdump -elf` shows it. `None`
/// where there is none, or what it says of a symbol is cut off.
fn registers(file: &ElfFile64<'_, Endianness>) -> Option<HashMap<String, u32>> {
    /// An attribute whose value has a size of its own; of others the value takes the size's place.
    const SIZED: u8 = 4;
    const REGCOUNT: u8 = 0x2f;
    let mut rest = file.section_by_name(".nv.info")?.data().ok()?;
    let word = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let mut found = HashMap::new();
    while let [format, attribute, low, high, tail @ ..] = rest {
        let size = match *format {
            SIZED => usize::from(u16::from_le_bytes([*low, *high])),
            _ => 0,
        };
        let value = tail.get(..size)?;
        if (*format, *attribute) == (SIZED, REGCOUNT) {
            let symbol = object::SymbolIndex(word(value, 0)? as usize);
            let name = file.symbol_by_index(symbol).ok()?.name().ok()?;
            found.insert(name.to_owned(), word(value, 4)?);
        }
        rest = &tail[size..];
    }
    (!found.is_empty()).then_some(found)
}

/// The machine code in a cubin of the instances with those symbols.
///
/// # Errors
/// Where it is no cubin.
pub fn of_instances<'s>(
    cubin: &[u8],
    instances: impl Iterator<Item = (String, &'s String)>,
) -> Result<Vec<(String, Sass)>, String> {
    let kernels = read(cubin)?;
    let found = |symbol: &str| kernels.iter().find(|k| k.symbol == symbol).cloned();
    Ok(instances
        .filter_map(|(name, symbol)| Some((name, found(symbol)?)))
        .collect())
}

fn operation(word: u128) -> u16 {
    (word & 0x1ff) as u16
}

fn mix(words: &[u128]) -> Mix {
    let mut mix = Mix::default();
    // What pads the end of a kernel is never executed.
    let padding = |word: &&u128| operation(**word) == 0x118;
    let end = words.len() - words.iter().rev().take_while(padding).count();
    for &word in &words[..end] {
        mix.kinds[kind(operation(word))] += 1;
    }
    mix
}

/// Place in [`KINDS`] of an operation.
fn kind(operation: u16) -> usize {
    match operation {
        // IMMA, HMMA, DMMA, HGMMA
        0x037 | 0x03c | 0x03f | 0x1f0 => 0,
        // FMUL, FADD, FFMA
        0x020 | 0x021 | 0x023 => 1,
        // DMUL, DADD, DSETP, DFMA
        0x028..=0x02b => 2,
        // HADD2, HFMA2, HMUL2, HSET2, HSETP2
        0x030..=0x035 => 3,
        // F2F, F2I, I2F, FRND, MUFU, and those of 64 bits
        0x104..=0x108 | 0x110..=0x113 => 4,
        // LD, LDG, ST, STG, ATOM, ATOMG, RED, LDGSTS, UTMALDG
        0x180 | 0x181 | 0x185 | 0x186 | 0x18a | 0x18e | 0x1a8 | 0x1ae | 0x1b4 => 5,
        // LDSM, LDS, STS, ATOMS, SYNCS
        0x03b | 0x184 | 0x188 | 0x18c | 0x18d | 0x1a7 | 0x1b2 => 6,
        // LDL, STL
        0x183 | 0x187 => 7,
        // BAR, BSYNC, BREAK, CALL, BSSY, YIELD, BRA, WARPSYNC, EXIT, RET, WARPGROUP
        0x11d | 0x141..=0x150 | 0x1c5 => 8,
        _ => 9,
    }
}

fn main_loop(words: &[u128], splits: bool) -> Option<Mix> {
    // What waits for long stands behind the end of the kernel and branches back from there: no loop.
    let goes_on = |words: &[u128]| words.iter().all(|&word| operation(word) != EXIT);
    let found = |at: usize| {
        let start = target(words[at], at, splits).filter(|start| *start < at)?;
        goes_on(&words[start..=at]).then_some((start, at))
    };
    let loops: Vec<(usize, usize)> = (0..words.len()).filter_map(found).collect();
    let mixes: Vec<Mix> = loops
        .iter()
        .map(|&(a, b)| turn(words, a, b, splits))
        .collect();
    let inside = |inner: usize, outer: usize| {
        let ((a, b), (c, d)) = (loops[inner], loops[outer]);
        c <= a && b <= d && b - a < d - c
    };
    let has_tensor = |at: usize| mixes[at].of("tensor") > 0;
    let all = 0..loops.len();
    let innermost = |outer: &usize| {
        !all.clone()
            .any(|inner| inside(inner, *outer) && has_tensor(inner))
    };
    // The last of equal ones by tensor instructions is the smallest.
    let chosen = all.clone().filter(innermost).max_by_key(|at| {
        let (tensor, total) = (mixes[*at].of("tensor"), i64::from(mixes[*at].total()));
        (tensor, if tensor > 0 { -total } else { total })
    });
    chosen.map(|at| mixes[at])
}

/// What each turn of a loop issues.
fn turn(words: &[u128], first: usize, last: usize, splits: bool) -> Mix {
    let mut all = mix(&words[first..=last]);
    let mut at = first;
    while at < last {
        let (vote, branch) = (words[at], words[at + 1]);
        at += 1;
        // The predicate that a vote writes, and one that a branch is guarded by where it is false.
        let (written, guard) = ((vote >> 81) as u16 & 7, (branch >> 12) as u16 & 15);
        if operation(vote) != VOTE || guard != written | 8 {
            continue;
        }
        if let Some(to) = target(branch, at, splits).filter(|to| at < *to && *to <= last) {
            let passed = mix(&words[at + 1..to]);
            if passed.of("tensor") == 0 {
                for (sum, less) in all.kinds.iter_mut().zip(passed.kinds) {
                    *sum -= less;
                }
                at = to;
            }
        }
    }
    all
}

/// Where a branch leads; the distance is counted in words of 4 bytes from the next instruction.
fn target(word: u128, at: usize, splits: bool) -> Option<usize> {
    if operation(word) != BRANCH {
        return None;
    }
    let high = ((word >> 34) as i64) << 16 >> 16;
    let distance = match splits {
        true => high << 8 | (word >> 16) as i64 & 0xff,
        false => high,
    };
    let bytes = (at + 1) as i64 * SIZE as i64 + distance * 4;
    Some(usize::try_from(bytes).ok()? / SIZE)
}

#[cfg(test)]
mod tests {
    use super::{Mix, main_loop, mix, read, target};

    /// `VOTE.ANY P1, P1`, and a branch over so many instructions where P1 is false, as nvdisasm shows them for sm_80.
    const VOTE: u128 = 0x000f_da00_0082_0100_0000_0000_00ff_7806;
    fn unless_voted(over: u128) -> u128 {
        0x9947 | (over * 4) << 34
    }

    const FFMA: u128 = 0x223;
    const HMMA: u128 = 0x23c;
    const NOP: u128 = 0x918;

    fn branch(back: i64) -> u128 {
        let distance = -(back + 1) * 4;
        0x947 | (((distance as u64 & 0xffff_ffff_ffff) as u128) << 34)
    }

    #[test]
    fn branches_backwards_are_loops() {
        assert_eq!(target(branch(3), 7, false), Some(4));
        assert_eq!(target(branch(0), 7, false), Some(7), "a trap");
        assert_eq!(target(branch(9), 7, false), None, "before the kernel");
        assert_eq!(target(FFMA, 7, false), None);
        // As nvdisasm shows them in a cubin for sm_90a.
        let back = 0x3_ffff_ffff_fff4_0084_1947;
        assert_eq!(target(back, 0x13a, true), Some(0x9c));
        assert_eq!(target(0x0000_0044_0010_0947, 0x28, true), Some(0x46d));
        // An outer loop around one with products, and a loop without.
        let words = [
            FFMA,
            FFMA,
            branch(2),
            FFMA,
            HMMA,
            FFMA,
            branch(2),
            branch(4),
            NOP,
        ];
        assert_eq!(mix(&words).total(), 8);
        let inner = main_loop(&words, false).unwrap();
        assert_eq!((inner.of("tensor"), inner.total()), (1, 3));
        // Two loops with products in one: the one with more.
        let two = [
            HMMA,
            branch(1),
            FFMA,
            HMMA,
            HMMA,
            branch(3),
            FFMA,
            branch(7),
        ];
        let larger = main_loop(&two, false).unwrap();
        assert_eq!((larger.of("tensor"), larger.total()), (2, 4));
        let plain = main_loop(&words[..3], false).unwrap();
        assert_eq!((plain.of("f32"), plain.of("control")), (2, 1));
        assert_eq!(
            (main_loop(&[FFMA], false), main_loop(&[], false)),
            (None, None)
        );
        assert_eq!(mix(&[]), Mix::default());
    }

    #[test]
    fn a_turn_passes_over_what_no_thread_votes_for() {
        let over = |inside: u128, guard: u128| {
            let words = [HMMA, VOTE, guard, inside, FFMA, HMMA, branch(6)];
            main_loop(&words, false).unwrap().total()
        };
        assert_eq!(over(FFMA, unless_voted(2)), 5);
        assert_eq!(over(HMMA, unless_voted(2)), 7, "tensor instructions");
        assert_eq!(over(FFMA, unless_voted(9)), 7, "out of the loop");
        assert_eq!(over(FFMA, unless_voted(2) - 0x1000), 7, "another predicate");
    }

    #[test]
    fn what_is_no_cubin_is_refused() {
        for bytes in [&b""[..], b"\x7fELF", &[0; 64]] {
            assert!(read(bytes).unwrap_err().starts_with("cubin: "));
        }
    }
}
