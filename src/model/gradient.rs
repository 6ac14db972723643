//! Gradients of a model's tensors, which passes add up.

use super::parameters::Parameters;
use super::tensors::layout;
use super::transformer::Model;
use crate::device::{Buffer, Device, Memory, Result};

/// A number for every element of a model.
pub type Tensors<D> = Parameters<<D as Memory>::Buffer<f32>>;

/// A gradient for every tensor of a model.
pub type Gradients<D> = Parameters<Gradient<D>>;

/// A sum over passes. What the first of them writes need neither be cleared before nor read.
pub struct Gradient<D: Device> {
    values: D::Buffer<f32>,
    /// Nothing has been added: the values are of no meaning, the sum is zero.
    empty: bool,
}

impl<D: Device> Gradient<D> {
    /// For an op that writes or adds: where to, and whether to add.
    pub fn target(&mut self) -> (&mut D::Buffer<f32>, bool) {
        let accumulate = !std::mem::replace(&mut self.empty, false);
        (&mut self.values, accumulate)
    }

    /// The sum so far, for what adds to it or reads it.
    pub fn sum(&mut self, device: &D) -> Result<&mut D::Buffer<f32>> {
        if std::mem::replace(&mut self.empty, false) {
            let len = self.values.len();
            device.clear(&mut self.values, len)?;
        }
        Ok(&mut self.values)
    }

    /// Makes the sum zero.
    pub fn forget(&mut self) {
        self.empty = true;
    }

    /// The sum so far, on the host.
    pub fn read(&self, device: &D) -> Result<Vec<f32>> {
        let len = self.values.len();
        match self.empty {
            true => Ok(vec![0.0; len]),
            false => device.download(&self.values, len),
        }
    }
}

impl<D: Device> Model<D> {
    /// Zeros, of as many elements as the model has.
    pub fn zeros(&self) -> Result<Tensors<D>> {
        layout(&self.config).try_map(|slot| self.device.zeros(slot.len()))
    }

    /// Gradients to which nothing has been added.
    pub fn zero_gradients(&self) -> Result<Gradients<D>> {
        layout(&self.config).try_map(|slot| {
            Ok(Gradient {
                values: self.device.zeros(slot.len())?,
                empty: true,
            })
        })
    }
}
