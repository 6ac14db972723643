//! Tensors on a device: trainable ones, copies of them that training's products read, and packed copies for inference.

use super::tensors::{Slot, layout};
use super::transformer::Model;
use crate::device::{Buffer, Device, DeviceError, Result};
use crate::ops::linear::{Weight, WeightFormat};

/// A tensor of a model: trainable, or laid out for inference.
pub enum Parameter<D: Device> {
    /// Row-major f32.
    Master(Master<D>),
    /// Laid out by the device (matrices of an inference model).
    Packed(D::Packed),
}

/// A trainable tensor, and what products read in its place where the device has them read something else.
pub struct Master<D: Device> {
    values: D::Buffer<f32>,
    /// The copy, and whether it is in step with the values.
    copy: Option<(D::Packed, bool)>,
}

/// What an update of a tensor is to write: all of it, so that the copy is in step.
pub struct Update<'a, D: Device> {
    pub values: &'a mut D::Buffer<f32>,
    pub copy: Option<&'a mut D::Packed>,
}

impl<D: Device> Master<D> {
    fn new(values: D::Buffer<f32>) -> Self {
        Master { values, copy: None }
    }

    fn weight(&self) -> Weight<'_, D> {
        match &self.copy {
            Some((copy, true)) => Weight::Packed(copy),
            _ => Weight::Master(&self.values),
        }
    }
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
                let (n, k, format) = (slot.rows(), slot.columns, slot.packed_in(format));
                Parameter::Packed(match slot.is_table() {
                    true => device.pack_table(values, n, k, format)?,
                    false => device.pack(values, n, k, format)?,
                })
            }
            None => Parameter::Master(Master::new(device.upload(values)?)),
        })
    }

    /// As a factor of a product or a table of rows: the copy, where there is one in step.
    pub fn weight(&self) -> Weight<'_, D> {
        match self {
            Parameter::Master(master) => master.weight(),
            Parameter::Packed(p) => Weight::Packed(p),
        }
    }

    /// The f32 values.
    ///
    /// # Errors
    /// Where the tensor is packed.
    pub fn master(&self) -> Result<&D::Buffer<f32>> {
        match self {
            Parameter::Master(master) => Ok(&master.values),
            Parameter::Packed(_) => Err(packed()),
        }
    }

    /// The f32 values, to change them. A copy is out of step from here on, and products read the values.
    ///
    /// # Errors
    /// Where the tensor is packed.
    pub fn master_mut(&mut self) -> Result<&mut D::Buffer<f32>> {
        let Parameter::Master(master) = self else {
            return Err(packed());
        };
        if let Some((_, in_step)) = &mut master.copy {
            *in_step = false;
        }
        Ok(&mut master.values)
    }

    /// What an update writes of a slot's tensor, which has a copy from then on where the device has products read one.
    ///
    /// # Errors
    /// Where the tensor is packed, and where there is no memory for the copy.
    pub fn for_update(&mut self, device: &D, slot: &Slot) -> Result<Update<'_, D>> {
        let Parameter::Master(master) = self else {
            return Err(packed());
        };
        if slot.matrix && master.copy.is_none() {
            let copy = device.training_copy(slot.rows(), slot.columns)?;
            master.copy = copy.map(|copy| (copy, false));
        }
        let copy = master.copy.as_mut().map(|(copy, in_step)| {
            *in_step = true;
            copy
        });
        Ok(Update {
            values: &mut master.values,
            copy,
        })
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
        let embedding = Parameter::Master(Master::new(self.device.upload(&embedding)?));
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
                to => self.device.copy(from, 0, to.master_mut()?, 0, from.len())?,
            }
        }
        Ok(())
    }
}
