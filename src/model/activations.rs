//! What a forward pass keeps: the buffers between ops, reused from batch to batch.

use super::config::ModelConfig;
use super::latent::LatentActivations;
use crate::device::{Activation, Buffer, Device, DeviceError, Result};
use bytemuck::Pod;

/// Buffers of a forward pass over at most `capacity` tokens. With a slot per layer, the backward pass
/// finds what it needs (norm outputs and SwiGLU products are recomputed there); inference uses one
/// slot for all layers.
///
/// Kept per token and layer in training: `2·hidden + qkv_dim + q_dim + num_heads + 2·intermediate`
/// numbers (and `qkv_dim` more with a q/k norm).
pub struct Activations<D: Device> {
    capacity: usize,
    slots: usize,
    /// Residual stream entering the layer, `[tokens, hidden]`.
    pub(super) input: Vec<Activation<D>>,
    /// Queries, keys, values before the q/k norm (only with one).
    pub(super) raw_qkv: Vec<Activation<D>>,
    /// Queries and keys after RoPE, values: `[tokens, qkv_dim]`.
    pub(super) qkv: Vec<Activation<D>>,
    /// Attention output, `[tokens, q_dim]`.
    pub(super) attention: Vec<Activation<D>>,
    /// `[tokens, num_heads]`.
    pub(super) lse: Vec<D::Buffer<f32>>,
    /// Residual stream between attention and MLP, `[tokens, hidden]`.
    pub(super) middle: Vec<Activation<D>>,
    /// `[tokens, 2·intermediate]`, of which inference keeps none.
    pub(super) gate_up: Vec<Activation<D>>,
    /// Residual stream after the last layer.
    pub(super) output: Activation<D>,
    /// After the final norm: what is embedded and what the head reads, `[tokens, hidden]`.
    pub hidden: Activation<D>,
    pub(super) normed: Activation<D>,
    pub(super) delta: Activation<D>,
    pub(super) activated: Activation<D>,
    /// Of the tokens whose final hidden states are wanted, what enters the last layer and its attention's
    /// output.
    pub(super) picked_input: Activation<D>,
    pub(super) picked_attention: Activation<D>,
    /// Of latent attention's layer, where the model has one.
    pub(super) latent: Option<Box<LatentActivations<D>>>,
}

impl<D: Device> Activations<D> {
    /// Empty buffers for a backward pass to follow: a slot per layer.
    pub fn for_training(device: &D, config: &ModelConfig) -> Result<Self> {
        Self::empty(device, config, config.num_hidden_layers, true)
    }

    /// Empty buffers for inference: all layers share one slot.
    pub fn for_inference(device: &D, config: &ModelConfig) -> Result<Self> {
        Self::empty(device, config, 1, false)
    }

    /// Empty buffers with so many slots. `kept`: a backward pass follows.
    pub(super) fn empty(
        device: &D,
        config: &ModelConfig,
        slots: usize,
        kept: bool,
    ) -> Result<Self> {
        fn each<D: Device, T: Pod + Send + Sync>(
            device: &D,
            slots: usize,
        ) -> Result<Vec<D::Buffer<T>>> {
            (0..slots).map(|_| device.zeros(0)).collect()
        }
        let none = || device.zeros(0);
        Ok(Activations {
            capacity: 0,
            slots,
            input: each(device, slots)?,
            raw_qkv: if config.qk_norm {
                each(device, slots)?
            } else {
                Vec::new()
            },
            qkv: each(device, slots)?,
            attention: each(device, slots)?,
            lse: each(device, slots)?,
            middle: each(device, slots)?,
            gate_up: if kept {
                each(device, slots)?
            } else {
                Vec::new()
            },
            output: none()?,
            hidden: none()?,
            normed: none()?,
            delta: none()?,
            activated: none()?,
            picked_input: none()?,
            picked_attention: none()?,
            latent: match config.latents {
                0 => None,
                _ => Some(Box::new(LatentActivations::new(device, config, kept)?)),
            },
        })
    }

    /// Grows every buffer to `tokens` rows; those of picked rows where some are `picked`.
    pub(super) fn reserve(
        &mut self,
        device: &D,
        c: &ModelConfig,
        tokens: usize,
        picked: bool,
    ) -> Result<()> {
        if picked && self.slots > 1 {
            return Err(DeviceError::Argument {
                op: "model",
                message: "a backward pass needs every row of the last layer".into(),
            });
        }
        let heads = c.heads();
        fn grow<'b, D: Device, T: Pod + Send + Sync>(
            device: &D,
            len: usize,
            buffers: impl IntoIterator<Item = &'b mut D::Buffer<T>>,
        ) -> Result<()>
        where
            D::Buffer<T>: 'b,
        {
            for b in buffers {
                // The old one is given back before the new one is taken.
                *b = device.zeros(0)?;
                *b = device.zeros(len)?;
            }
            Ok(())
        }
        let (d, hidden, q) = (device, tokens * c.hidden_size, tokens * heads.q_dim());
        if picked && self.picked_input.len() < hidden {
            grow(d, hidden, [&mut self.picked_input])?;
            grow(d, q, [&mut self.picked_attention])?;
        }
        if tokens <= self.capacity {
            return Ok(());
        }
        grow(d, hidden, &mut self.input)?;
        grow(d, tokens * heads.qkv_dim(), &mut self.raw_qkv)?;
        grow(d, tokens * heads.qkv_dim(), &mut self.qkv)?;
        grow(d, q, &mut self.attention)?;
        grow(d, tokens * heads.num_heads, &mut self.lse)?;
        grow(d, hidden, &mut self.middle)?;
        grow(d, tokens * 2 * c.intermediate_size, &mut self.gate_up)?;
        let single = [
            &mut self.output,
            &mut self.hidden,
            &mut self.normed,
            &mut self.delta,
        ];
        grow(d, hidden, single)?;
        grow(d, tokens * c.intermediate_size, [&mut self.activated])?;
        self.capacity = tokens;
        Ok(())
    }

    /// Slot of a layer.
    pub(super) fn slot(&self, layer: usize) -> usize {
        layer % self.slots
    }

    /// Residual stream entering `layer` (the output of the layer before), where every layer has its
    /// slot.
    pub fn layer_input(&self, layer: usize) -> &Activation<D> {
        &self.input[layer]
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let many = [
            &self.input,
            &self.raw_qkv,
            &self.qkv,
            &self.attention,
            &self.middle,
            &self.gate_up,
        ];
        let one = [
            &self.output,
            &self.hidden,
            &self.normed,
            &self.delta,
            &self.activated,
            &self.picked_input,
            &self.picked_attention,
        ];
        let many = many.into_iter().flatten().chain(one);
        let lse: usize = self.lse.iter().map(|b| b.len()).sum();
        let latent = self.latent.as_ref().map_or(0, |latent| latent.bytes());
        latent
            + size_of::<D::Real>() * many.map(|b| b.len()).sum::<usize>()
            + size_of::<f32>() * lse
    }
}
