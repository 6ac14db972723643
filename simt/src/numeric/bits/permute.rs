//! `prmt` (ISA, "prmt").

/// `.mode` of `prmt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permute {
    /// No mode: four nibbles of the selector, whose top bit replicates the byte's sign.
    Bytes,
    /// `.f4e`: four bytes upwards from the selected.
    F4e,
    /// `.b4e`: four bytes downwards from the selected.
    B4e,
    /// `.rc8`: the selected byte of `a` four times.
    Rc8,
    /// `.ecl`: bytes below the selected become it.
    Ecl,
    /// `.ecr`: bytes above the selected become it.
    Ecr,
    /// `.rc16`: the selected half of `a` twice.
    Rc16,
}

/// `prmt.b32 d, a, b, selector`: bytes of `b:a`, numbered 0 to 7 from the lowest of `a`.
#[inline(always)]
pub fn prmt(mode: Permute, a: u32, b: u32, selector: u32) -> u32 {
    let bytes = (u64::from(b) << 32 | u64::from(a)).to_le_bytes();
    let s = (selector & 3) as usize;
    let pick = |source: [usize; 4]| u32::from_le_bytes(source.map(|i| bytes[i & 7]));
    match mode {
        Permute::Bytes => u32::from_le_bytes([0, 4, 8, 12].map(|at| {
            let nibble = selector >> at;
            let byte = bytes[(nibble & 7) as usize];
            if nibble & 8 != 0 {
                (byte as i8 >> 7) as u8
            } else {
                byte
            }
        })),
        Permute::F4e => pick([s, s + 1, s + 2, s + 3]),
        Permute::B4e => pick([s, s + 7, s + 6, s + 5]),
        Permute::Rc8 => pick([s; 4]),
        Permute::Ecl => pick([0, 1, 2, 3].map(|i: usize| i.max(s))),
        Permute::Ecr => pick([0, 1, 2, 3].map(|i: usize| i.min(s))),
        Permute::Rc16 => pick([0, 1, 0, 1].map(|i| i + 2 * (s & 1))),
    }
}
