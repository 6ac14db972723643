//! The GGUF container (versions 2 and 3, little-endian): typed metadata, then tensor descriptions,
//! then aligned data. <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>
//!
//! The file is mapped; every length in it is checked against the bytes that are left before it is
//! believed, and nothing is allocated by a length that the file does not back with bytes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::error::ModelError;
use super::gguf_cursor::{Cursor, Description, kind};
use super::gguf_quant::StoredType;
use super::safetensors::map_file;

/// An opened GGUF file.
pub(crate) struct Gguf {
    pub(crate) path: PathBuf,
    map: Mmap,
    metadata: BTreeMap<String, Entry>,
    tensors: BTreeMap<String, GgufTensor>,
}

/// A tensor as the file describes it.
#[derive(Clone, Debug)]
pub(crate) struct GgufTensor {
    pub(crate) stored: StoredType,
    /// Rows first, the reverse of the file's order.
    pub(crate) shape: Vec<usize>,
    bytes: Range<usize>,
}

/// Where a metadata value lies; it is decoded when asked for.
struct Entry {
    kind: u32,
    at: usize,
}

impl Gguf {
    /// Maps the file and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        let map = map_file(path)?;
        let mut cursor = Cursor::new(path, &map, 0);
        if cursor.take(4, "the magic")? != b"GGUF" {
            return Err(ModelError::format(path, "expected a GGUF file"));
        }
        let version = cursor.u32("the version")?;
        if !(2..=3).contains(&version) {
            return Err(ModelError::format(
                path,
                format!("expected little-endian GGUF version 2 or 3, found version {version}"),
            ));
        }
        let tensor_count = cursor.u64("the number of tensors")?;
        let metadata_count = cursor.u64("the number of metadata keys")?;

        let mut metadata = BTreeMap::new();
        for _ in 0..metadata_count {
            let key = cursor.string("a metadata key")?;
            let kind = cursor.u32(key)?;
            let at = cursor.at();
            cursor.skip_value(kind, key, 0)?;
            if metadata
                .insert(key.to_owned(), Entry { kind, at })
                .is_some()
            {
                return Err(ModelError::field(path, key, "the key is there twice"));
            }
        }
        let mut described = Vec::new();
        for _ in 0..tensor_count {
            described.push(cursor.tensor()?);
        }
        let end = cursor.at();
        let mut gguf = Self {
            path: path.to_path_buf(),
            map,
            metadata,
            tensors: BTreeMap::new(),
        };
        gguf.place(end, described)?;
        Ok(gguf)
    }

    /// Turns offsets within the data section, which begins at the next aligned byte after `end`, into
    /// ranges of the file.
    fn place(&mut self, end: usize, described: Vec<Description>) -> Result<(), ModelError> {
        let alignment = self.integer("general.alignment")?.unwrap_or(32);
        let alignment = usize::try_from(alignment)
            .ok()
            .filter(|alignment| alignment.is_power_of_two() && *alignment <= 1 << 20)
            .ok_or_else(|| {
                self.error(
                    "general.alignment",
                    format!("expected a power of two, found {alignment}"),
                )
            })?;
        let data = end.next_multiple_of(alignment);
        for tensor in described {
            let error = |message: String| ModelError::tensor(&self.path, &tensor.name, message);
            let stored = StoredType::from_ggml(tensor.ggml_type).ok_or_else(|| {
                error(format!(
                    "ggml type {} is not read (F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K are)",
                    tensor.ggml_type
                ))
            })?;
            let (values, size) = stored.block();
            let row = tensor.shape.last().copied().unwrap_or(1);
            if row % values != 0 {
                return Err(error(format!(
                    "rows of {row} values are not whole {stored:?} blocks of {values}"
                )));
            }
            let bytes = tensor
                .shape
                .iter()
                .try_fold(1usize, |product, dimension| product.checked_mul(*dimension))
                .and_then(|values_in_all| (values_in_all / values).checked_mul(size))
                .and_then(|length| {
                    let start = data.checked_add(usize::try_from(tensor.offset).ok()?)?;
                    Some(start..start.checked_add(length)?)
                })
                .filter(|range| range.end <= self.map.len())
                .ok_or_else(|| {
                    error(format!(
                        "{stored:?} of shape {:?} at data offset {} reaches beyond the end of the file ({} bytes)",
                        tensor.shape,
                        tensor.offset,
                        self.map.len()
                    ))
                })?;
            let placed = GgufTensor {
                stored,
                shape: tensor.shape,
                bytes,
            };
            if self.tensors.insert(tensor.name.clone(), placed).is_some() {
                return Err(ModelError::tensor(
                    &self.path,
                    &tensor.name,
                    "the name is there twice",
                ));
            }
        }
        Ok(())
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&str, &GgufTensor)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    pub(crate) fn tensor(&self, name: &str) -> Option<&GgufTensor> {
        self.tensors.get(name)
    }

    /// Decodes a tensor of this file into `out`, which has as many values.
    pub(crate) fn decode(&self, tensor: &GgufTensor, out: &mut [f32]) {
        tensor.stored.decode(&self.map[tensor.bytes.clone()], out);
    }

    pub(crate) fn error(&self, key: &str, message: impl Into<String>) -> ModelError {
        ModelError::field(&self.path, key, message)
    }

    /// An integer of any width, or a boolean as 0 or 1.
    pub(crate) fn integer(&self, key: &str) -> Result<Option<i64>, ModelError> {
        self.value(key, "an integer", |cursor, kind| cursor.integer(kind))
    }

    /// A number of any type.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>, ModelError> {
        self.value(key, "a number", |cursor, kind| cursor.number(kind))
    }

    pub(crate) fn string(&self, key: &str) -> Result<Option<String>, ModelError> {
        self.value(key, "a string", |cursor, kind| match kind {
            kind::STRING => Some(cursor.string("").ok()?.to_owned()),
            _ => None,
        })
    }

    pub(crate) fn strings(&self, key: &str) -> Result<Option<Vec<String>>, ModelError> {
        self.array(key, "an array of strings", |cursor, kind| match kind {
            kind::STRING => Some(cursor.string("").ok()?.to_owned()),
            _ => None,
        })
    }

    pub(crate) fn integers(&self, key: &str) -> Result<Option<Vec<i64>>, ModelError> {
        self.array(key, "an array of integers", |cursor, kind| {
            cursor.integer(kind)
        })
    }

    pub(crate) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>, ModelError> {
        self.array(key, "an array of numbers", |cursor, kind| {
            cursor.number(kind)
        })
    }

    fn array<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(&mut Cursor, u32) -> Option<T>,
    ) -> Result<Option<Vec<T>>, ModelError> {
        self.value(key, expected, |cursor, kind| {
            if kind != kind::ARRAY {
                return None;
            }
            let kind = cursor.u32("").ok()?;
            let count = cursor.u64("").ok()?;
            (0..count).map(|_| read(cursor, kind)).collect()
        })
    }

    fn value<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&mut Cursor, u32) -> Option<T>,
    ) -> Result<Option<T>, ModelError> {
        let Some(entry) = self.metadata.get(key) else {
            return Ok(None);
        };
        let mut cursor = Cursor::new(&self.path, &self.map, entry.at);
        read(&mut cursor, entry.kind)
            .map(Some)
            .ok_or_else(|| self.error(key, format!("expected {expected}")))
    }
}
