//! The weights of a Hugging Face folder: one `model.safetensors`, or shards named by an index.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Dtype, Metadata, SafeTensors};
use serde::Deserialize;

use super::error::ModelError;
use super::gguf_quant::StoredType;

/// Maps a model file for reading.
pub(crate) fn map_file(path: &Path) -> Result<Mmap, ModelError> {
    let file = File::open(path).map_err(ModelError::io(path))?;
    // SAFETY: the map is only read, and a model file is not changed while it is open: writers in this
    // crate write aside and rename, which leaves a mapped file as it was.
    unsafe { Mmap::map(&file) }.map_err(ModelError::io(path))
}

/// One mapped file and its checked header.
struct Shard {
    path: PathBuf,
    map: Mmap,
    metadata: Metadata,
    /// Where the header ends and offsets count from.
    data: usize,
}

impl Shard {
    fn open(path: PathBuf) -> Result<Self, ModelError> {
        let map = map_file(&path)?;
        // Checks the header's length, that tensors lie one after the other without gap or overlap, each
        // with the bytes of its shape, and end where the file ends.
        let (header, metadata) = SafeTensors::read_metadata(&map)
            .map_err(|error| ModelError::format(&path, format!("not safetensors: {error}")))?;
        Ok(Self {
            path,
            map,
            metadata,
            data: 8 + header,
        })
    }
}

/// A tensor's place.
pub(crate) struct FolderTensor<'a> {
    pub(crate) path: &'a Path,
    pub(crate) dtype: Dtype,
    pub(crate) shape: &'a [usize],
    pub(crate) bytes: &'a [u8],
}

impl FolderTensor<'_> {
    /// Converts the values into `out`, which has as many.
    pub(crate) fn decode(&self, name: &str, out: &mut [f32]) -> Result<(), ModelError> {
        let stored = match self.dtype {
            Dtype::F32 => StoredType::F32,
            Dtype::F16 => StoredType::F16,
            Dtype::BF16 => StoredType::BF16,
            other => {
                let message = format!("expected F32, F16 or BF16, found {other:?}");
                return Err(ModelError::tensor(self.path, name, message));
            }
        };
        stored.decode(self.bytes, out);
        Ok(())
    }
}

/// All weight files of a folder.
pub(crate) struct WeightFiles {
    shards: Vec<Shard>,
    /// Shard of every tensor, by the name in the file.
    place: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl WeightFiles {
    /// Opens `model.safetensors` of `folder`, or what `model.safetensors.index.json` lists.
    pub(crate) fn open(folder: &Path) -> Result<Self, ModelError> {
        let single = folder.join("model.safetensors");
        let index = folder.join("model.safetensors.index.json");
        if single.exists() {
            let shard = Shard::open(single)?;
            let names = shard.metadata.tensors().into_keys();
            let place = names.map(|name| (name, 0)).collect();
            return Ok(Self {
                shards: vec![shard],
                place,
            });
        }
        if !index.exists() {
            let message =
                "expected model.safetensors or model.safetensors.index.json in the folder";
            return Err(ModelError::format(folder, message));
        }
        let text = std::fs::read_to_string(&index).map_err(ModelError::io(&index))?;
        let Index { weight_map } = serde_json::from_str(&text)
            .map_err(|error| ModelError::format(&index, format!("not an index: {error}")))?;
        let weight_map: BTreeMap<String, String> = weight_map.into_iter().collect();
        let mut shards: Vec<Shard> = Vec::new();
        let mut opened: HashMap<&str, usize> = HashMap::new();
        let mut place = BTreeMap::new();
        for (name, file) in &weight_map {
            let shard = match opened.get(file.as_str()) {
                Some(&shard) => shard,
                None => {
                    if Path::new(file).file_name() != Some(file.as_ref()) {
                        let message =
                            format!("expected the name of a file beside it, found {file:?}");
                        return Err(ModelError::tensor(&index, name, message));
                    }
                    shards.push(Shard::open(folder.join(file))?);
                    opened.insert(file, shards.len() - 1);
                    shards.len() - 1
                }
            };
            if shards[shard].metadata.info(name).is_none() {
                let message = "the index places it in this file, which does not have it";
                return Err(ModelError::tensor(&shards[shard].path, name, message));
            }
            place.insert(name.clone(), shard);
        }
        Ok(Self { shards, place })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.place.keys().map(String::as_str)
    }

    /// Looks a tensor up by its full name, or without `model.` as a saved base model has it.
    pub(crate) fn tensor(&self, name: &str) -> Option<FolderTensor<'_>> {
        let (name, shard) = self.place.get_key_value(name).or_else(|| {
            let base = name.strip_prefix("model.")?;
            self.place.get_key_value(base)
        })?;
        let shard = &self.shards[*shard];
        let info = shard.metadata.info(name)?;
        let (start, end) = info.data_offsets;
        Some(FolderTensor {
            path: &shard.path,
            dtype: info.dtype,
            shape: &info.shape,
            bytes: &shard.map[shard.data + start..shard.data + end],
        })
    }
}
