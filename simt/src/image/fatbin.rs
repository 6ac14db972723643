//! Fatbins: a header, and entries of machine code or PTX for different architectures. NVIDIA does not
//! describe the format; this is what its tools write, as others have found.
//!
//! | bytes of the header | what |
//! |---|---|
//! | 0..4 | magic number |
//! | 4..6, 6..8 | version, bytes of the header |
//! | 8..16 | bytes of all entries |
//!
//! | bytes of an entry | what |
//! |---|---|
//! | 0..2 | kind: 1 PTX, 2 machine code |
//! | 4..8 | bytes of the entry's header |
//! | 8..16 | bytes of the payload, with padding |
//! | 16..20 | bytes of the payload where it is compressed |
//! | 28..32 | architecture, such as 80 |
//! | 40..48 | flags: 0x2000 LZ4, 0x8000 Zstandard |
//! | 56..64 | bytes of the payload when it is not compressed any more |

use super::{Error, lz4};
use std::io::Read;

/// First bytes of a fatbin.
pub const MAGIC: u32 = 0xba55_ed50;
/// First bytes of the structure that points to one.
pub const WRAPPER_MAGIC: u32 = 0x4662_43b1;

const KIND_PTX: u16 = 1;
const KIND_ELF: u16 = 2;
const FLAG_LZ4: u64 = 0x2000;
const FLAG_ZSTD: u64 = 0x8000;
const ENTRY_HEADER: usize = 64;
/// Longer texts are not believed.
const LONGEST: u64 = 1 << 30;

/// An entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    pub kind: u16,
    pub arch: u32,
    flags: u64,
    compressed: u32,
    uncompressed: u64,
    payload: &'a [u8],
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Error> {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>());
    field
        .copied()
        .ok_or(Error::Damaged("a fatbin that ends in a header"))
}

/// Bytes of a fatbin by its first 16.
///
/// # Errors
/// They are not a fatbin's.
pub fn length(header: &[u8]) -> Result<usize, Error> {
    if u32::from_le_bytes(number(header, 0)?) != MAGIC {
        return Err(Error::Damaged("no fatbin"));
    }
    let own = usize::from(u16::from_le_bytes(number(header, 6)?));
    let all = usize::try_from(u64::from_le_bytes(number(header, 8)?)).ok();
    all.and_then(|all| all.checked_add(own))
        .filter(|_| own >= 16)
        .ok_or(Error::Damaged("a fatbin's length"))
}

/// All entries of a fatbin.
///
/// # Errors
/// Headers whose lengths do not fit.
pub fn entries(bytes: &[u8]) -> Result<Vec<Entry<'_>>, Error> {
    let end = length(bytes)?;
    let start = usize::from(u16::from_le_bytes(number(bytes, 6)?));
    let all = bytes
        .get(..end)
        .ok_or(Error::Damaged("a fatbin shorter than it says"))?;
    let mut rest = &all[start..];
    let mut entries = Vec::new();
    while rest.len() >= ENTRY_HEADER {
        let header = u32::from_le_bytes(number(rest, 4)?) as usize;
        let size = u64::from_le_bytes(number(rest, 8)?);
        let length = usize::try_from(size)
            .ok()
            .and_then(|size| size.checked_add(header));
        let length = length.filter(|length| header >= ENTRY_HEADER && *length <= rest.len());
        let Some(length) = length else {
            return Err(Error::Damaged("a fatbin's entry is longer than the fatbin"));
        };
        entries.push(Entry {
            kind: u16::from_le_bytes(number(rest, 0)?),
            arch: u32::from_le_bytes(number(rest, 28)?),
            flags: u64::from_le_bytes(number(rest, 40)?),
            compressed: u32::from_le_bytes(number(rest, 16)?),
            uncompressed: u64::from_le_bytes(number(rest, 56)?),
            payload: &rest[header..length],
        });
        rest = &rest[length..];
    }
    Ok(entries)
}

impl Entry<'_> {
    /// The payload as it was before it was compressed.
    ///
    /// # Errors
    /// It is damaged, or of a length that nobody would believe.
    pub fn unpack(&self) -> Result<Vec<u8>, Error> {
        if self.flags & (FLAG_LZ4 | FLAG_ZSTD) == 0 {
            return Ok(self.payload.to_vec());
        }
        let packed = self.payload.get(..self.compressed as usize);
        let packed = packed.ok_or(Error::Damaged("a compressed payload longer than its entry"))?;
        if self.uncompressed > LONGEST {
            return Err(Error::Damaged("a payload of more than 1 GiB"));
        }
        if self.flags & FLAG_ZSTD != 0 {
            return zstd(packed, self.uncompressed);
        }
        lz4::decompress(packed, self.uncompressed as usize)
    }
}

fn zstd(packed: &[u8], bytes: u64) -> Result<Vec<u8>, Error> {
    const DAMAGED: Error = Error::Damaged("Zstandard: the payload is no frame");
    let decoder = ruzstd::decoding::StreamingDecoder::new(packed).map_err(|_| DAMAGED)?;
    let mut output = Vec::new();
    decoder
        .take(bytes + 1)
        .read_to_end(&mut output)
        .map_err(|_| DAMAGED)?;
    match output.len() as u64 == bytes {
        true => Ok(output),
        false => Err(Error::Damaged(
            "Zstandard: another length than the header says",
        )),
    }
}

/// The PTX of a fatbin for the newest architecture that `runs`.
///
/// # Errors
/// There is none, or it is damaged.
pub fn ptx(bytes: &[u8], runs: &dyn Fn(u32) -> bool) -> Result<String, Error> {
    let entries = entries(bytes)?;
    let texts = entries
        .iter()
        .filter(|e| e.kind == KIND_PTX && runs(e.arch));
    // Of two for the same architecture the first counts.
    let best = texts.rev().max_by_key(|entry| entry.arch);
    match best {
        Some(entry) => super::text(&entry.unpack()?),
        None => {
            let mut found: Vec<String> = entries
                .iter()
                .filter_map(|entry| match entry.kind {
                    KIND_ELF => Some(format!("sm_{}", entry.arch)),
                    KIND_PTX => Some(format!("compute_{} (PTX)", entry.arch)),
                    _ => None,
                })
                .collect();
            found.dedup();
            Err(Error::NoPtx(if found.is_empty() {
                "nothing".into()
            } else {
                found.join(", ")
            }))
        }
    }
}
