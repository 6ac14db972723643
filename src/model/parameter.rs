//! Tensors on a device: trainable ones, and packed copies of them for inference.

use super::tensors::{Slot, layout};
use super::transformer::Model;
use crate::device::{Buffer, Device, DeviceError, Result};
use crate::ops::linear::{Weight, WeightFormat};

/// A tensor of a model: trainable, or laid out for inference.
pub enum Parameter<D: Device> {
    /// Row-major f32.
    Master(D::Buffer<f32>),
    /// Laid out by the device (matrices of an inference model).
    Packed(D::Packed),
}

impl<D: Device> Parameter<D> {
    /// The tensor of a slot with these values: a matrix as its model is packed in `format`, where there is one.
    pub(super) fn of(
        device: &D,
        slot: &Slot,
        values: &[f32],
        format: Option<WeightFormat>,
    ) -> Result<Self> {
        Ok(match format.filter(|_| slot.matrix) {
            Some(format) => {
                let format = slot.packed_in(format);
                Parameter::Packed(device.pack(values, slot.rows(), slot.columns, format)?)
            }
            None => Parameter::Master(device.upload(values)?),
        })
    }

    /// As a factor of a product.
    pub fn weight(&self) -> Weight<'_, D> {
        match self {
            Parameter::Master(b) => Weight::Master(b),
            Parameter::Packed(p) => Weight::Packed(p),
        }
    }

    /// The f32 values.
    ///
    /// # Errors
    /// Where the tensor is packed.
    pub fn master(&self) -> Result<&D::Buffer<f32>> {
        match self {
            Parameter::Master(b) => Ok(b),
            Parameter::Packed(_) => Err(packed()),
        }
    }

    /// The f32 values, to change them.
    ///
    /// # Errors
    /// Where the tensor is packed.
    pub fn master_mut(&mut self) -> Result<&mut D::Buffer<f32>> {
        match self {
            Parameter::Master(b) => Ok(b),
            Parameter::Packed(_) => Err(packed()),
        }
    }
}

fn packed() -> DeviceError {
    DeviceError::Argument {
        op: "model",
        message: "a tensor packed for inference was used where f32 values are needed".into(),
    }
}

impl<D: Device> Model<D> {
    /// A copy for inference with its matrices packed in `format`.
    pub fn packed(&self, format: WeightFormat) -> Result<Model<D>> {
        let slots = layout(&self.config);
        let mut slots = slots.iter();
        let parameters = self.parameters.try_map(|p| {
            let slot = slots.next().expect("a slot for every tensor");
            let values = self.device.download(p.master()?, slot.len())?;
            Parameter::of(&*self.device, slot, &values, Some(format))
        })?;
        Model::new(
            self.device.clone(),
            self.config.clone(),
            parameters,
            self.context(),
        )
    }

    /// A packed copy that computes what training computes, to draw thoughts from between updates: its
    /// products round as training's do, and its embeddings not at all.
    pub fn sampler(&self) -> Result<Model<D>> {
        let mut copy = self.packed(self.device.training_format())?;
        let table = layout(&self.config).embedding.len();
        let embedding = self
            .device
            .download(self.parameters.embedding.master()?, table)?;
        let embedding = Parameter::Master(self.device.upload(&embedding)?);
        let packed = std::mem::replace(&mut copy.parameters.embedding, embedding);
        copy.parameters.head.get_or_insert(packed);
        Ok(copy)
    }

    /// Takes over the values of `masters`, from which this [sampler](Model::sampler) was made.
    pub fn follow(&mut self, masters: &Model<D>) -> Result<()> {
        let tied = masters.parameters.head.is_none().then(|| masters.head());
        let from = masters.parameters.iter().chain(tied);
        for (to, from) in self.parameters.iter_mut().zip(from) {
            let from = from.master()?;
            match to {
                Parameter::Packed(packed) => self.device.repack(from, packed)?,
                Parameter::Master(to) => self.device.copy(from, 0, to, 0, from.len())?,
            }
        }
        Ok(())
    }
}
