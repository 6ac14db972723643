//! Reading GGUF's primitive values, each length checked against the bytes that are left.

use std::path::Path;

use super::error::ModelError;

/// GGUF's value types.
pub(crate) mod kind {
    pub const U8: u32 = 0;
    pub const I8: u32 = 1;
    pub const U16: u32 = 2;
    pub const I16: u32 = 3;
    pub const U32: u32 = 4;
    pub const I32: u32 = 5;
    pub const F32: u32 = 6;
    pub const BOOL: u32 = 7;
    pub const STRING: u32 = 8;
    pub const ARRAY: u32 = 9;
    pub const U64: u32 = 10;
    pub const I64: u32 = 11;
    pub const F64: u32 = 12;
}

/// Arrays of arrays deeper than this are not read.
const DEEPEST_ARRAY: usize = 4;

/// A tensor's description before its place in the file is checked.
pub(crate) struct Description {
    pub(crate) name: String,
    /// Rows first.
    pub(crate) shape: Vec<usize>,
    pub(crate) ggml_type: u32,
    /// Within the data section.
    pub(crate) offset: u64,
}

/// A position in a GGUF file's header. Nothing is read past the end of the file.
pub(crate) struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// `path` is named in errors; `at` is at most `bytes.len()`.
    pub(crate) fn new(path: &'a Path, bytes: &'a [u8], at: usize) -> Self {
        Self { path, bytes, at }
    }

    /// The position, from the beginning of the file.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The next `length` bytes; `what` they are is named if the file ends in them.
    pub(crate) fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8], ModelError> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..length).ok_or_else(|| {
            ModelError::format(
                self.path,
                format!(
                    "the file ends inside {}: {length} bytes expected at byte {}, {} left",
                    what.escape_debug(),
                    self.at,
                    rest.len()
                ),
            )
        })?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], ModelError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    pub(crate) fn u32(&mut self, what: &str) -> Result<u32, ModelError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &str) -> Result<u64, ModelError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn string(&mut self, what: &str) -> Result<&'a str, ModelError> {
        let length = usize::try_from(self.u64(what)?).unwrap_or(usize::MAX);
        let at = self.at;
        std::str::from_utf8(self.take(length, what)?).map_err(|_| {
            ModelError::format(
                self.path,
                format!("{} at byte {at} is not UTF-8", what.escape_debug()),
            )
        })
    }

    pub(crate) fn tensor(&mut self) -> Result<Description, ModelError> {
        let name = self.string("a tensor's name")?.to_owned();
        let dimensions = self.u32(&name)?;
        if !(1..=4).contains(&dimensions) {
            let message = format!("expected 1 to 4 dimensions, found {dimensions}");
            return Err(ModelError::tensor(self.path, &name, message));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            let size = self.u64(&name)?;
            let size = usize::try_from(size).ok().filter(|size| *size > 0);
            shape.push(size.ok_or_else(|| {
                ModelError::tensor(self.path, &name, "expected dimensions of at least 1")
            })?);
        }
        shape.reverse();
        Ok(Description {
            shape,
            ggml_type: self.u32(&name)?,
            offset: self.u64(&name)?,
            name,
        })
    }

    /// Bytes of a value of fixed size.
    fn width(kind: u32) -> Option<usize> {
        Some(match kind {
            kind::U8 | kind::I8 | kind::BOOL => 1,
            kind::U16 | kind::I16 => 2,
            kind::U32 | kind::I32 | kind::F32 => 4,
            kind::U64 | kind::I64 | kind::F64 => 8,
            _ => return None,
        })
    }

    pub(crate) fn skip_value(
        &mut self,
        kind: u32,
        key: &str,
        depth: usize,
    ) -> Result<(), ModelError> {
        if let Some(width) = Self::width(kind) {
            self.take(width, key)?;
            return Ok(());
        }
        match kind {
            kind::STRING => {
                self.string(key)?;
            }
            kind::ARRAY if depth < DEEPEST_ARRAY => {
                let kind = self.u32(key)?;
                let count = self.u64(key)?;
                if let Some(width) = Self::width(kind) {
                    let length = usize::try_from(count)
                        .ok()
                        .and_then(|n| n.checked_mul(width));
                    self.take(length.unwrap_or(usize::MAX), key)?;
                } else {
                    for _ in 0..count {
                        self.skip_value(kind, key, depth + 1)?;
                    }
                }
            }
            _ => {
                return Err(ModelError::field(
                    self.path,
                    key,
                    format!("value type {kind} is not one of GGUF's, or nests too deep"),
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn integer(&mut self, kind: u32) -> Option<i64> {
        Some(match kind {
            kind::U8 | kind::BOOL => i64::from(u8::from_le_bytes(self.array("").ok()?)),
            kind::I8 => i64::from(i8::from_le_bytes(self.array("").ok()?)),
            kind::U16 => i64::from(u16::from_le_bytes(self.array("").ok()?)),
            kind::I16 => i64::from(i16::from_le_bytes(self.array("").ok()?)),
            kind::U32 => i64::from(u32::from_le_bytes(self.array("").ok()?)),
            kind::I32 => i64::from(i32::from_le_bytes(self.array("").ok()?)),
            kind::U64 => i64::try_from(u64::from_le_bytes(self.array("").ok()?)).ok()?,
            kind::I64 => i64::from_le_bytes(self.array("").ok()?),
            _ => return None,
        })
    }

    pub(crate) fn number(&mut self, kind: u32) -> Option<f64> {
        match kind {
            kind::F32 => Some(f64::from(f32::from_le_bytes(self.array("").ok()?))),
            kind::F64 => Some(f64::from_le_bytes(self.array("").ok()?)),
            _ => self.integer(kind).map(|value| value as f64),
        }
    }
}
