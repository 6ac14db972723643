//! A weight as training's products read it.

use crate::device::{Device, Result};
use crate::ops::linear::Weight;
use crate::workbench::Probe;
use std::rc::Rc;

/// A master weight, and the copy that is kept of it where the device has its products read one.
pub struct Trained<D: Device> {
    master: Rc<D::Buffer<f32>>,
    copy: Option<D::Packed>,
    /// Of what products read.
    pub bytes: usize,
}

impl<D: Device> Trained<D> {
    /// The weight `w` `[n, k]`, an input of the op.
    pub fn new(
        name: impl Into<String>,
        (n, k): (usize, usize),
        w: &[f32],
        probe: &mut Probe<'_, D>,
    ) -> Result<Self> {
        let (device, master) = (probe.device, probe.floats(name, w)?);
        let mut copy = device.training_copy(n, k)?;
        if let Some(copy) = &mut copy {
            device.repack(&master, copy)?;
        }
        let element = if copy.is_some() {
            size_of::<D::Real>()
        } else {
            4
        };
        Ok(Trained {
            master,
            copy,
            bytes: n * k * element,
        })
    }

    /// As an op's argument.
    pub fn weight(&self) -> Weight<'_, D> {
        match &self.copy {
            Some(copy) => Weight::Packed(copy),
            None => Weight::Master(&*self.master),
        }
    }
}
