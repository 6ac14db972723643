//! From a model's files to a model on a device.

use super::config::ModelConfig;
use super::error::ModelError;
use super::export::{NamedTensor, Precision, export};
use super::initial::Initial;
use super::parameter::Parameter;
use super::source::ModelSource;
use super::tensors::{BY_TOKEN, Slot, layout};
use super::transformer::Model;
use crate::device::Device;
use crate::ops::linear::WeightFormat;
use crate::ops::philox::PhiloxStream;
use crate::text::Tokenizer;
use std::path::Path;
use std::sync::Arc;

/// Rows of the vocabulary that a model's files do not have: each becomes a copy of row `like` plus
/// normal noise.
#[derive(Clone, Debug)]
pub struct NewRows {
    /// Ids of the new tokens.
    pub ids: Vec<u32>,
    /// Row they are copied from.
    pub like: u32,
    /// Standard deviation of the noise.
    pub noise: f32,
    pub seed: u64,
}

/// Where the values of a model's tensors come from.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    pub source: &'a ModelSource,
    pub new_rows: Option<&'a NewRows>,
    /// Those that are not the source's.
    pub initial: Option<Initial>,
}

/// Loads a model in f32 (`format` none: trainable) or packed for inference. `config` is the source's,
/// possibly with a larger vocabulary, or with other tensors where their values are drawn; one tensor at a
/// time is held twice.
pub fn load<D: Device>(
    device: Arc<D>,
    values: Values<'_>,
    config: ModelConfig,
    format: Option<WeightFormat>,
    context: usize,
) -> Result<Model<D>, ModelError> {
    let mut index = 0;
    let parameters = layout(&config).try_map(|slot| {
        index += 1;
        let values = values.of(&config, index - 1, slot)?;
        Ok::<_, ModelError>(Parameter::of(&*device, slot, &values, format)?)
    })?;
    Ok(Model::new(device, config, parameters, context)?)
}

impl Values<'_> {
    /// The values of a slot, the `index`-th of the model.
    fn of(&self, config: &ModelConfig, index: usize, slot: &Slot) -> Result<Vec<f32>, ModelError> {
        let mut values = vec![0.0; slot.len()];
        let lacking = slot.is_latent() && self.source.config().latents == 0;
        let drawn = |initial: &Initial| initial.all || lacking;
        if let Some(initial) = self.initial.filter(drawn) {
            for (name, _, range) in slot.tensors() {
                initial.fill(config, index, name, &mut values[range]);
            }
            return Ok(values);
        }
        let stored = self.source.config().vocab_size;
        for (name, mut shape, range) in slot.tensors() {
            let by_token = BY_TOKEN.contains(&name);
            let part = &mut values[range];
            if by_token {
                shape[0] = stored;
                let len = stored * slot.columns;
                self.source.tensor_into(name, &shape, &mut part[..len])?;
                if let Some(new) = self.new_rows {
                    fill_new_rows(part, slot.columns, new);
                }
            } else {
                self.source.tensor_into(name, &shape, part)?;
            }
        }
        Ok(values)
    }
}

fn fill_new_rows(table: &mut [f32], columns: usize, new: &NewRows) {
    let like = new.like as usize * columns;
    let like = table[like..like + columns].to_vec();
    for (stream, &id) in new.ids.iter().enumerate() {
        let mut noise = PhiloxStream::new(new.seed, stream as u64);
        let at = id as usize * columns;
        for (x, l) in table[at..at + columns].iter_mut().zip(&like) {
            *x = l + new.noise * noise.normal();
        }
    }
}

impl<D: Device> Model<D> {
    /// Writes the model as a Hugging Face folder.
    ///
    /// # Errors
    /// Where a tensor is packed, or the folder cannot be written; nothing half-written is left.
    pub fn save(
        &self,
        folder: &Path,
        tokenizer: &Tokenizer,
        precision: Precision,
    ) -> Result<(), ModelError> {
        let slots = layout(&self.config);
        let mut failed = None;
        let tensors = self.parameters.iter().zip(slots.iter());
        let tensors = tensors.flat_map(|(parameter, slot)| {
            let values = parameter
                .master()
                .and_then(|b| self.device.download(b, slot.len()));
            let values = values.unwrap_or_else(|e| {
                failed = Some(e);
                Vec::new()
            });
            let parts = slot
                .tensors()
                .into_iter()
                .filter(|p| p.2.end <= values.len());
            let named = parts.map(|(name, shape, range)| -> NamedTensor<'_> {
                (name.to_string(), shape, values[range].to_vec().into())
            });
            named.collect::<Vec<_>>()
        });
        // A tensor that could not be read is missing, so `export` fails and writes nothing.
        let written = export(folder, &self.config, tokenizer, tensors, precision);
        failed.map_or(written, |error| Err(error.into()))
    }
}
