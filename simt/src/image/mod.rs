//! What a module can be loaded from: PTX text, a fatbin with PTX in it, or what the linker made.
//!
//! Bytes are looked at here, without pointers: see [`texts`].

pub mod fatbin;
pub mod linked;
mod lz4;

/// Why an image cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Machine code.
    #[error("machine code for {0}, and no PTX beside it; only PTX can be executed")]
    NoPtx(String),
    #[error("damaged image: {0}")]
    Damaged(&'static str),
}

/// An image's kind, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// A cubin or an object file.
    Elf,
    /// `.fatbin`, or what a program's own section holds.
    Fatbin,
    /// A pointer to a fatbin: the structure that programs register.
    Wrapper,
    /// What the linker made.
    Linked,
    /// LLVM's or NVVM's intermediate code.
    Bitcode,
}

/// The kind of an image that begins with these bytes.
pub fn kind(first: [u8; 4]) -> Kind {
    match u32::from_le_bytes(first) {
        0x464c_457f => Kind::Elf,
        fatbin::MAGIC => Kind::Fatbin,
        fatbin::WRAPPER_MAGIC => Kind::Wrapper,
        linked::MAGIC => Kind::Linked,
        0xdec0_4342 | 0x0b17_c0de | 0x7f4e_43ed | 0x1ee5_5a01 => Kind::Bitcode,
        _ => Kind::Text,
    }
}

/// The PTX texts of an image that begins with its first byte and ends with its last. More than one:
/// they are linked. `runs` says whether PTX for an architecture, such as 80, is of use.
///
/// # Errors
/// There is no PTX in it, or its structure is not what it says.
pub fn texts(bytes: &[u8], runs: &dyn Fn(u32) -> bool) -> Result<Vec<String>, Error> {
    let first = bytes.first_chunk().copied().unwrap_or_default();
    match kind(first) {
        Kind::Text => Ok(vec![text(bytes)?]),
        Kind::Fatbin => Ok(vec![fatbin::ptx(bytes, runs)?]),
        Kind::Linked => linked::texts(bytes),
        Kind::Elf => Err(Error::NoPtx(elf(bytes))),
        Kind::Bitcode => Err(Error::NoPtx("a compiler to go on with (LTO)".into())),
        Kind::Wrapper => Err(Error::Damaged("a pointer where bytes should be")),
    }
}

/// Text up to the first zero.
fn text(bytes: &[u8]) -> Result<String, Error> {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    match std::str::from_utf8(&bytes[..end]) {
        Ok(text) => Ok(text.to_owned()),
        // Comments may hold anything.
        Err(_) if bytes[..end].windows(8).any(|w| w == b".version") => {
            Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
        }
        Err(_) => Err(Error::Damaged("neither PTX nor any binary that is known")),
    }
}

/// The architecture of a cubin: in the flags of its header.
fn elf(bytes: &[u8]) -> String {
    const MACHINE_CUDA: u16 = 190;
    let half = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    match (half(18), bytes.get(48), bytes.get(49)) {
        (Some(MACHINE_CUDA), Some(0), Some(arch)) => format!("sm_{arch}"),
        (Some(MACHINE_CUDA), Some(arch), _) => format!("sm_{arch}"),
        _ => "another machine".into(),
    }
}
