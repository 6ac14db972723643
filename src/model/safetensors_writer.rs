//! Weights into safetensors files whose headers are known from the configuration, so that tensors can
//! be written as they come, one in memory at a time.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use half::bf16;
use serde_json::{Map, Value, json};

use super::config::ModelConfig;
use super::error::ModelError;
use super::export::{NamedTensor, Precision, write_text};

/// Where a tensor will lie.
struct Place {
    shard: usize,
    /// From the beginning of the file.
    offset: u64,
    shape: Vec<usize>,
}

struct Shard {
    path: PathBuf,
    file: BufWriter<File>,
}

/// Writes every tensor of `config` from `tensors`, in whatever order they come.
pub(crate) fn write_weights<'a>(
    folder: &Path,
    config: &ModelConfig,
    tensors: impl IntoIterator<Item = NamedTensor<'a>>,
    precision: Precision,
    max_shard_bytes: u64,
) -> Result<(), ModelError> {
    let (places, mut shards) = lay_out(folder, config, precision, max_shard_bytes)?;
    let mut missing: BTreeSet<&str> = places.keys().map(String::as_str).collect();
    for (name, shape, values) in tensors {
        let error = |message: String| ModelError::tensor(folder, &name, message);
        let place = places
            .get(&name)
            .ok_or_else(|| error("the configuration has no such tensor".to_owned()))?;
        let length: usize = shape.iter().product();
        if shape != place.shape || values.len() != length {
            return Err(error(format!(
                "expected shape {:?}, found {shape:?} with {} values",
                place.shape,
                values.len()
            )));
        }
        if !missing.remove(name.as_str()) {
            return Err(error("the tensor was given twice".to_owned()));
        }
        let Shard { path, file } = &mut shards[place.shard];
        file.seek(SeekFrom::Start(place.offset))
            .and_then(|_| write_values(file, &values, precision))
            .map_err(ModelError::io(path))?;
    }
    if let Some(name) = missing.first() {
        return Err(ModelError::tensor(folder, name, "the tensor was not given"));
    }
    for Shard { path, mut file } in shards {
        file.flush().map_err(ModelError::io(&path))?;
    }
    Ok(())
}

fn write_values(
    file: &mut impl Write,
    values: &[f32],
    precision: Precision,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    for values in values.chunks(1 << 16) {
        bytes.clear();
        match precision {
            Precision::F32 => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            Precision::Bf16 => {
                bytes.extend(values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()));
            }
        }
        file.write_all(&bytes)?;
    }
    Ok(())
}

/// Assigns every tensor to a file and writes the headers and, where there are several files, the index.
fn lay_out(
    folder: &Path,
    config: &ModelConfig,
    precision: Precision,
    max_shard_bytes: u64,
) -> Result<(HashMap<String, Place>, Vec<Shard>), ModelError> {
    let mut groups: Vec<Vec<(String, Vec<usize>, u64)>> = vec![Vec::new()];
    let (mut total, mut filled) = (0u64, 0u64);
    for (name, shape) in config.tensor_shapes() {
        let bytes = shape.iter().product::<usize>() as u64 * precision.bytes() as u64;
        if filled > 0 && filled + bytes > max_shard_bytes {
            groups.push(Vec::new());
            filled = 0;
        }
        filled += bytes;
        total += bytes;
        if let Some(group) = groups.last_mut() {
            group.push((name, shape, bytes));
        }
    }
    let count = groups.len();
    let mut places = HashMap::new();
    let mut shards = Vec::new();
    let mut weight_map = Map::new();
    for (shard, group) in groups.into_iter().enumerate() {
        let file_name = match count {
            1 => "model.safetensors".to_owned(),
            _ => format!("model-{:05}-of-{count:05}.safetensors", shard + 1),
        };
        // `transformers` refuses a file that does not say which framework's layout it has.
        let mut header = Map::from_iter([("__metadata__".to_owned(), json!({ "format": "pt" }))]);
        let mut end = 0;
        for (name, shape, bytes) in &group {
            let (dtype, _) = precision.names();
            let offsets = [end, end + bytes];
            header.insert(
                name.clone(),
                json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets }),
            );
            weight_map.insert(name.clone(), json!(file_name));
            end += bytes;
        }
        let mut header = Value::Object(header).to_string();
        // Data begins at a multiple of 8, so that a mapped f32 is aligned.
        header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
        let mut offset = 8 + header.len() as u64;
        for (name, shape, bytes) in group {
            places.insert(
                name,
                Place {
                    shard,
                    offset,
                    shape,
                },
            );
            offset += bytes;
        }
        let path = folder.join(file_name);
        let file = File::create(&path).map_err(ModelError::io(&path))?;
        let mut file = BufWriter::new(file);
        file.write_all(&(header.len() as u64).to_le_bytes())
            .and_then(|()| file.write_all(header.as_bytes()))
            .map_err(ModelError::io(&path))?;
        shards.push(Shard { path, file });
    }
    if count > 1 {
        let index = json!({ "metadata": { "total_size": total }, "weight_map": weight_map });
        write_text(
            &folder.join("model.safetensors.index.json"),
            &format!("{index:#}\n"),
        )?;
    }
    Ok((places, shards))
}
